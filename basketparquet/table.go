package basketparquet

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/parquet-go/parquet-go"
)

// A Table is a parquet file of which columns are read as numbers. It is safe
// for concurrent use if its io.ReaderAt is.
type Table struct{ f *scan.File }

// OpenTable reads the footer of the parquet file that is the size bytes of r.
// Its errors, and those of the Table, wrap [basket.ErrData]; they cannot name
// the file.
func OpenTable(r io.ReaderAt, size int64) (*Table, error) {
	f, err := scan.Open(r, size)
	if err != nil {
		return nil, tableError(err)
	}
	return &Table{f}, nil
}

// Columns names the columns, nested ones by their first level.
func (t *Table) Columns() []string { return t.f.Names() }

// NumRows tells the number of rows.
func (t *Table) NumRows() int64 { return t.f.NumRows() }

// Rows yields the named columns, or else all, in batches: row-major, some
// thousand rows at most, valid until the next one. FLOAT, DOUBLE, FLOAT16,
// INT32, INT64, BOOLEAN and DECIMAL become float64; null becomes NaN. After an
// error nothing comes.
func (t *Table) Rows(names ...string) iter.Seq2[[]float64, error] {
	if len(names) == 0 {
		names = t.Columns()
	}
	return func(yield func([]float64, error) bool) {
		m, err := openMatrix(t.f, names)
		if err == nil && len(names) == 0 {
			err = errors.New("no columns") // and so nothing that bounds the rows
		}
		if err != nil {
			yield(nil, tableError(err))
			return
		}
		defer m.close()
		buf := make([]float64, batch*len(names))
		for left := t.NumRows(); left > 0; left -= batch {
			n := int(min(left, batch))
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
type matrix struct {
	columns []*scan.Column[float64]
	values  [batch]float64
	null    [batch]bool
}

func openMatrix(f *scan.File, names []string) (*matrix, error) {
	m := new(matrix)
	for _, name := range names {
		c, err := scan.Floats(f, name)
		if err != nil {
			m.close()
			return nil, err
		}
		m.columns = append(m.columns, c)
	}
	return m, nil
}

// read sets dst to the next n rows, at most batch, row-major.
func (m *matrix) read(dst []float64, n int) error {
	k := len(m.columns)
	for j, c := range m.columns {
		if err := readFull(c, m.values[:n], m.null[:n]); err != nil {
			return err
		}
		for i, v := range m.values[:n] {
			if m.null[i] {
				v = math.NaN()
			}
			dst[i*k+j] = v
		}
	}
	return nil
}

func (m *matrix) close() {
	for _, c := range m.columns {
		c.Close()
	}
}

// WriteTable writes a parquet file of DOUBLE columns. Batches are row-major; NaN
// becomes null. An error among the batches ends the writing and is returned as
// it is; what has been written then is no parquet file.
func WriteTable(w io.Writer, names []string, batches iter.Seq2[[]float64, error]) error {
	nodes := make([]parquet.Node, len(names))
	for i := range nodes {
		nodes[i] = parquet.Optional(parquet.Leaf(parquet.DoubleType))
	}
	out, err := newWriter(w, names, nodes)
	if err != nil {
		return err
	}
	for b, err := range batches {
		if err != nil {
			return err
		}
		if len(b)%len(names) != 0 {
			return fmt.Errorf("basket: %w: a batch of %d values; want a multiple of the %d columns", basket.ErrData, len(b), len(names))
		}
		for ; len(b) > 0; b = b[len(names):] {
			row := out.row()
			for j, v := range b[:len(names)] {
				row[j] = optional(v, j)
			}
			if err := out.flush(batch); err != nil {
				return err
			}
		}
	}
	return out.close()
}
