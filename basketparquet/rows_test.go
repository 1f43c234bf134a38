package basketparquet

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

func TestWriteRows_readBack(t *testing.T) {
	m, err := Materialize(os.DirFS("testdata/golden"), basket.LastOrder)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteRows(&b, basket.FeatureNames(), m.Rows()); err != nil {
		t.Fatal(err)
	}
	want := slices.Collect(m.Rows())
	for i := range want {
		want[i].OrderedAt = time.Time{} // is not written
	}
	fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
	if diff := cmp.Diff(want, collect(t, ReadRows(fsys, "f.parquet")), exact); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	table, err := OpenTable(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"user_id", "prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count", "total_orders"}
	if diff := cmp.Diff(names, table.Columns()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestWriteRows_missingIsNull(t *testing.T) {
	var b bytes.Buffer
	rows := []basket.Row{{UserID: "a", Orders: 1, Values: []float64{math.NaN(), 2}}, {UserID: "", Orders: 3, Values: []float64{math.Inf(-1), math.Copysign(0, -1)}}}
	if err := WriteRows(&b, []string{"z, first", "a"}, slices.Values(rows)); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := f.RowGroups()[0].ColumnChunks()[1].(*parquet.FileColumnChunk).NullCount(); n != 1 {
		t.Errorf("%d nulls; want 1", n)
	}
	fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
	got := collect(t, ReadRows(fsys, "f.parquet", "a", "z, first"))
	want := []basket.Row{{UserID: "a", Orders: 1, Values: []float64{2, math.NaN()}}, {Orders: 3, Values: []float64{math.Copysign(0, -1), math.Inf(-1)}}}
	if diff := cmp.Diff(want, got, cmp.Comparer(same)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteRows_faults(t *testing.T) {
	rows := []basket.Row{{UserID: "u", Values: []float64{1}}}
	tests := map[string]struct {
		features []string
		err      string
	}{
		"another-number": {[]string{"a", "b"}, `basket: bad data: the row of user "u" has 1 values; want 2`},
		"twice":          {[]string{"user_id"}, `basket: bad data: two columns are called "user_id", or one has no name`},
		"no-name":        {[]string{""}, `basket: bad data: two columns are called "", or one has no name`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := WriteRows(new(bytes.Buffer), test.features, slices.Values(rows))
			if err == nil || err.Error() != test.err || !errors.Is(err, basket.ErrData) {
				t.Errorf("error\n%v\nwant\n%s", err, test.err)
			}
		})
	}
	if err := WriteRows(full{}, []string{"a"}, slices.Values(rows)); !errors.Is(err, errFull) || errors.Is(err, basket.ErrData) {
		t.Errorf("error %v; want the writer's, and not ErrData", err)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestReadRows_faults(t *testing.T) {
	type row struct {
		User   *string  `parquet:"user_id,optional"`
		F      *float64 `parquet:"f,optional"`
		Orders *int64   `parquet:"total_orders,optional"`
	}
	tests := map[string]struct {
		row  row
		name string
		err  string
	}{
		"null-user":   {row: row{nil, new(1.0), new(int64(1))}, err: "basket: bad data: f.parquet: column user_id: row 0 is null; remove the row or fill the value in"},
		"null-orders": {row: row{new("u"), new(1.0), nil}, err: "basket: bad data: f.parquet: column total_orders: row 0 is null; remove the row or fill the value in"},
		"few-orders":  {row: row{new("u"), new(1.0), new(int64(-1))}, err: "basket: bad data: f.parquet: column total_orders: row 0 is -1; want 0 to 2147483647"},
		"no-feature":  {row: row{new("u"), new(1.0), new(int64(1))}, name: "g", err: "basket: bad data: f.parquet: column g is missing; the columns are user_id, f, total_orders"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"f.parquet": {Data: writeParquet(t, []row{test.row})}}
			feature := "f"
			if test.name != "" {
				feature = test.name
			}
			n := 0
			for _, err := range ReadRows(fsys, "f.parquet", feature) {
				if n++; err == nil || err.Error() != test.err || !errors.Is(err, basket.ErrData) {
					t.Errorf("error\n%v\nwant\n%s", err, test.err)
				}
			}
			if n != 1 {
				t.Errorf("%d answers; want 1", n)
			}
		})
	}
	for _, err := range ReadRows(fstest.MapFS{}, "f.parquet") {
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, basket.ErrData) {
			t.Errorf("error %v; want ErrNotExist and ErrData", err)
		}
	}
}

func TestReadRows_orderedAt(t *testing.T) {
	type row struct {
		Orders int32     `parquet:"total_orders"`
		At     time.Time `parquet:"ordered_at,timestamp(nanosecond)"`
		User   string    `parquet:"user_id"`
		F      int32     `parquet:"f"`
	}
	at := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	fsys := fstest.MapFS{"f.parquet": {Data: writeParquet(t, []row{{3, at, "u", 4}})}}
	want := []basket.Row{{UserID: "u", OrderedAt: at, Orders: 3, Values: []float64{4}}}
	if diff := cmp.Diff(want, collect(t, ReadRows(fsys, "f.parquet", "f"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadRows_stopsEarly(t *testing.T) {
	m, err := Materialize(os.DirFS("testdata/golden"), basket.LastOrder)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteRows(&b, basket.FeatureNames(), m.Rows()); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range ReadRows(fstest.MapFS{"f.parquet": {Data: b.Bytes()}}, "f.parquet") {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d rows; want 3", n)
	}
}
