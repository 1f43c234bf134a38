package basketparquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/parquet-go/parquet-go"
)

// A Table is a parquet file whose columns are read as numbers. It is safe for
// concurrent use if its io.ReaderAt is.
type Table struct{ f *scan.File }

// OpenTable reads the footer of the parquet file that is the size bytes of r.
// The errors of OpenTable and of the Table do not name the file.
func OpenTable(r io.ReaderAt, size int64) (*Table, error) {
	f, err := scan.Open(r, size)
	if err != nil {
		return nil, tableError(err)
	}
	return &Table{f}, nil
}

// Columns returns the names of the columns; of nested ones, that of the first level.
func (t *Table) Columns() []string { return t.f.Names() }

// NumRows returns the number of rows.
func (t *Table) NumRows() int64 { return t.f.NumRows() }

// Rows yields the named columns, by default all, in batches of some thousand rows
// at most. A batch is row-major and valid until the next one. FLOAT, DOUBLE,
// FLOAT16, INT32, INT64, BOOLEAN and DECIMAL become float64; null becomes NaN.
// After an error nothing comes.
func (t *Table) Rows(ctx context.Context, names ...string) iter.Seq2[[]float64, error] {
	if len(names) == 0 {
		names = t.Columns()
	}
	return func(yield func([]float64, error) bool) {
		m, err := newMatrix(t.f, names)
		if err == nil && len(names) == 0 {
			err = errors.New("no columns: want one at least") // without one, nothing bounds the number of rows
		}
		if err != nil {
			yield(nil, tableError(err))
			return
		}
		buf := make([]float64, batch*len(names))
		for row := int64(0); row < t.NumRows(); row += batch {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			n := int(min(batch, t.NumRows()-row))
			if err := m.read(buf, n); err != nil {
				yield(nil, tableError(err))
				return
			}
			if !yield(buf[:n*len(names)], nil) {
				return
			}
		}
	}
}

func tableError(err error) error { return fmt.Errorf("basket: %w: parquet: %w", basket.ErrData, err) }

// A matrix reads columns of numbers side by side.
type matrix []*scan.Column[float64]

func newMatrix(f *scan.File, names []string) (matrix, error) {
	m := make(matrix, len(names))
	for j, name := range names {
		var err error
		if m[j], err = scan.Floats(f, name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// read sets dst to the next n rows, row-major.
func (m matrix) read(dst []float64, n int) error {
	for j, c := range m {
		values, null, err := c.Read(n)
		if err != nil {
			return err
		}
		for i, v := range values {
			if null[i] {
				v = math.NaN()
			}
			dst[i*len(m)+j] = v
		}
	}
	return nil
}

// WriteTable writes a parquet file of DOUBLE columns. Batches are row-major; NaN
// becomes null. An error of the sequence is returned as it is; what has been
// written by then is not a parquet file.
func WriteTable(w io.Writer, names []string, batches iter.Seq2[[]float64, error]) error {
	out, err := newWriter(w, names, doubles(len(names)))
	if err != nil {
		return err
	}
	defer out.stop()
	for b, err := range batches {
		if err != nil {
			return err
		}
		if len(b)%len(names) != 0 {
			return fmt.Errorf("basket: %w: a batch of %d values: want a multiple of %d, the number of columns", basket.ErrData, len(b), len(names))
		}
		for ; len(b) > 0; b = b[len(names):] {
			for j, v := range b[:len(names)] {
				out.columns[j] = append(out.columns[j], double(v, j))
			}
			if err := out.flush(); err != nil {
				return err
			}
		}
	}
	return out.close()
}

// doubles returns n DOUBLE columns that may be null.
func doubles(n int) []parquet.Node {
	nodes := make([]parquet.Node, n)
	for i := range nodes {
		nodes[i] = parquet.Optional(parquet.Leaf(parquet.DoubleType))
	}
	return nodes
}

// double returns a value of such a column. NaN becomes null.
func double(v float64, column int) parquet.Value {
	if math.IsNaN(v) {
		return parquet.NullValue().Level(0, 0, column)
	}
	return parquet.DoubleValue(v).Level(0, 1, column)
}
