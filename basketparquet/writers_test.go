package basketparquet

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// An order is written with parquet-go, which also writes the older forms of lists
// that pyarrow does not write.
type order struct {
	User  string    `parquet:"user_id"`
	At    time.Time `parquet:"created_at,timestamp(microsecond)"`
	Items []int64   `parquet:"ordered_items"` // a repeated field without LIST
}

func writeParquet[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// annotated is a group with a logical type.
type annotated struct {
	parquet.Group
	typ parquet.Type
}

func (a annotated) Type() parquet.Type { return a.typ }

func TestMaterialize_listShapes(t *testing.T) {
	list := func(g parquet.Group) parquet.Node {
		return annotated{g, parquet.List(parquet.Int(64)).Type()}
	}
	tests := map[string]struct {
		items  parquet.Node
		levels [][3]int // repetition, definition and, if there is an item, its value
		counts []float64
		err    string
	}{
		"two-level": {
			items:  list(parquet.Group{"array": parquet.Repeated(parquet.Int(64))}),
			levels: [][3]int{{0, 1, 5}, {1, 1, 6}, {0, 0}, {0, 1, 7}},
			counts: []float64{2, 0, 1},
		},
		"two-level-optional": {
			items:  parquet.Optional(list(parquet.Group{"element": parquet.Repeated(parquet.Int(32))})),
			levels: [][3]int{{0, 2, 5}, {1, 2, 6}, {0, 1}, {0, 2, 7}},
			counts: []float64{2, 0, 1},
		},
		"repeated": {
			items:  parquet.Repeated(parquet.Int(64)),
			levels: [][3]int{{0, 1, 5}, {1, 1, 6}, {0, 0}, {0, 1, 7}},
			counts: []float64{2, 0, 1},
		},
		"hive": {
			items:  parquet.Optional(list(parquet.Group{"bag": parquet.Repeated(parquet.Group{"array_element": parquet.Optional(parquet.Int(64))})})),
			levels: [][3]int{{0, 3, 5}, {1, 2}, {0, 1}, {0, 3, 7}},
			counts: []float64{2, 0, 1},
		},
		"structures": {
			items:  list(parquet.Group{"array": parquet.Repeated(parquet.Group{"x": parquet.Int(64)})}),
			levels: [][3]int{{0, 1, 5}, {1, 1, 6}, {0, 0}, {0, 1, 7}},
			err:    `basket: bad data: orders.parquet: column "ordered_items" is of type LIST of repeated group of 1 columns: want a list of integers (LIST, or repeated, of INT32 or INT64)`,
		},
		"null": {
			items:  parquet.Optional(list(parquet.Group{"array": parquet.Repeated(parquet.Int(64))})),
			levels: [][3]int{{0, 2, 5}, {0, 1}, {0, 0}},
			err:    `basket: bad data: orders.parquet: column "ordered_items": row 2 is null: want a value in each row`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// Columns are in alphabetical order: created_at, ordered_items, user_id.
			schema := parquet.NewSchema("orders", parquet.Group{
				"created_at": parquet.Timestamp(parquet.Millisecond), "ordered_items": test.items, "user_id": parquet.String(),
			})
			var rows []parquet.Row
			for _, l := range test.levels {
				if l[0] == 0 {
					rows = append(rows, parquet.Row{parquet.Int64Value(int64(len(rows))).Level(0, 0, 0)})
				}
				v := parquet.NullValue()
				if l[2] != 0 {
					v = parquet.Int64Value(int64(l[2]))
				}
				rows[len(rows)-1] = append(rows[len(rows)-1], v.Level(l[0], l[1], 1))
			}
			for i := range rows {
				rows[i] = append(rows[i], parquet.ByteArrayValue([]byte("u")).Level(0, 0, 2))
			}
			var b bytes.Buffer
			//nolint:staticcheck // deprecated, but GenericWriter panics on lists of two levels (v0.32.0)
			w := parquet.NewWriter(&b, schema)
			if _, err := w.WriteRows(rows); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			fsys := tables(t, "", "")
			fsys["orders.parquet"] = &fstest.MapFile{Data: b.Bytes()}
			m, err := Materialize(t.Context(), fsys, basket.NextOrder)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error\n%v\nwant\n%s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for _, r := range collect(t, m.Rows(t.Context())) {
				got = append(got, r.Values[1])
			}
			if diff := cmp.Diff(test.counts, got); diff != "" {
				t.Errorf("item counts (-want +got):\n%s", diff)
			}
		})
	}
}

// numbers has every encoding that parquet-go writes.
type numbers struct {
	Plain   float64  `parquet:"plain,plain"`
	Dict    *float64 `parquet:"dict,optional,dict"`
	Split   float64  `parquet:"split,split"`
	SplitF  *float32 `parquet:"splitf,optional,split"`
	Delta   int64    `parquet:"delta,delta"`
	Delta32 int32    `parquet:"delta32,delta"`
	Bool    *bool    `parquet:"bool,optional"`
	Dec     int64    `parquet:"dec,decimal(2:18)"`
}

func TestTable_parquetGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, codec := range []struct {
		name  string
		codec parquet.WriterOption
	}{
		{"none", parquet.Compression(&parquet.Uncompressed)},
		{"snappy", parquet.Compression(&parquet.Snappy)},
		{"gzip", parquet.Compression(&parquet.Gzip)},
		{"brotli", parquet.Compression(&parquet.Brotli)},
		{"zstd", parquet.Compression(&parquet.Zstd)},
		{"lz4", parquet.Compression(&parquet.Lz4Raw)},
	} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/v%d", codec.name, version), func(t *testing.T) {
				rows := make([]numbers, 5000)
				var want []float64
				for i := range rows {
					rows[i] = randomNumbers(r)
					want = append(want, rows[i].values()...)
				}
				b := writeParquet(t, rows, codec.codec, parquet.DataPageVersion(version), parquet.PageBufferSize(3000), parquet.MaxRowsPerRowGroup(1700))
				table, err := OpenTable(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				if table.NumRows() != 5000 || !slices.Equal(table.Columns(), []string{"plain", "dict", "split", "splitf", "delta", "delta32", "bool", "dec"}) {
					t.Errorf("%d rows of %q", table.NumRows(), table.Columns())
				}
				var got []float64
				for batch, err := range table.Rows(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, batch...)
				}
				if !slices.EqualFunc(want, got, same) {
					t.Error("other values were read than written")
				}
			})
		}
	}
}

func same(a, b float64) bool { return a == b || a != a && b != b }

func randomNumbers(r *rand.Rand) numbers {
	n := numbers{Plain: r.NormFloat64(), Split: r.NormFloat64(), Delta: int64(r.Uint64()) >> r.IntN(64), Dec: r.Int64N(1e15)}
	if r.IntN(3) > 0 {
		n.Dict = new(float64(r.IntN(300)))
		n.SplitF = new(r.Float32())
	}
	if r.IntN(3) > 0 {
		n.Delta32 = int32(r.Uint32())
		n.Bool = new(r.IntN(2) == 0)
	}
	return n
}

func (n numbers) values() []float64 {
	fields := reflect.ValueOf(n)
	var v []float64
	for i := range fields.NumField() {
		f := fields.Field(i)
		if f.Kind() == reflect.Pointer {
			if f.IsNil() {
				v = append(v, math.NaN())
				continue
			}
			f = f.Elem()
		}
		switch {
		case f.CanFloat():
			v = append(v, f.Float())
		case f.Kind() == reflect.Bool && f.Bool():
			v = append(v, 1)
		case f.Kind() == reflect.Bool:
			v = append(v, 0)
		default:
			v = append(v, float64(f.Int()))
		}
	}
	v[len(v)-1] /= 100
	return v
}
