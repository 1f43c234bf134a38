// Package basketparquet reads orders, regulars and inventory from parquet files
// for a [basket.Materializer], and writes and reads feature rows.
//
// The tables are orders, regulars and inventory. The table orders is the file
// orders.parquet; or else the files *.parquet of a folder orders.parquet or
// orders, by name and without those that begin with a dot or an underscore; or
// else the files orders*.parquet, by name. The same holds for the other two.
// These columns are read, and no others:
//
//   - orders: user_id, a string; created_at, a timestamp or a date, in UTC if it
//     has no time zone; ordered_items, a list of integers. No value may be null. A
//     null in a list is [basket.NoVariant].
//   - regulars: user_id, a string, not null; variant_id, an integer. A row with a
//     null variant is skipped.
//   - inventory: variant_id, an integer; price, a number or a decimal. Null and
//     NaN are an unknown price. A row with a null variant counts too.
//
// # Files
//
// Files may have any number of row groups and pages (versions 1 and 2); no
// compression, Snappy, gzip, Brotli, zstd, LZ4 or LZ4_RAW; and the encodings
// PLAIN, RLE, dictionary, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY,
// DELTA_BYTE_ARRAY and BYTE_STREAM_SPLIT. Encryption, LZO, levels in the encoding
// BIT_PACKED, which the format has dropped, and columns in other files are not
// supported.
//
// Files may be damaged or hostile: the result is then an error that wraps
// [basket.ErrData], not a panic, and memory is bounded. Every size in a file is
// checked against the available bytes before memory is allocated. Checksums are
// checked where a file has them. Most writers stay far below the limits. Fastparquet
// writes one page for each column of a row group: let it write row groups of at
// most two million rows.
//
//   - A page has at most 128 MiB uncompressed, a dictionary 32 MiB. A page of
//     more than 20 MiB is at most 256 times as large as its compressed bytes.
//   - A file of orders, regulars, inventory or feature rows has at most 1,048,576
//     rows and 256 more for each of its bytes.
//   - A list has at most 1,048,576 items, and the lists of a file 16,777,216 and
//     1,024 more for each of its bytes.
//   - 1,024 successive strings in a DELTA encoding have at most 8 MiB.
//
// # Errors
//
// Errors name the file, the column and, counted from zero in the file, the row.
// They wrap [basket.ErrData]; that of a missing file also wraps [fs.ErrNotExist].
// If a context is done, the error is its Err. The error of a sequence that is
// written is returned as it is, and that of an io.Writer does not wrap ErrData.
package basketparquet

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"unicode/utf8"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet/internal/scan"
	"github.com/basket-go/basket/internal/columns"
)

// batch is the number of rows that are read at a time.
const batch = 1024

// Materialize returns a [basket.Materializer] of the tables inventory, regulars
// and orders of fsys. With [basket.WithGoroutines] it reads several row groups at
// the same time; fsys must then be safe for concurrent use.
func Materialize(ctx context.Context, fsys fs.FS, opts ...basket.MaterializerOption) (*basket.Materializer, error) {
	m, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), Inventory(ctx, fsys), opts...)
	if err != nil {
		return nil, err
	}
	regulars, err := split(ctx, fsys, "regulars", readRegulars)
	if err != nil {
		return nil, err
	}
	if err := columns.AddRegulars(m, regulars); err != nil {
		return nil, err
	}
	orders, err := split(ctx, fsys, "orders", readOrders)
	if err != nil {
		return nil, err
	}
	if err := columns.AddOrders(m, orders); err != nil {
		return nil, err
	}
	return m, nil
}

// A readColumns passes rows of a file on, in batches.
type readColumns func(*scan.File, openStrings, *columns.Batch, columns.Pass) error

// partRows is about the least number of rows of a part. Tests set it.
var partRows int64 = 1 << 18

// split returns a table in parts that can be read at the same time. A part is some
// row groups if they are small, because each part reads the footers of its files
// again.
func split(ctx context.Context, fsys fs.FS, table string, read readColumns) ([]columns.Part, error) {
	names, err := tableFiles(fsys, table)
	if err != nil {
		return nil, err
	}
	var all []columns.Part
	var parts []part // of the next one
	rows := int64(0)
	flush := func() {
		if len(parts) > 0 {
			all = append(all, columnsPart(ctx, fsys, parts, read))
		}
		parts, rows = nil, 0
	}
	for _, name := range names {
		groups, err := groupRows(ctx, fsys, name)
		if err != nil {
			return nil, err
		}
		if len(groups) == 0 { // the columns are checked nevertheless
			parts = append(parts, part{file: name})
		}
		for g, n := range groups {
			if rows > 0 && rows+n > partRows {
				flush()
			}
			if last := len(parts) - 1; g == 0 || last < 0 {
				parts = append(parts, part{name, g, []int64{n}})
			} else {
				parts[last].rows = append(parts[last].rows, n)
			}
			rows += n
		}
	}
	flush()
	return all, nil
}

// columnsPart returns parts of files as one part.
func columnsPart(ctx context.Context, fsys fs.FS, parts []part, read readColumns) columns.Part {
	return func(b *columns.Batch, pass columns.Pass) error {
		stopped := false
		file := ""
		passOn := func(full *columns.Batch) *columns.Batch {
			check, file := full.Check, file
			full.Check = func(row int) error {
				if err := check(row); err != nil {
					return dataError(file, err)
				}
				return nil
			}
			next := pass(full)
			if next == nil || ctx.Err() != nil {
				stopped = true
				return nil
			}
			b = next
			return next
		}
		for i := 0; i < len(parts) && !stopped && ctx.Err() == nil; i++ {
			file = parts[i].file
			err := withFile(fsys, file, func(f *scan.File) error {
				f, err := parts[i].of(f)
				if err != nil {
					return err
				}
				return read(f, scan.PageStrings, b, passOn)
			})
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	}
}

// Inventory yields the rows of the table inventory. After an error nothing comes.
func Inventory(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Item, error] {
	return tableRows(ctx, fsys, "inventory", readInventory)
}

func readInventory(f *scan.File, yield func(basket.Item) bool) error {
	variants, err := scan.Ints(f, "variant_id")
	if err != nil {
		return err
	}
	prices, err := scan.Floats(f, "price")
	if err != nil {
		return err
	}
	for row := int64(0); row < f.NumRows(); row += batch {
		variant, _, err := variants.Read(int(min(batch, f.NumRows()-row)))
		if err != nil {
			return err
		}
		price, noPrice, err := prices.Read(len(variant))
		if err != nil {
			return err
		}
		for i := range variant {
			if noPrice[i] {
				price[i] = math.NaN()
			}
			if !yield(basket.Item{VariantID: variant[i], Price: price[i]}) {
				return nil
			}
		}
	}
	return nil
}

// checkUser checks the user ID of a row.
func checkUser(userID string, null bool, row int64) error {
	switch {
	case null:
		return nullError("user_id", row)
	case !utf8.ValidString(userID):
		return userError(userID, row)
	}
	return nil
}

func nullError(column string, row int64) error {
	return fmt.Errorf("column %q: row %d is null: want a value in each row", column, row)
}
