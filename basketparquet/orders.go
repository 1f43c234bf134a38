package basketparquet

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/basket-go/basket/internal/columns"
)

// Orders yields the rows of the table orders, in the order of the files. After an
// error nothing comes. The Items of an order are valid until the next order. A
// UserID is part of a larger string, of a page: clone it if you keep few of them.
func Orders(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Order, error] {
	return tableRows(ctx, fsys, "orders", eachOrder)
}

// Regulars yields the rows of the table regulars. After an error nothing comes. A
// UserID is part of a larger string, of a page: clone it if you keep few of them.
func Regulars(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Regular, error] {
	return tableRows(ctx, fsys, "regulars", eachRegular)
}

func eachOrder(f *scan.File, yield func(basket.Order) bool) error {
	var checkErr error
	err := readOrders(f, scan.Strings, new(columns.Batch), func(b *columns.Batch) *columns.Batch {
		start := 0
		for i, end := range b.Ends {
			if checkErr = b.Check(i); checkErr != nil {
				return nil
			}
			// An append by the caller must not overwrite the next order.
			o := basket.Order{UserID: b.ID(i), OrderedAt: time.Unix(b.Times[i].Sec, int64(b.Times[i].Nsec)).UTC(), Items: b.Items[start:end:end]}
			if !yield(o) {
				return nil
			}
			start = end
		}
		b.Reset()
		return b
	})
	return cmp.Or(checkErr, err)
}

func eachRegular(f *scan.File, yield func(basket.Regular) bool) error {
	var checkErr error
	err := readRegulars(f, scan.Strings, new(columns.Batch), func(b *columns.Batch) *columns.Batch {
		for i, variant := range b.Items {
			if checkErr = b.Check(i); checkErr != nil {
				return nil
			}
			if !yield(basket.Regular{UserID: b.ID(i), VariantID: variant}) {
				return nil
			}
		}
		b.Reset()
		return b
	})
	return cmp.Or(checkErr, err)
}

// An openStrings opens a column of strings: scan.Strings or, if pass does not keep
// the strings, scan.PageStrings.
type openStrings func(f *scan.File, name string) (*scan.Column[string], error)

// readOrders passes the orders of a file on, in batches.
func readOrders(f *scan.File, open openStrings, b *columns.Batch, pass columns.Pass) error {
	users, err := newUserReader(f, open)
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
	for row := f.FirstRow(); row < f.FirstRow()+f.NumRows(); {
		n, err := users.read(b, row, f.FirstRow()+f.NumRows()-row)
		if err != nil {
			return err
		}
		at, noTime, err := times.Read(n)
		if err != nil {
			return err
		}
		for i := range n {
			items, noItems, more, err := lists.Next()
			switch {
			case err != nil:
				return err
			case !more:
				return fmt.Errorf("column %q has no list for row %d; the file is damaged", "ordered_items", row)
			case noTime[i]:
				return nullError("created_at", row)
			case noItems:
				return nullError("ordered_items", row)
			}
			b.Items = append(b.Items, items...)
			b.Ends = append(b.Ends, len(b.Items))
			b.Times = append(b.Times, columns.Time{Sec: at[i].Unix(), Nsec: int32(at[i].Nanosecond())})
			row++
		}
		if b = pass(b); b == nil {
			return nil
		}
	}
	_, _, more, err := lists.Next() // checks the number of lists at the end
	if err == nil && more {
		err = fmt.Errorf("column %q has more lists than the %d rows of the file; the file is damaged", "ordered_items", f.NumRows())
	}
	return err
}

// readRegulars passes the regulars of a file on, in batches.
func readRegulars(f *scan.File, open openStrings, b *columns.Batch, pass columns.Pass) error {
	users, err := newUserReader(f, open)
	if err != nil {
		return err
	}
	variants, err := scan.Ints(f, "variant_id")
	if err != nil {
		return err
	}
	for row := f.FirstRow(); row < f.FirstRow()+f.NumRows(); {
		n, err := users.read(b, row, f.FirstRow()+f.NumRows()-row)
		if err != nil {
			return err
		}
		variant, noVariant, err := variants.Read(n)
		if err != nil {
			return err
		}
		b.Items = append(b.Items, variant...)
		if slices.Contains(noVariant, true) {
			if err := removeRows(b, noVariant); err != nil {
				return err
			}
		}
		row += int64(n)
		if b.Len() == 0 {
			continue
		}
		if b = pass(b); b == nil {
			return nil
		}
	}
	return nil
}

// removeRows removes those regulars from a batch whose variant is null.
func removeRows(b *columns.Batch, null []bool) error {
	for i := range null {
		if err := b.Check(i); err != nil { // while it knows the rows
			return err
		}
	}
	b.Check = func(int) error { return nil }
	kept := 0
	for i := range null {
		if null[i] {
			continue
		}
		b.Items[kept] = b.Items[i]
		if b.Dictionary != nil {
			b.Indexes[kept] = b.Indexes[i]
		} else {
			b.IDs[kept] = b.IDs[i]
		}
		kept++
	}
	b.Items, b.IDs, b.Indexes = b.Items[:kept], b.IDs[:min(kept, len(b.IDs))], b.Indexes[:min(kept, len(b.Indexes))]
	return nil
}

// A userReader reads the column user_id.
type userReader struct {
	column     *scan.Column[string]
	dictionary *columns.Dictionary // the last one
}

func newUserReader(f *scan.File, open openStrings) (*userReader, error) {
	c, err := open(f, "user_id")
	return &userReader{column: c}, err
}

// read sets the user IDs of an empty batch to the next ones, at most n, and returns
// their number. Row is the number of the first.
func (u *userReader) read(b *columns.Batch, row, n int64) (int, error) {
	p, err := u.column.ReadPart(int(min(n, batch)))
	switch {
	case err != nil:
		return 0, err
	case p.HasNull:
		return 0, nullError("user_id", row+int64(p.Null))
	case p.Dictionary == nil:
		b.IDs, b.Volatile = append(b.IDs, p.Values...), true
	default:
		if u.dictionary == nil || &u.dictionary.IDs[0] != &p.Dictionary[0] {
			u.dictionary = columns.NewDictionary(p.Dictionary)
		}
		b.Dictionary, b.Indexes = u.dictionary, append(b.Indexes, p.Indexes...)
	}
	b.Check = func(i int) error {
		if utf8.ValidString(b.ID(i)) {
			return nil
		}
		for i := range b.Len() { // the first one, whichever was found
			if id := b.ID(i); !utf8.ValidString(id) {
				return userError(id, row+int64(i))
			}
		}
		return nil
	}
	return b.Len(), nil
}

func userError(id string, row int64) error {
	return fmt.Errorf("column %q: row %d is %.64q: want UTF-8", "user_id", row, id)
}
