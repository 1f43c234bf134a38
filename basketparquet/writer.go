package basketparquet

import (
	"fmt"
	"io"
	"reflect"

	"github.com/basket-go/basket"
	"github.com/parquet-go/parquet-go"
)

// rowGroupRows bounds the memory of a writer.
const rowGroupRows = 1 << 17

// A writer collects rows, because calls of parquet-go for single rows are slow.
type writer struct {
	w     *parquet.GenericWriter[any]
	rows  []parquet.Row
	n     int // rows collected
	width int
}

func newWriter(w io.Writer, names []string, nodes []parquet.Node) (*writer, error) {
	if len(names) == 0 {
		return nil, fmt.Errorf("basket: %w: no columns to write: want one at least", basket.ErrData)
	}
	g := group{Group: parquet.Group{}}
	for i, name := range names {
		if g.Group[name] != nil || name == "" {
			return nil, fmt.Errorf("basket: %w: column name %.64q: want unique names that are not empty", basket.ErrData, name)
		}
		g.Group[name] = nodes[i]
		g.fields = append(g.fields, field{nodes[i], name})
	}
	return &writer{
		w: parquet.NewGenericWriter[any](w, parquet.NewSchema("schema", g),
			parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowGroupRows)),
		width: len(names),
	}, nil
}

// row returns the next row, for the caller to set.
func (w *writer) row() parquet.Row {
	if w.n == len(w.rows) {
		w.rows = append(w.rows, make(parquet.Row, w.width))
	}
	w.n++
	return w.rows[w.n-1]
}

// flush writes the collected rows if there are at least so many.
func (w *writer) flush(atLeast int) error {
	if w.n < atLeast {
		return nil
	}
	_, err := w.w.WriteRows(w.rows[:w.n])
	w.n = 0
	return writeError(err)
}

func (w *writer) close() error {
	if err := w.flush(1); err != nil {
		return err
	}
	return writeError(w.w.Close())
}

func writeError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("basket: write parquet: %w", err)
}

// A group is parquet-go's Group with columns in the given order, instead of
// alphabetical order.
type group struct {
	parquet.Group
	fields []parquet.Field
}

func (g group) Fields() []parquet.Field { return g.fields }

// GoType is not used for rows of values; parquet-go's method panics if a name
// has a comma.
func (g group) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

type field struct {
	parquet.Node
	name string
}

func (f field) Name() string { return f.name }

func (f field) Value(reflect.Value) reflect.Value { return reflect.Value{} }
