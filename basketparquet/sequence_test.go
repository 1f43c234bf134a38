package basketparquet

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// A reading is one of the sequences of this package without its values. It calls
// each with the error of every step, until that returns false.
type reading func(ctx context.Context, fsys fs.FS, each func(error) bool)

func readingOf[T any](seq func(context.Context, fs.FS) iter.Seq2[T, error]) reading {
	return func(ctx context.Context, fsys fs.FS, each func(error) bool) {
		for _, err := range seq(ctx, fsys) {
			if !each(err) {
				break
			}
		}
	}
}

// readings has every sequence, over a file system of largeTables.
func readings(t testing.TB) map[string]reading {
	return map[string]reading{
		"orders":    readingOf(Orders),
		"regulars":  readingOf(Regulars),
		"inventory": readingOf(Inventory),
		"rows": readingOf(func(ctx context.Context, fsys fs.FS) iter.Seq2[basket.Row, error] {
			return Rows(ctx, fsys, "rows.parquet", "price")
		}),
		"table": readingOf(func(ctx context.Context, fsys fs.FS) iter.Seq2[[]float64, error] {
			b, err := fs.ReadFile(fsys, "rows.parquet")
			if err != nil {
				t.Fatal(err)
			}
			return openTable(t, b).Rows(ctx, "price")
		}),
	}
}

const largeRows = 24 * batch

// largeTables has files of several batches that serve as every table.
func largeTables(t testing.TB) fstest.MapFS {
	type row struct {
		User    string    `parquet:"user_id"`
		At      time.Time `parquet:"created_at,timestamp(microsecond)"`
		Items   []int64   `parquet:"ordered_items"`
		Variant int64     `parquet:"variant_id"`
		Price   float64   `parquet:"price"`
		Number  int64     `parquet:"total_orders"`
	}
	rows := make([]row, largeRows)
	for i := range rows {
		rows[i] = row{"u", time.Unix(int64(i), 0), []int64{int64(i), 2}, int64(i), 1, 1}
	}
	file := &fstest.MapFile{Data: writeParquet(t, rows)}
	return fstest.MapFS{"orders.parquet": file, "regulars.parquet": file, "inventory.parquet": file, "rows.parquet": file}
}

// A sequence ends soon after ctx is done, with an error that is not ErrData.
func TestSequences_canceled(t *testing.T) {
	fsys := largeTables(t)
	for name, read := range readings(t) {
		for _, after := range []int{0, 1, 5} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if after == 0 {
					cancel()
				}
				n, last := 0, error(nil)
				read(ctx, fsys, func(err error) bool {
					if last != nil {
						t.Errorf("%s: %v after the error %v", name, err, last)
					}
					last = err
					if n++; n == after {
						cancel()
					}
					return true
				})
				cancel()
				if !errors.Is(last, context.Canceled) || errors.Is(last, basket.ErrData) || n > after+batch {
					t.Errorf("%s: error %v after %d steps, canceled after %d", name, last, n, after)
				}
			})
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if m, err := Materialize(ctx, fsys); m != nil || !errors.Is(err, context.Canceled) || errors.Is(err, basket.ErrData) {
		t.Errorf("Materialize: %v, error %v", m, err)
	}
}

// No goroutine is left when a range statement ends early, and no value comes. The
// synctest bubble fails a test that leaves a goroutine.
func TestSequences_endEarly(t *testing.T) {
	fsys := largeTables(t)
	for name, read := range readings(t) {
		for _, after := range []int{1, 7, 20} {
			for _, panics := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					n := 0
					func() {
						defer func() {
							if v := recover(); (v != nil) != panics {
								t.Errorf("%s: recovered %v", name, v)
							}
						}()
						read(t.Context(), fsys, func(err error) bool {
							if n++; err != nil {
								t.Errorf("%s: %v", name, err)
							}
							if n == after && panics {
								panic("caller")
							}
							return n < after
						})
					}()
					if n != after {
						t.Errorf("%s: %d steps: want %d", name, n, after)
					}
				})
			}
		}
	}
}

// After an error, which comes once, nothing comes.
func TestSequences_errorIsLast(t *testing.T) {
	fsys := largeTables(t)
	bad := slices.Clone(fsys["orders.parquet"].Data)
	clear(bad[len(bad)/10 : len(bad)/10*9])
	damaged, missing := fstest.MapFS{}, fstest.MapFS{"rows.parquet": {Data: bad}}
	for _, name := range []string{"orders/1.parquet", "regulars/1.parquet", "inventory/1.parquet", "rows.parquet"} {
		damaged[name] = &fstest.MapFile{Data: bad}
		damaged[strings.Replace(name, "1", "2", 1)] = &fstest.MapFile{Data: bad}
	}
	for name, read := range readings(t) {
		for _, fsys := range []fs.FS{damaged, missing} {
			var errs []error
			read(t.Context(), fsys, func(err error) bool {
				if len(errs) > 0 {
					t.Errorf("%s: %v after the error %v", name, err, errs[0])
				}
				if err != nil {
					errs = append(errs, err)
				}
				return true
			})
			if len(errs) != 1 || !errors.Is(errs[0], basket.ErrData) {
				t.Errorf("%s: errors %v: want one that wraps ErrData", name, errs)
			}
		}
	}
}

func TestOrders_rows(t *testing.T) {
	n := 0
	for o, err := range Orders(t.Context(), largeTables(t)) {
		want := basket.Order{UserID: "u", OrderedAt: time.Unix(int64(n), 0).UTC(), Items: []int64{int64(n), 2}}
		if err != nil || !cmp.Equal(want, o) {
			t.Fatalf("order %d is %v, %v: want %v", n, o, err, want)
		}
		n++
	}
	if n != largeRows {
		t.Errorf("%d orders: want %d", n, largeRows)
	}
}

// A null item is NoVariant, which is nobody's regular.
func TestOrders_nullItem(t *testing.T) {
	nulls := 0
	for o, err := range Orders(t.Context(), tables(t, "orders", "orders/null-items.parquet")) {
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range o.Items {
			if item == basket.NoVariant {
				nulls++
			}
		}
	}
	if nulls == 0 {
		t.Error("no item is NoVariant")
	}
}

func TestMaterialize_regularNoVariant(t *testing.T) {
	type regular struct {
		User    string `parquet:"user_id"`
		Variant int64  `parquet:"variant_id"`
	}
	fsys := tables(t, "", "")
	fsys["regulars.parquet"] = &fstest.MapFile{Data: writeParquet(t, []regular{{"u", math.MinInt64 + 1}, {"u", basket.NoVariant}})}
	_, err := Materialize(t.Context(), fsys)
	want := `basket: bad data: regulars: user "u" has the variant ID -9223372036854775808, which stands for an unknown variant`
	if err == nil || err.Error() != want || !errors.Is(err, basket.ErrData) {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}
