package basketparquet

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
)

// Orders yields the rows of the table orders, in the order of the files. After
// an error nothing comes. The Items of an order are valid until the next order. A
// goroutine decodes the next orders meanwhile; it has ended when a range
// statement over Orders ends, also by break or panic.
func Orders(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Order, error] {
	return sequence(ctx, fsys, tableFiles("orders"), readOrders)
}

func readOrders(f *scan.File, yield func([]basket.Order) bool) error {
	users, err := scan.Strings(f, "user_id")
	if err != nil {
		return err
	}
	times, err := scan.Times(f, "created_at")
	if err != nil {
		return err
	}
	lists, err := scan.IntLists(f, "ordered_items", basket.NoVariant)
	if err != nil {
		return err
	}
	r := &orderReader{users: users, times: times, lists: lists, rows: f.NumRows()}
	return prefetch(r.read, func(b *orderBatch) bool { return yield(b.orders) })
}

// maxOrders is the number of orders that are decoded at a time. It is large
// because each batch wakes the other goroutine.
const maxOrders = 8192

// An orderReader decodes orders of a file.
type orderReader struct {
	users     *scan.Column[string]
	times     *scan.Column[time.Time]
	lists     *scan.Lists
	row, rows int64 // rows read, and rows of the file
}

// An orderBatch is orders and the memory of their items.
type orderBatch struct {
	orders []basket.Order
	items  []int64
}

// read fills b with the next orders, or reports false after the last.
func (r *orderReader) read(b *orderBatch) (more bool, err error) {
	if r.row == r.rows {
		_, _, more, err := r.lists.Next() // checks the number of lists at the end
		if err == nil && more {
			err = fmt.Errorf("column %q has more lists than the %d rows of the file; the file is damaged", "ordered_items", r.rows)
		}
		return false, err
	}
	user, noUser, err := r.users.Read(int(min(maxOrders, r.rows-r.row)))
	if err != nil {
		return false, err
	}
	at, noTime, err := r.times.Read(len(user))
	if err != nil {
		return false, err
	}
	b.orders = slices.Grow(b.orders[:0], len(user))[:len(user)]
	b.items = b.items[:0]
	for i := range b.orders {
		if err := checkUser(user[i], noUser[i], r.row); err != nil {
			return false, err
		}
		items, noItems, more, err := r.lists.Next()
		switch {
		case err != nil:
			return false, err
		case !more:
			return false, fmt.Errorf("column %q has %d lists: want %d, the number of rows; the file is damaged", "ordered_items", r.row, r.rows)
		case noTime[i]:
			return false, nullError("created_at", r.row)
		case noItems:
			return false, nullError("ordered_items", r.row)
		}
		start := len(b.items)
		b.items = append(b.items, items...)
		end := len(b.items) // an append by the caller must not overwrite the next order
		b.orders[i] = basket.Order{UserID: user[i], OrderedAt: at[i], Items: b.items[start:end:end]}
		r.row++
	}
	return true, nil
}
