package basketparquet

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// exact compares float64s by their bits.
var exact = cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })

func TestMaterialize_goldenRows(t *testing.T) {
	for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
		t.Run(meaning.String(), func(t *testing.T) {
			m, err := Materialize(t.Context(), os.DirFS("testdata/golden"), meaning)
			if err != nil {
				t.Fatal(err)
			}
			want := wantRows(t, "golden/"+meaning.String()+".csv")
			if diff := cmp.Diff(want, collect(t, m.Rows(t.Context())), exact); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(latest(want), collect(t, m.Latest(t.Context())), exact); diff != "" {
				t.Errorf("latest rows (-want +got):\n%s", diff)
			}
		})
	}
}

// The reference's output for all of its data.
func TestMaterialize_goldenData(t *testing.T) {
	for _, name := range []string{"small", "full"} {
		t.Run(name, func(t *testing.T) {
			fsys := sharedData(t, name)
			m, err := Materialize(t.Context(), fsys)
			if err != nil {
				t.Fatal(err)
			}
			want := collect(t, Rows(t.Context(), fsys, "golden_features.parquet"))
			slices.SortFunc(want, func(a, b basket.Row) int { return strings.Compare(a.UserID, b.UserID) })
			got := collect(t, m.Latest(t.Context()))
			for i := range got {
				got[i].OrderedAt = time.Time{} // the reference has none
			}
			if diff := cmp.Diff(want, got, exact); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMaterialize_ordersFormats(t *testing.T) {
	for _, file := range testFiles(t, "orders/*.parquet") {
		t.Run(caseName(file), func(t *testing.T) {
			want := "orders/base.csv"
			if own := strings.TrimSuffix(file, ".parquet") + ".csv"; exists(own) {
				want = own
			}
			m, err := Materialize(t.Context(), tables(t, "orders", file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantRows(t, want), collect(t, m.Rows(t.Context())), exact); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMaterialize_regularsFormats(t *testing.T) {
	for _, file := range testFiles(t, "regulars/*.parquet") {
		t.Run(caseName(file), func(t *testing.T) {
			m, err := Materialize(t.Context(), tables(t, "regulars", file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantRows(t, "orders/base.csv"), collect(t, m.Rows(t.Context())), exact); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMaterialize_priceFormats(t *testing.T) {
	lines := readCSV(t, "inventory/means.csv")
	for _, line := range lines {
		t.Run(line[0], func(t *testing.T) {
			m, err := Materialize(t.Context(), tables(t, "inventory", "inventory/"+line[0]+".parquet"), basket.NextOrder)
			if err != nil {
				t.Fatal(err)
			}
			want := number(t, line[1])
			for _, r := range collect(t, m.Rows(t.Context())) {
				if got := r.Values[0]; got != r.Values[1]*want {
					t.Fatalf("%v items have the value %v: want %v each", r.Values[1], got, want)
				}
			}
		})
	}
	if got, want := len(testFiles(t, "inventory/*.parquet")), len(lines)+1; got != want { // base is not in the CSV file
		t.Errorf("%d files: want %d", got, want)
	}
}

func TestMaterialize_emptyOrders(t *testing.T) {
	for _, file := range testFiles(t, "empty/*.parquet") {
		t.Run(caseName(file), func(t *testing.T) {
			m, err := Materialize(t.Context(), tables(t, "orders", file), basket.NextOrder)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range collect(t, m.Rows(t.Context())) {
				t.Errorf("a row %v", r)
			}
		})
	}
}

func TestMaterialize_badTables(t *testing.T) {
	tests := map[string]string{ // by file, the end of the error
		"orders-no-user_id":                `column "user_id" is missing: the columns are ["id" "created_at" "note" "ordered_items"]`,
		"orders-no-created_at":             `column "created_at" is missing: the columns are ["id" "user_id" "note" "ordered_items"]`,
		"orders-no-ordered_items":          `column "ordered_items" is missing: the columns are ["id" "user_id" "created_at" "note"]`,
		"orders-null-user_id":              `column "user_id": row 17 is null: want a value in each row`,
		"orders-null-created_at":           `column "created_at": row 17 is null: want a value in each row`,
		"orders-null-ordered_items":        `column "ordered_items": row 17 is null: want a value in each row`,
		"orders-type-user_id":              `column "user_id" is of type INT64: want a string (BYTE_ARRAY)`,
		"orders-type-created_at":           `column "created_at" is of type INT64: want a timestamp (INT64 with TIMESTAMP in ms, us or ns; INT96; INT32 with DATE)`,
		"orders-all-null-created_at":       `column "created_at" is of type INT32 (NULL): want a timestamp (INT64 with TIMESTAMP in ms, us or ns; INT96; INT32 with DATE)`,
		"orders-type-ordered_items":        `column "ordered_items" is of type LIST of BYTE_ARRAY (STRING): want a list of integers (LIST, or repeated, of INT32 or INT64)`,
		"orders-nested-items":              `column "ordered_items" is of type LIST of LIST of INT64: want a list of integers (LIST, or repeated, of INT32 or INT64)`,
		"orders-flat-items":                `column "ordered_items" is of type INT64: want a list of integers (LIST, or repeated, of INT32 or INT64)`,
		"orders-huge-items":                `column "ordered_items": row group 0, from row 0: page at byte 875: the number 9223372036854775808: want at most 9223372036854775807`,
		"orders-utf8-user_id":              `column "user_id": row 0 is "\xff\xfe": want UTF-8`,
		"orders-twice-user_id":             `two columns are named "user_id": want one`,
		"regulars-no-variant_id":           `column "variant_id" is missing: the columns are ["user_id"]`,
		"regulars-type-variant_id":         `column "variant_id" is of type DOUBLE: want an integer (INT32 or INT64)`,
		"regulars-null-user_id":            `column "user_id": row 5 is null: want a value in each row`,
		"inventory-no-price":               `column "price" is missing: the columns are ["variant_id" "vendor"]`,
		"inventory-type-price":             `column "price" is of type BYTE_ARRAY (STRING): want a number (FLOAT, DOUBLE, FLOAT16, INT32, INT64, BOOLEAN or DECIMAL)`,
		"inventory-no-known-price":         "none of its 30 lines has a price, so no basket has a value: want at least one",
		"inventory-infinite-price":         "want a finite one, or none",
		"../../basketparquet_test.go:text": `not parquet: the first bytes are "pack": want "PAR1"`,
	}
	for name, want := range tests {
		t.Run(path.Base(name), func(t *testing.T) {
			table, _, _ := strings.Cut(name, "-")
			file := "bad/" + name + ".parquet"
			if source, ok := strings.CutSuffix(name, ":text"); ok {
				table, file = "orders", "bad/"+source
			}
			_, err := Materialize(t.Context(), tables(t, table, file))
			if !errors.Is(err, basket.ErrData) {
				t.Fatalf("error %v: want one that wraps ErrData", err)
			}
			if got := err.Error(); !strings.HasPrefix(got, "basket: bad data: "+table) || !strings.HasSuffix(got, want) {
				t.Errorf("error\n%s\nwant it to name %s and to end\n%s", got, table, want)
			}
		})
	}
	for _, file := range testFiles(t, "bad/*.parquet") {
		if tests[caseName(file)] == "" {
			t.Errorf("no test of %s", file)
		}
	}
}

func TestMaterialize_missingFile(t *testing.T) {
	for _, table := range []string{"inventory", "regulars", "orders"} {
		fsys := tables(t, "", "")
		delete(fsys, table+".parquet")
		_, err := Materialize(t.Context(), fsys)
		if !errors.Is(err, basket.ErrData) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v: want one that wraps ErrData and ErrNotExist", table, err)
		}
		want := strings.ReplaceAll("basket: bad data: N.parquet: no file N.parquet, no folder N.parquet or N with files *.parquet, no files N*.parquet: file does not exist", "N", table)
		if err == nil || err.Error() != want {
			t.Errorf("error\n%v\nwant\n%s", err, want)
		}
	}
}

func TestMaterialize_partFiles(t *testing.T) {
	const whole, rest, junk = "whole", "rest", "junk"
	tests := map[string]struct {
		files  map[string]string
		reason string
	}{
		"folder":              {files: map[string]string{"orders/a.parquet": whole, "orders/b.parquet": rest}},
		"folder-with-suffix":  {files: map[string]string{"orders.parquet/part-0.parquet": whole, "orders.parquet/part-1.parquet": rest}},
		"folder-with-extras":  {files: map[string]string{"orders/a.parquet": whole, "orders/b.parquet": rest, "orders/_SUCCESS": junk, "orders/_c.parquet": junk, "orders/.d.parquet": junk, "orders/e.crc": junk}},
		"files":               {files: map[string]string{"orders-1.parquet": whole, "orders-2.parquet": rest}},
		"files-by-underscore": {files: map[string]string{"orders_1.parquet": whole, "orders_2.parquet": rest}},
		"file-first":          {files: map[string]string{"orders.parquet": whole, "orders/a.parquet": junk, "orders-1.parquet": junk}, reason: "a single file comes first"},
		"empty-folder":        {files: map[string]string{"orders/_SUCCESS": junk, "orders-1.parquet": whole}, reason: "a folder without part files is ignored"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fsys := tables(t, "", "")
			contents := map[string]*fstest.MapFile{
				whole: fsys["orders.parquet"],
				rest:  {Data: testFile(t, "empty/typed.parquet")},
				junk:  {Data: []byte("not parquet")},
			}
			delete(fsys, "orders.parquet")
			for file, content := range test.files {
				fsys[file] = contents[content]
			}
			m, err := Materialize(t.Context(), fsys)
			if err != nil {
				t.Fatalf("%v (%s)", err, test.reason)
			}
			if diff := cmp.Diff(wantRows(t, "orders/base.csv"), collect(t, m.Rows(t.Context())), exact); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Orders of equal time keep the order of the files.
func TestMaterialize_partFilesInOrder(t *testing.T) {
	part := func(n int) *fstest.MapFile {
		at := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
		return &fstest.MapFile{Data: writeParquet(t, []order{{"u", at, make([]int64, n)}})}
	}
	fsys := tables(t, "", "")
	delete(fsys, "orders.parquet")
	maps.Copy(fsys, fstest.MapFS{"orders/part-1.parquet": part(2), "orders/part-0.parquet": part(7), "orders/part-2.parquet": part(5)})
	m, err := Materialize(t.Context(), fsys, basket.NextOrder)
	if err != nil {
		t.Fatal(err)
	}
	var got []float64
	for _, r := range collect(t, m.Rows(t.Context())) {
		got = append(got, r.Values[1])
	}
	if diff := cmp.Diff([]float64{7, 2, 5}, got); diff != "" {
		t.Errorf("item counts (-want +got):\n%s", diff)
	}
}

// A file of some file systems, such as a zip archive, can only be read from its
// start.
func TestMaterialize_streamedFiles(t *testing.T) {
	m, err := Materialize(t.Context(), streamFS{tables(t, "", "")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantRows(t, "orders/base.csv"), collect(t, m.Rows(t.Context())), exact); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type streamFS struct{ fs.FS }

func (s streamFS) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if dir, ok := f.(fs.ReadDirFile); ok {
		return dir, nil
	}
	return struct{ fs.File }{f}, nil
}

// tables returns a file system of small tables, one of them replaced by a file.
func tables(t testing.TB, replaced, file string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, table := range []string{"orders", "regulars", "inventory"} {
		from := table + "/base.parquet"
		if table == replaced {
			from = file
		}
		fsys[table+".parquet"] = &fstest.MapFile{Data: testFile(t, from)}
	}
	return fsys
}

func testFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testFiles(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := fs.Glob(os.DirFS("testdata"), pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("files %s: %v, %v", pattern, files, err)
	}
	return files
}

func caseName(file string) string { return strings.TrimSuffix(path.Base(file), ".parquet") }

func exists(name string) bool {
	_, err := os.Stat(filepath.Join("testdata", name))
	return err == nil
}

// sharedData returns a folder of data that is too large for the repository. If
// it is missing, the test is skipped, or fails if BASKET_SHARED is set.
func sharedData(t testing.TB, name string) fs.FS {
	t.Helper()
	dir := filepath.Join("../../shared/data", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("BASKET_SHARED") != "" {
			t.Fatalf("BASKET_SHARED is set, but: %v", err)
		}
		t.Skip(err)
	}
	return os.DirFS(dir)
}

func readCSV(t testing.TB, name string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// wantRows reads feature rows that were computed with pandas.
func wantRows(t testing.TB, name string) []basket.Row {
	t.Helper()
	var rows []basket.Row
	for _, line := range readCSV(t, name)[1:] {
		r := basket.Row{UserID: line[0], OrderedAt: time.Unix(0, integer(t, line[1])).UTC(), Number: int(integer(t, line[2]))}
		for _, s := range line[3:] {
			r.Values = append(r.Values, number(t, s))
		}
		rows = append(rows, r)
	}
	return rows
}

func latest(rows []basket.Row) []basket.Row {
	var last []basket.Row
	for i, r := range rows {
		if i+1 == len(rows) || rows[i+1].UserID != r.UserID {
			last = append(last, r)
		}
	}
	return last
}

func collect(t testing.TB, rows iter.Seq2[basket.Row, error]) []basket.Row {
	t.Helper()
	var all []basket.Row
	for r, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func integer(t testing.TB, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func dataOrTestdata(t testing.TB, name string) fs.FS {
	t.Helper()
	if strings.Contains(name, "/") {
		return os.DirFS(name)
	}
	return sharedData(t, name)
}
