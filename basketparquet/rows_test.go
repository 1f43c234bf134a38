package basketparquet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

func TestWriteRows_readBack(t *testing.T) {
	m, err := Materialize(t.Context(), os.DirFS("testdata/golden"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteRows(&b, basket.FeatureNames(), m.Rows(t.Context())); err != nil {
		t.Fatal(err)
	}
	want := collect(t, m.Rows(t.Context()))
	fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
	if diff := cmp.Diff(want, collect(t, Rows(t.Context(), fsys, "f.parquet")), exact); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	table, err := OpenTable(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"user_id", "prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count", "total_orders", "ordered_at"}
	if diff := cmp.Diff(names, table.Columns()); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

func TestWriteRows_missingIsNull(t *testing.T) {
	var b bytes.Buffer
	rows := []basket.Row{{UserID: "a", Number: 1, Values: []float64{math.NaN(), 2}}, {UserID: "", Number: 3, Values: []float64{math.Inf(-1), math.Copysign(0, -1)}}}
	if err := WriteRows(&b, []string{"z, first", "a"}, basket.Values(rows)); err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := f.RowGroups()[0].ColumnChunks()[1].(*parquet.FileColumnChunk).NullCount(); n != 1 {
		t.Errorf("%d nulls: want 1", n)
	}
	fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
	got := collect(t, Rows(t.Context(), fsys, "f.parquet", "a", "z, first"))
	want := []basket.Row{{UserID: "a", Number: 1, Values: []float64{2, math.NaN()}}, {Number: 3, Values: []float64{math.Copysign(0, -1), math.Inf(-1)}}}
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
		"another-number": {[]string{"a", "b"}, `basket: bad data: row of user "u" has 1 values: want 2`},
		"twice":          {[]string{"user_id"}, `basket: bad data: column name "user_id": want unique names that are not empty`},
		"time":           {[]string{"ordered_at"}, `basket: bad data: column name "ordered_at": want unique names that are not empty`},
		"no-name":        {[]string{""}, `basket: bad data: column name "": want unique names that are not empty`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := WriteRows(new(bytes.Buffer), test.features, basket.Values(rows))
			if err == nil || err.Error() != test.err || !errors.Is(err, basket.ErrData) {
				t.Errorf("error\n%v\nwant\n%s", err, test.err)
			}
		})
	}
	cause := errors.New("cause")
	failing := func(yield func(basket.Row, error) bool) {
		if yield(rows[0], nil) {
			yield(basket.Row{}, cause)
		}
	}
	if err := WriteRows(new(bytes.Buffer), []string{"a"}, failing); err != cause {
		t.Errorf("error %v: want the sequence's own", err)
	}
	if err := WriteRows(full{}, []string{"a"}, basket.Values(rows)); !errors.Is(err, errFull) || errors.Is(err, basket.ErrData) {
		t.Errorf("error %v: want the writer's, and not ErrData", err)
	}
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestRows_faults(t *testing.T) {
	type row struct {
		User   *string  `parquet:"user_id,optional"`
		F      *float64 `parquet:"f,optional"`
		Number *int64   `parquet:"total_orders,optional"`
	}
	tests := map[string]struct {
		row  row
		name string
		err  string
	}{
		"null-user":   {row: row{nil, new(1.0), new(int64(1))}, err: `basket: bad data: f.parquet: column "user_id": row 0 is null: want a value in each row`},
		"null-number": {row: row{new("u"), new(1.0), nil}, err: `basket: bad data: f.parquet: column "total_orders": row 0 is null: want a value in each row`},
		"negative":    {row: row{new("u"), new(1.0), new(int64(-1))}, err: `basket: bad data: f.parquet: column "total_orders": row 0 is -1: want 0 to 2147483647`},
		"no-feature":  {row: row{new("u"), new(1.0), new(int64(1))}, name: "g", err: `basket: bad data: f.parquet: column "g" is missing: the columns are ["user_id" "f" "total_orders"]`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := fstest.MapFS{"f.parquet": {Data: writeParquet(t, []row{test.row})}}
			feature := "f"
			if test.name != "" {
				feature = test.name
			}
			n := 0
			for _, err := range Rows(t.Context(), fsys, "f.parquet", feature) {
				if n++; err == nil || err.Error() != test.err || !errors.Is(err, basket.ErrData) {
					t.Errorf("error\n%v\nwant\n%s", err, test.err)
				}
			}
			if n != 1 {
				t.Errorf("%d answers: want 1", n)
			}
		})
	}
	for _, err := range Rows(t.Context(), fstest.MapFS{}, "f.parquet") {
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, basket.ErrData) {
			t.Errorf("error %v: want ErrNotExist and ErrData", err)
		}
	}
}

// A store of rows that were written and read must not let an older row replace
// a newer one.
func TestWriteRows_keepsOrderedAt(t *testing.T) {
	newer := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	var b bytes.Buffer
	if err := WriteRows(&b, []string{"f"}, basket.Values([]basket.Row{{UserID: "u", OrderedAt: newer, Number: 2, Values: []float64{2}}})); err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
	store, err := basket.NewMemoryStore(Rows(t.Context(), fsys, "f.parquet", "f"), "f")
	if err != nil {
		t.Fatal(err)
	}
	stale := basket.Row{UserID: "u", OrderedAt: newer.Add(-time.Hour), Number: 1, Values: []float64{1}}
	if err := store.Put(t.Context(), []basket.Row{stale}); err != nil {
		t.Fatal(err)
	}
	got, err := store.Row(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(basket.Row{UserID: "u", OrderedAt: newer, Number: 2, Values: []float64{2}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteRows_times(t *testing.T) {
	first, last := time.Unix(0, math.MinInt64).UTC(), time.Unix(0, math.MaxInt64).UTC()
	for _, at := range []time.Time{{}, first, last, time.Unix(0, 0).UTC(), time.Date(2024, 5, 6, 7, 8, 9, 10, time.FixedZone("", 3600))} {
		var b bytes.Buffer
		if err := WriteRows(&b, []string{"f"}, basket.Values([]basket.Row{{UserID: "u", OrderedAt: at, Values: []float64{2}}})); err != nil {
			t.Errorf("%v: %v", at, err)
			continue
		}
		fsys := fstest.MapFS{"f.parquet": {Data: b.Bytes()}}
		if got := collect(t, Rows(t.Context(), fsys, "f.parquet", "f"))[0].OrderedAt; !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("%v is read as %v", at, got)
		}
	}
	for _, at := range []time.Time{first.Add(-1), last.Add(1), time.Unix(-1<<60, 0), time.Unix(1<<60, 0), time.Time{}.Add(1)} {
		err := WriteRows(new(bytes.Buffer), []string{"f"}, basket.Values([]basket.Row{{UserID: "u\n", OrderedAt: at, Values: []float64{2}}}))
		if want := fmt.Sprintf(`basket: bad data: row of user "u\n" is of %v: want a time from 1677-09-21 to 2262-04-11, or the zero time`, at.UTC()); err == nil || err.Error() != want || !errors.Is(err, basket.ErrData) {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
}

func TestRows_orderedAt(t *testing.T) {
	type row struct {
		Number int32     `parquet:"total_orders"`
		At     time.Time `parquet:"ordered_at,timestamp(nanosecond)"`
		User   string    `parquet:"user_id"`
		F      int32     `parquet:"f"`
	}
	at := time.Date(2024, 5, 6, 7, 8, 9, 10, time.UTC)
	fsys := fstest.MapFS{"f.parquet": {Data: writeParquet(t, []row{{3, at, "u", 4}})}}
	want := []basket.Row{{UserID: "u", OrderedAt: at, Number: 3, Values: []float64{4}}}
	if diff := cmp.Diff(want, collect(t, Rows(t.Context(), fsys, "f.parquet", "f"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRows_stopsEarly(t *testing.T) {
	m, err := Materialize(t.Context(), os.DirFS("testdata/golden"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteRows(&b, basket.FeatureNames(), m.Rows(t.Context())); err != nil {
		t.Fatal(err)
	}
	n := 0
	for range Rows(t.Context(), fstest.MapFS{"f.parquet": {Data: b.Bytes()}}, "f.parquet") {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d rows: want 3", n)
	}
}
