// Package basketparquet reads orders, regulars and inventory from parquet files
// into a [basket.Materializer], and writes and reads feature rows.
//
// Files are taken to be untrusted: one that is cut short, damaged or hostile is
// an error that wraps [basket.ErrData], not a panic and not a flood of memory.
// Every size that a file tells is held against the bytes that are there before
// anything is made from it. A checksum is checked where a file has one, and a
// page is at most 128 MiB.
//
// Accepted are files of any number of row groups and pages (versions 1 and 2);
// without compression or with Snappy, gzip, Brotli, zstd, LZ4 or LZ4_RAW; in the
// encodings PLAIN, RLE, dictionary, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY,
// DELTA_BYTE_ARRAY and BYTE_STREAM_SPLIT. Not accepted are encryption, LZO, levels
// in the encoding BIT_PACKED that the format dropped, and columns in other files.
package basketparquet

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"math/bits"
	"time"
	"unicode/utf8"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
)

// batch is how many rows are read at a time.
const batch = 1024

// Materialize reads the tables inventory, regulars and orders of fsys, each
// once and a batch at a time, into a new [basket.Materializer]. Orders are
// added in the order of the file; while some are, the next are decoded in a
// goroutine that ends before Materialize returns.
//
// The table orders is the file orders.parquet; or else the files *.parquet of a
// folder orders.parquet or orders, by name and without those that begin with a
// dot or an underscore; or else the files orders*.parquet, by name. So for the
// other two. These columns are read, and no others:
//
//   - orders: user_id, a string; created_at, a timestamp or a date, where one
//     without a time zone is UTC; ordered_items, a list of integers. No value
//     may be null. A null in a list is an item that is nobody's regular.
//   - regulars: user_id, a string, not null; variant_id, an integer. A null
//     variant is passed over.
//   - inventory: variant_id, an integer; price, a number or a decimal, where
//     null and NaN are an unknown price. A line without a variant counts too.
//
// An error wraps [basket.ErrData] and names file, column and, counted from
// zero in that file, row; that of a missing file wraps [fs.ErrNotExist] too.
func Materialize(fsys fs.FS, m basket.Meaning) (*basket.Materializer, error) {
	var read error // the sequences end at the first error, which is kept here
	nulls := nullItem{}
	regulars := func(yield func(basket.Regular) bool) {
		if read != nil {
			return
		}
		read = eachFile(fsys, "regulars", func(f *scan.File) error {
			return readRegulars(f, func(r basket.Regular) bool {
				nulls.avoid(r.VariantID)
				return yield(r)
			})
		})
	}
	inventory := func(yield func(basket.Item) bool) {
		read = eachFile(fsys, "inventory", func(f *scan.File) error { return readInventory(f, yield) })
	}
	mat, err := basket.NewMaterializer(iter.Seq[basket.Regular](regulars), iter.Seq[basket.Item](inventory), m)
	if read != nil && !errors.Is(read, errStop) {
		return nil, read
	}
	if err != nil {
		return nil, err
	}
	null, err := nulls.value()
	if err != nil {
		return nil, err
	}
	err = eachFile(fsys, "orders", func(f *scan.File) error { return readOrders(f, null, mat) })
	if err != nil {
		return nil, err
	}
	return mat, nil
}

// errStop says that the taker of a sequence has had enough.
var errStop = errors.New("stopped")

// eachFile calls use for the files of a table.
func eachFile(fsys fs.FS, table string, use func(*scan.File) error) error {
	files, err := find(fsys, table)
	if err != nil {
		return err
	}
	for _, name := range files {
		err := withFile(fsys, name, func(f *scan.File, size int64) error {
			// What is kept of a row takes memory, so a file may not claim rows
			// out of all proportion. Orders take over a byte each.
			if most := 1<<20 + 256*size; f.NumRows() > most {
				return fmt.Errorf("%d rows in %d bytes; want at most %d", f.NumRows(), size, most)
			}
			return use(f)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A nullItem finds an item that is nobody's regular, to stand for a null.
type nullItem struct{ taken uint64 } // bit i: math.MinInt64+i is a regular

func (n *nullItem) avoid(variant int64) {
	if variant < math.MinInt64+64 {
		n.taken |= 1 << (variant - math.MinInt64)
	}
}

func (n *nullItem) value() (int64, error) {
	i := bits.TrailingZeros64(^n.taken)
	if i == 64 {
		return 0, fmt.Errorf("basket: %w: regulars: the 64 least integers are all variant IDs; want one to be free", basket.ErrData)
	}
	return math.MinInt64 + int64(i), nil
}

func readInventory(f *scan.File, yield func(basket.Item) bool) error {
	variants, err := scan.Ints(f, "variant_id")
	if err != nil {
		return err
	}
	defer variants.Close()
	prices, err := scan.Floats(f, "price")
	if err != nil {
		return err
	}
	defer prices.Close()
	var variant [batch]int64
	var price [batch]float64
	var noVariant, noPrice [batch]bool
	for {
		n, err := variants.Read(variant[:], noVariant[:])
		if err != nil || n == 0 {
			return err
		}
		if err := readFull(prices, price[:n], noPrice[:n]); err != nil {
			return err
		}
		for i := range n {
			if noPrice[i] {
				price[i] = math.NaN()
			}
			if !yield(basket.Item{VariantID: variant[i], Price: price[i]}) {
				return errStop
			}
		}
	}
}

func readRegulars(f *scan.File, yield func(basket.Regular) bool) error {
	users, err := scan.Strings(f, "user_id")
	if err != nil {
		return err
	}
	defer users.Close()
	variants, err := scan.Ints(f, "variant_id")
	if err != nil {
		return err
	}
	defer variants.Close()
	var user [batch]string
	var variant [batch]int64
	var noUser, noVariant [batch]bool
	for row := 0; ; row += batch {
		n, err := users.Read(user[:], noUser[:])
		if err != nil || n == 0 {
			return err
		}
		if err := readFull(variants, variant[:n], noVariant[:n]); err != nil {
			return err
		}
		for i := range n {
			if err := checkUser(user[i], noUser[i], row+i); err != nil {
				return err
			}
			if !noVariant[i] && !yield(basket.Regular{UserID: user[i], VariantID: variant[i]}) {
				return errStop
			}
		}
	}
}

// readOrders adds the orders of a file. It decodes ahead of what it adds.
func readOrders(f *scan.File, null int64, m *basket.Materializer) error {
	c, err := openOrders(f, null)
	if err != nil {
		return err
	}
	defer c.close()
	return ahead(c.read, func(b *orderBatch) error {
		for _, o := range b.orders {
			if err := m.Add(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// ordersAhead is how many orders are decoded ahead: so many that waking the other
// goroutine takes little of the time.
const ordersAhead = 8192

// orderColumns reads the columns of orders.
type orderColumns struct {
	users *scan.Column[string]
	times *scan.Column[time.Time]
	lists *scan.Lists
	row   int // rows read

	user           [ordersAhead]string
	at             [ordersAhead]time.Time
	noUser, noTime [ordersAhead]bool
}

// An orderBatch is orders and the memory of their items.
type orderBatch struct {
	orders []basket.Order
	items  []int64
}

func openOrders(f *scan.File, null int64) (c *orderColumns, err error) {
	c = &orderColumns{}
	if c.users, err = scan.Strings(f, "user_id"); err != nil {
		return nil, err
	}
	if c.times, err = scan.Times(f, "created_at"); err != nil {
		c.users.Close()
		return nil, err
	}
	if c.lists, err = scan.IntLists(f, "ordered_items", null); err != nil {
		c.users.Close()
		c.times.Close()
		return nil, err
	}
	return c, nil
}

func (c *orderColumns) close() {
	c.users.Close()
	c.times.Close()
	c.lists.Close()
}

// read fills b with the next orders; there are none after the last.
func (c *orderColumns) read(b *orderBatch) (more bool, err error) {
	n, err := c.users.Read(c.user[:], c.noUser[:])
	if err != nil {
		return false, err
	}
	if n == 0 {
		// The lists' rows are counted when they end.
		_, _, more, err := c.lists.Next()
		return false, errors.Join(err, unequal(more, "ordered_items"))
	}
	if err := readFull(c.times, c.at[:n], c.noTime[:n]); err != nil {
		return false, err
	}
	b.orders, b.items = b.orders[:0], b.items[:0]
	for i := range n {
		if err := checkUser(c.user[i], c.noUser[i], c.row+i); err != nil {
			return false, err
		}
		items, noItems, ok, err := c.lists.Next()
		switch {
		case err != nil:
			return false, err
		case !ok:
			return false, unequal(true, "ordered_items")
		case c.noTime[i]:
			return false, nullError("created_at", c.row+i)
		case noItems:
			return false, nullError("ordered_items", c.row+i)
		}
		start := len(b.items)
		b.items = append(b.items, items...)
		b.orders = append(b.orders, basket.Order{UserID: c.user[i], CreatedAt: c.at[i], Items: b.items[start:]})
	}
	c.row += n
	return true, nil
}

func checkUser(user string, null bool, row int) error {
	switch {
	case null:
		return nullError("user_id", row)
	case !utf8.ValidString(user):
		return fmt.Errorf("column user_id: row %d is %q; want UTF-8", row, user)
	}
	return nil
}

func nullError(column string, row int) error {
	return fmt.Errorf("column %s: row %d is null; remove the row or fill the value in", column, row)
}

// readFull reads as many values as the other columns have.
func readFull[T any](c *scan.Column[T], dst []T, null []bool) error {
	n, err := c.Read(dst, null)
	if err != nil {
		return err
	}
	return unequal(n < len(dst), c.Name())
}

func unequal(is bool, column string) error {
	if !is {
		return nil
	}
	return fmt.Errorf("column %s has another number of rows than the columns beside it; the file is damaged", column)
}
