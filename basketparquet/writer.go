package basketparquet

import (
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/basket-go/basket"
	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// rowGroupRows bounds the memory of a writer. It is a multiple of batch.
const rowGroupRows = 1 << 16

// A writer writes rows in batches. While the caller fills a batch, a goroutine
// encodes the one before.
type writer struct {
	w       *parquet.GenericWriter[any]
	columns [][]parquet.Value // the batch that the caller fills, by column
	full    chan [][]parquet.Value
	free    chan [][]parquet.Value
	encoder sync.WaitGroup
	stopped bool

	mu  sync.Mutex
	err error // of the encoder, which then only empties batches
}

// newWriter returns a writer, which must be stopped.
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
	out := &writer{
		w:    parquet.NewGenericWriter[any](w, parquet.NewSchema("schema", g), parquet.Compression(snappyCodec{&parquet.Snappy})),
		full: make(chan [][]parquet.Value),
		free: make(chan [][]parquet.Value, 2),
	}
	newBatch := func() [][]parquet.Value {
		columns := make([][]parquet.Value, len(names))
		for j := range columns {
			columns[j] = make([]parquet.Value, 0, batch)
		}
		return columns
	}
	out.columns = newBatch()
	out.free <- newBatch()
	out.encoder.Go(out.encode)
	return out, nil
}

// encode encodes the batches until full is closed.
func (w *writer) encode() {
	rows := 0
	for columns := range w.full {
		if w.error() == nil {
			rows += len(columns[0])
			err := w.encodeBatch(columns)
			if err == nil && rows >= rowGroupRows {
				rows, err = 0, w.w.Flush()
			}
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
		}
		for j := range columns {
			columns[j] = columns[j][:0]
		}
		w.free <- columns
	}
}

func (w *writer) encodeBatch(columns [][]parquet.Value) error {
	for j, c := range w.w.ColumnWriters() {
		if _, err := c.WriteRowValues(columns[j]); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) error() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// flush passes a full batch on, after each row. Bytes in its values must stay as
// they are until the writer is stopped.
func (w *writer) flush() error {
	if len(w.columns[0]) < batch {
		return nil
	}
	w.full <- w.columns
	w.columns = <-w.free
	return writeError(w.error())
}

// close writes what is left and the footer.
func (w *writer) close() error {
	if len(w.columns[0]) > 0 {
		w.full <- w.columns
	}
	w.stop()
	if w.err != nil {
		return writeError(w.err)
	}
	return writeError(w.w.Close())
}

// stop ends the goroutine.
func (w *writer) stop() {
	if !w.stopped {
		w.stopped = true
		close(w.full)
		w.encoder.Wait()
	}
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

// snappyCodec is Snappy for parquet-go. The encoder of its own codec takes five
// times as long on user IDs that are random, and then saves nothing.
type snappyCodec struct{ compress.Codec }

func (snappyCodec) Encode(dst, src []byte) ([]byte, error) {
	return s2.EncodeSnappy(dst[:cap(dst)], src), nil
}
