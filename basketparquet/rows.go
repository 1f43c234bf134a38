package basketparquet

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/parquet-go/parquet-go"
)

// The columns of feature rows beside the features.
const (
	userColumn   = "user_id"
	numberColumn = "total_orders"
	timeColumn   = "ordered_at"
)

// WriteRows writes feature rows as a parquet file. The columns are user_id, a
// string; the features, DOUBLE, where a missing value is null; total_orders,
// INT64, the Number of the row; and ordered_at, a timestamp in nanoseconds and
// UTC, where the zero time is null. Features names the values of the rows, in
// order. A time that does not fit, before 1677-09-21 or after 2262-04-11, is an
// error that wraps [basket.ErrData]. An error of the sequence is returned as it
// is. WriteRows holds a row group of 65,536 rows in memory. A goroutine encodes
// them meanwhile; it has ended when WriteRows returns.
func WriteRows(w io.Writer, features []string, rows iter.Seq2[basket.Row, error]) error {
	names := slices.Concat([]string{userColumn}, features, []string{numberColumn, timeColumn})
	nodes := doubles(len(names))
	number := len(names) - 2
	nodes[0] = parquet.Encoded(parquet.String(), &parquet.Plain) // not all readers know the default
	nodes[number] = parquet.Required(parquet.Leaf(parquet.Int64Type))
	nodes[number+1] = parquet.Optional(parquet.Timestamp(parquet.Nanosecond))
	out, err := newWriter(w, names, nodes)
	if err != nil {
		return err
	}
	defer out.stop()
	for r, err := range rows {
		if err != nil {
			return err
		}
		if len(r.Values) != len(features) {
			return fmt.Errorf("basket: %w: row of user %.64q has %d values: want %d", basket.ErrData, r.UserID, len(r.Values), len(features))
		}
		at := parquet.NullValue().Level(0, 0, number+1)
		if !r.OrderedAt.IsZero() {
			ns := r.OrderedAt.UnixNano()
			if !time.Unix(0, ns).Equal(r.OrderedAt) {
				return fmt.Errorf("basket: %w: row of user %.64q is of %v: want a time from 1677-09-21 to 2262-04-11, or the zero time", basket.ErrData, r.UserID, r.OrderedAt.UTC())
			}
			at = parquet.Int64Value(ns).Level(0, 1, number+1)
		}
		c := out.columns
		c[0] = append(c[0], parquet.ByteArrayValue(unsafe.Slice(unsafe.StringData(r.UserID), len(r.UserID))))
		for j, v := range r.Values {
			c[1+j] = append(c[1+j], double(v, 1+j))
		}
		c[number] = append(c[number], parquet.Int64Value(int64(r.Number)))
		c[number+1] = append(c[number+1], at)
		if err := out.flush(); err != nil {
			return err
		}
	}
	return out.close()
}

// Rows yields the feature rows of the parquet file called name, in the form of
// [WriteRows] or of the Python service, which has no column ordered_at: OrderedAt
// is then zero. Features selects the values and their order; the default is
// [basket.FeatureNames]. A null is a missing value. After an error nothing comes.
func Rows(ctx context.Context, fsys fs.FS, name string, features ...string) iter.Seq2[basket.Row, error] {
	if len(features) == 0 {
		features = basket.FeatureNames()
	}
	return readParts(ctx, fsys, []part{{file: name}}, func(f *scan.File, yield func(basket.Row) bool) error {
		return readRows(f, features, yield)
	})
}

func readRows(f *scan.File, features []string, yield func(basket.Row) bool) error {
	users, err := scan.Strings(f, userColumn)
	if err != nil {
		return err
	}
	numbers, err := scan.Ints(f, numberColumn)
	if err != nil {
		return err
	}
	var times *scan.Column[time.Time]
	if slices.Contains(f.Names(), timeColumn) {
		if times, err = scan.Times(f, timeColumn); err != nil {
			return err
		}
	}
	m, err := newMatrix(f, features)
	if err != nil {
		return err
	}
	for first := int64(0); first < f.NumRows(); first += batch {
		user, noUser, err := users.Read(int(min(batch, f.NumRows()-first)))
		if err != nil {
			return err
		}
		number, noNumber, err := numbers.Read(len(user))
		if err != nil {
			return err
		}
		at := make([]time.Time, len(user))
		if times != nil {
			if at, _, err = times.Read(len(user)); err != nil {
				return err
			}
		}
		k := len(features)
		values := make([]float64, len(user)*k) // the caller may keep them
		if err := m.read(values, len(user)); err != nil {
			return err
		}
		for i := range user {
			row := first + int64(i)
			if err := checkUser(user[i], noUser[i], row); err != nil {
				return err
			}
			switch {
			case noNumber[i]:
				return nullError(numberColumn, row)
			case number[i] < 0 || number[i] > math.MaxInt32:
				return fmt.Errorf("column %q: row %d is %d: want 0 to %d", numberColumn, row, number[i], math.MaxInt32)
			}
			if !yield(basket.Row{UserID: user[i], OrderedAt: at[i], Number: int(number[i]), Values: values[i*k : i*k+k : i*k+k]}) {
				return nil
			}
		}
	}
	return nil
}
