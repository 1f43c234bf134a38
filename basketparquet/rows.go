package basketparquet

import (
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/parquet-go/parquet-go"
)

// The columns of feature rows beside the features.
const (
	userColumn   = "user_id"
	ordersColumn = "total_orders"
	timeColumn   = "ordered_at"
)

// WriteRows writes feature rows as a parquet file: the column user_id, a string;
// the features, DOUBLE, where a missing value is null; and total_orders, INT64,
// which is the row's Orders. OrderedAt is not written. Features names the rows'
// values, in order. It takes as many rows into memory as a row group has, 131,072.
func WriteRows(w io.Writer, features []string, rows iter.Seq[basket.Row]) error {
	names := append(append([]string{userColumn}, features...), ordersColumn)
	nodes := make([]parquet.Node, len(names))
	for i := range nodes {
		nodes[i] = parquet.Optional(parquet.Leaf(parquet.DoubleType))
	}
	nodes[0] = parquet.Encoded(parquet.String(), &parquet.Plain) // what every reader knows
	nodes[len(nodes)-1] = parquet.Required(parquet.Leaf(parquet.Int64Type))
	out, err := newWriter(w, names, nodes)
	if err != nil {
		return err
	}
	for r := range rows {
		if len(r.Values) != len(features) {
			return fmt.Errorf("basket: %w: the row of user %q has %d values; want %d", basket.ErrData, r.UserID, len(r.Values), len(features))
		}
		row := out.row()
		row[0] = parquet.ByteArrayValue([]byte(r.UserID)).Level(0, 0, 0)
		for j, v := range r.Values {
			row[1+j] = optional(v, 1+j)
		}
		row[len(row)-1] = parquet.Int64Value(int64(r.Orders)).Level(0, 0, len(row)-1)
		if err := out.flush(batch); err != nil {
			return err
		}
	}
	return out.close()
}

// ReadRows yields the feature rows of the parquet file called name, as WriteRows
// or the Python service has written them. Features chooses and orders the
// values, and defaults to [basket.FeatureNames]; a null is a missing value.
// OrderedAt comes from the column ordered_at, and is zero if there is none.
// After an error, which wraps [basket.ErrData] and names file, column and, counted
// from zero, row, nothing comes.
func ReadRows(fsys fs.FS, name string, features ...string) iter.Seq2[basket.Row, error] {
	if len(features) == 0 {
		features = basket.FeatureNames()
	}
	return func(yield func(basket.Row, error) bool) {
		stopped := false
		err := withFile(fsys, name, func(f *scan.File, _ int64) error {
			return readRows(f, features, func(r basket.Row) bool {
				stopped = !yield(r, nil)
				return !stopped
			})
		})
		if err != nil && !stopped {
			yield(basket.Row{}, err)
		}
	}
}

func readRows(f *scan.File, features []string, yield func(basket.Row) bool) error {
	users, err := scan.Strings(f, userColumn)
	if err != nil {
		return err
	}
	defer users.Close()
	orders, err := scan.Ints(f, ordersColumn)
	if err != nil {
		return err
	}
	defer orders.Close()
	var times *scan.Column[scan.Time]
	if f.Has(timeColumn) {
		if times, err = scan.Times(f, timeColumn); err != nil {
			return err
		}
		defer times.Close()
	}
	numbers, err := openMatrix(f, features)
	if err != nil {
		return err
	}
	defer numbers.close()

	var user [batch]string
	var count [batch]int64
	var at [batch]scan.Time
	var noUser, noCount, noTime [batch]bool
	for row := 0; ; row += batch {
		n, err := users.Read(user[:], noUser[:])
		if err != nil || n == 0 {
			return err
		}
		if err := readFull(orders, count[:n], noCount[:n]); err != nil {
			return err
		}
		if times != nil {
			if err := readFull(times, at[:n], noTime[:n]); err != nil {
				return err
			}
		}
		values := make([]float64, n*len(features)) // the taker may keep them
		if err := numbers.read(values, n); err != nil {
			return err
		}
		for i := range n {
			if err := checkUser(user[i], noUser[i], row+i); err != nil {
				return err
			}
			switch {
			case noCount[i]:
				return nullError(ordersColumn, row+i)
			case noTime[i]:
				return nullError(timeColumn, row+i)
			case count[i] < 0 || count[i] > math.MaxInt32:
				return fmt.Errorf("column %s: row %d is %d; want 0 to %d", ordersColumn, row+i, count[i], math.MaxInt32)
			}
			k := len(features)
			if !yield(basket.Row{UserID: user[i], OrderedAt: at[i], Orders: int(count[i]), Values: values[i*k : i*k+k : i*k+k]}) {
				return nil
			}
		}
	}
}

// optional is a DOUBLE of a column that may be null; NaN is null.
func optional(v float64, column int) parquet.Value {
	if math.IsNaN(v) {
		return parquet.NullValue().Level(0, 0, column)
	}
	return parquet.DoubleValue(v).Level(0, 1, column)
}
