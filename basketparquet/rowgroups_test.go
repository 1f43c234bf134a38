package basketparquet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

type orderRow struct {
	User  string    `parquet:"user_id"`
	At    time.Time `parquet:"created_at,timestamp(millisecond)"`
	Items []int64   `parquet:"ordered_items,list"`
}

type regularRow struct {
	User    string `parquet:"user_id"`
	Variant *int64 `parquet:"variant_id"`
}

type itemRow struct {
	Variant int64   `parquet:"variant_id"`
	Price   float64 `parquet:"price"`
}

// manyGroups returns tables of many row groups: of orders in two files.
func manyGroups(t testing.TB, options ...parquet.WriterOption) fstest.MapFS {
	r := rand.New(rand.NewPCG(3, 4))
	options = append(options, parquet.MaxRowsPerRowGroup(2500), parquet.PageBufferSize(9000))
	user := func() string { return fmt.Sprintf("customer-%0*d", 1+r.IntN(70), r.IntN(500)) }
	orders := make([]orderRow, 20_000)
	for i := range orders {
		items := make([]int64, r.IntN(6))
		for k := range items {
			items[k] = int64(r.IntN(30))
		}
		orders[i] = orderRow{user(), time.Unix(int64(r.IntN(100)), 0), items}
	}
	regulars := make([]regularRow, 9000)
	for i := range regulars {
		regulars[i].User = user()
		if i%7 > 0 {
			v := int64(r.IntN(30))
			regulars[i].Variant = &v
		}
	}
	return fstest.MapFS{
		"orders/1.parquet":  {Data: writeParquet(t, orders[:12_000], options...)},
		"orders/2.parquet":  {Data: writeParquet(t, orders[12_000:], options...)},
		"regulars.parquet":  {Data: writeParquet(t, regulars, options...)},
		"inventory.parquet": {Data: writeParquet(t, []itemRow{{1, 2.5}, {2, 1.3}})},
	}
}

// smallParts makes a part of each row group.
func smallParts(t *testing.T) {
	before := partRows
	partRows = 1
	t.Cleanup(func() { partRows = before })
}

func allRows(t testing.TB, m *basket.Materializer) []basket.Row {
	t.Helper()
	var rows []basket.Row
	for row, err := range m.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// TestMaterialize_goroutines: row groups that are read side by side give the rows,
// to the last bit and in order, that a Materializer computes from the sequences.
func TestMaterialize_goroutines(t *testing.T) {
	smallParts(t)
	encodings := map[string][]parquet.WriterOption{
		"plain":             {parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.DataPageVersion(1)},
		"plain-compressed":  {parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.Compression(&parquet.Snappy)},
		"dictionary":        {parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.RLEDictionary)},
		"dictionary-packed": {parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.RLEDictionary), parquet.Compression(&parquet.Zstd), parquet.DataPageVersion(1)},
		"delta":             {parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.DeltaByteArray)},
	}
	for name, options := range encodings {
		t.Run(name, func(t *testing.T) {
			fsys := manyGroups(t, options...)
			plain, err := basket.NewMaterializer(Regulars(t.Context(), fsys), Inventory(t.Context(), fsys))
			if err == nil {
				err = plain.AddAll(Orders(t.Context(), fsys))
			}
			if err != nil {
				t.Fatal(err)
			}
			want := allRows(t, plain)
			if len(want) < 4000 {
				t.Fatalf("%d rows: want some thousand", len(want))
			}
			for _, n := range []int{1, 2, 7} {
				partRows = 1
				if n == 7 {
					partRows = 1 << 18 // one part, whose batches go to other goroutines
				}
				m, err := Materialize(t.Context(), fsys, basket.WithGoroutines(n))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, allRows(t, m)); diff != "" {
					t.Errorf("%d goroutines (-want +got):\n%s", n, diff)
				}
				if m.Users() != plain.Users() {
					t.Errorf("%d goroutines: %d users, want %d", n, m.Users(), plain.Users())
				}
			}
		})
	}
}

// TestMaterialize_progress: the last call tells the number of all regulars with a
// variant and of all orders.
func TestMaterialize_progress(t *testing.T) {
	smallParts(t)
	fsys := manyGroups(t)
	want := int64(20_000)
	for range Regulars(t.Context(), fsys) {
		want++
	}
	for _, n := range []int{1, 3} {
		calls, last := 0, int64(0)
		_, err := Materialize(t.Context(), fsys, basket.WithGoroutines(n), basket.WithProgress(func(rows int64) {
			if calls++; rows <= last {
				t.Errorf("%d rows after %d", rows, last)
			}
			last = rows
		}))
		if err != nil || last != want || calls < 20 {
			t.Errorf("%d goroutines: %d calls, the last with %d rows: want %d; error %v", n, calls, last, want, err)
		}
	}
}

// TestRowGroups: the row groups, one by one, are the table.
func TestRowGroups(t *testing.T) {
	fsys := manyGroups(t)
	groups, err := RowGroups(t.Context(), fsys, "orders")
	if err != nil {
		t.Fatal(err)
	}
	var got, want []basket.Order
	for _, g := range groups {
		b, err := json.Marshal(g) // as a distributed engine would send it
		if err != nil {
			t.Fatal(err)
		}
		var sent RowGroup
		if err := json.Unmarshal(b, &sent); err != nil {
			t.Fatal(err)
		}
		n := int64(len(got))
		for o, err := range sent.Orders(t.Context(), fsys) {
			if err != nil {
				t.Fatal(err)
			}
			o.Items = slices.Clone(o.Items)
			got = append(got, o)
		}
		if n = int64(len(got)) - n; n != g.Rows {
			t.Errorf("%+v: %d rows", g, n)
		}
	}
	for o, err := range Orders(t.Context(), fsys) {
		if err != nil {
			t.Fatal(err)
		}
		o.Items = slices.Clone(o.Items)
		want = append(want, o)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
	if len(groups) != 9 || groups[5] != (RowGroup{"orders/2.parquet", 0, 2500}) || groups[8] != (RowGroup{"orders/2.parquet", 3, 500}) {
		t.Errorf("row groups %+v", groups)
	}

	items := 0
	if groups, err = RowGroups(t.Context(), fsys, "inventory"); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for item, err := range g.Inventory(t.Context(), fsys) {
			if items++; err != nil || item.Price <= 0 {
				t.Errorf("%v, %v", item, err)
			}
		}
	}
	if items != 2 {
		t.Errorf("%d lines of inventory, want 2", items)
	}

	var regulars, wantRegulars []basket.Regular
	if groups, err = RowGroups(t.Context(), fsys, "regulars"); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		for r, err := range g.Regulars(t.Context(), fsys) {
			if err != nil {
				t.Fatal(err)
			}
			regulars = append(regulars, r)
		}
	}
	for r := range Regulars(t.Context(), fsys) {
		wantRegulars = append(wantRegulars, r)
	}
	if diff := cmp.Diff(wantRegulars, regulars); diff != "" {
		t.Errorf("regulars (-want +got):\n%s", diff)
	}
}

func TestRowGroups_refuses(t *testing.T) {
	fsys := manyGroups(t)
	if _, err := RowGroups(t.Context(), fsys, "rows"); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("table rows: %v, want ErrInvalidConfig", err)
	}
	if _, err := RowGroups(t.Context(), fstest.MapFS{}, "orders"); !errors.Is(err, basket.ErrData) {
		t.Errorf("no files: %v, want ErrData", err)
	}
	tests := map[string]struct {
		group RowGroup
		want  string
	}{
		"negative":  {RowGroup{"orders/1.parquet", -1, 2500}, `orders/1.parquet: row group -1: the file has 5; has it changed?`},
		"too high":  {RowGroup{"orders/1.parquet", 5, 2500}, `orders/1.parquet: row group 5: the file has 5; has it changed?`},
		"other now": {RowGroup{"orders/1.parquet", 4, 2500}, `orders/1.parquet: row group 4 has 2000 rows: want 2500, as listed; has the file changed?`},
		"no file":   {RowGroup{"orders/3.parquet", 0, 1}, `orders/3.parquet: open: file does not exist`},
	}
	for name, test := range tests {
		var err error
		for _, err = range test.group.Orders(t.Context(), fsys) {
		}
		if !errors.Is(err, basket.ErrData) || !strings.HasSuffix(err.Error(), test.want) {
			t.Errorf("%s: %v, want ErrData with %s", name, err, test.want)
		}
	}
}

// TestMaterialize_damagedGroup: the error of a damaged page in the middle names
// file, column, row group and row, and is the same with several goroutines.
func TestMaterialize_damagedGroup(t *testing.T) {
	smallParts(t)
	fsys := manyGroups(t, parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.Compression(&parquet.Snappy))
	for name, column := range map[string]int{"user_id": 0, "created_at": 1, "ordered_items": 2} {
		good := fsys["orders/1.parquet"].Data
		f, err := parquet.OpenFile(bytes.NewReader(good), int64(len(good)))
		if err != nil {
			t.Fatal(err)
		}
		chunk := f.Metadata().RowGroups[2].Columns[column].MetaData
		bad := slices.Clone(good)
		at := chunk.DataPageOffset + chunk.TotalCompressedSize/2
		for i := range bad[at : at+chunk.TotalCompressedSize/4] {
			bad[int(at)+i] = 0xff
		}
		damaged := fstest.MapFS{"orders/1.parquet": {Data: bad}}
		for _, other := range []string{"orders/2.parquet", "regulars.parquet", "inventory.parquet"} {
			damaged[other] = fsys[other]
		}
		var first string
		for _, n := range []int{1, 2, 7} {
			_, err := Materialize(t.Context(), damaged, basket.WithGoroutines(n))
			want := fmt.Sprintf(`basket: bad data: orders/1.parquet: column %q: row group 2, from row `, name)
			if !errors.Is(err, basket.ErrData) || !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("%s, %d goroutines: error\n%v\nwant ErrData that starts with\n%s", name, n, err, want)
			}
			var row int
			if _, scanErr := fmt.Sscanf(err.Error()[len(want):], "%d:", &row); scanErr != nil || row < 5000 || row >= 7500 {
				t.Errorf("%s: %v: want a row from 5000 to 7499", name, err)
			}
			if first == "" {
				first = err.Error()
			}
			if err.Error() != first {
				t.Errorf("%s, %d goroutines: error\n%v\nwant\n%s", name, n, err, first)
			}
		}
	}
}
