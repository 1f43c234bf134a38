package basketbeam

import (
	"cmp"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

// run runs a pipeline in this process.
func run(t *testing.T, build func(s beam.Scope)) error {
	t.Helper()
	p := beam.NewPipeline()
	build(p.Root())
	_, err := prism.Execute(t.Context(), p)
	return err
}

type orderRow struct {
	User  string    `parquet:"user_id"`
	At    time.Time `parquet:"created_at,timestamp(microsecond)"`
	Items []int64   `parquet:"ordered_items,list"`
}

type regularRow struct {
	User    string `parquet:"user_id"`
	Variant int64  `parquet:"variant_id"`
}

type itemRow struct {
	Variant int64    `parquet:"variant_id"`
	Price   *float64 `parquet:"price"`
}

// A shop is the tables of a test.
type shop struct {
	orders    []orderRow
	regulars  []regularRow
	inventory []itemRow
}

// randomShop returns a shop with orders in no order, many of equal time, users with
// one order, regulars that repeat, regulars of users without orders, and prices that
// are unknown.
func randomShop(seed uint64, users, orders int) shop {
	r := rand.New(rand.NewPCG(seed, 1))
	user := func() string { return fmt.Sprintf("user-%04x", r.IntN(users)) }
	var s shop
	for range orders {
		items := make([]int64, r.IntN(6))
		for i := range items {
			items[i] = 33_000_000_000_000 + int64(r.IntN(30))
		}
		at := time.Unix(1_600_000_000+int64(r.IntN(20))*3600, int64(r.IntN(2))*1000).UTC()
		s.orders = append(s.orders, orderRow{user(), at, items})
	}
	s.orders = append(s.orders, orderRow{"one-order", time.Unix(0, 0).UTC(), []int64{1, 1}})
	for range 2 * users {
		s.regulars = append(s.regulars, regularRow{user(), 33_000_000_000_000 + int64(r.IntN(30))})
	}
	s.regulars = append(s.regulars, regularRow{"no-orders", 1}, regularRow{"one-order", 1}, regularRow{"one-order", 1})
	for i := range 1000 {
		item := itemRow{Variant: int64(i)}
		if price := r.ExpFloat64() * 6; r.IntN(9) > 0 {
			item.Price = &price
		}
		s.inventory = append(s.inventory, item)
	}
	return s
}

// write writes the tables, the orders in parts files, all in row groups of rows rows,
// and returns the folder.
func (s shop) write(t testing.TB, parts, rows int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range parts {
		writeTable(t, filepath.Join(dir, "orders", fmt.Sprintf("part-%02d.parquet", i)), s.orders[i*len(s.orders)/parts:(i+1)*len(s.orders)/parts], rows)
	}
	writeTable(t, filepath.Join(dir, "regulars.parquet"), s.regulars, rows)
	writeTable(t, filepath.Join(dir, "inventory.parquet"), s.inventory, rows)
	return dir
}

func writeTable[T any](t testing.TB, path string, rows []T, group int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := parquet.NewGenericWriter[T](f, parquet.MaxRowsPerRowGroup(int64(group)))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// materialize computes the rows on one machine.
func materialize(t testing.TB, dir string, m basket.Meaning, latest bool) []basket.Row {
	t.Helper()
	mat, err := basketparquet.Materialize(t.Context(), os.DirFS(dir), m)
	if err != nil {
		t.Fatal(err)
	}
	seq := mat.Rows(t.Context())
	if latest {
		seq = mat.Latest(t.Context())
	}
	var rows []basket.Row
	for row, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// readOutput returns the rows of the files that _SUCCESS names, sorted, and checks
// that there are no other files, and that each is as long as _SUCCESS says.
func readOutput(t testing.TB, dir string, features ...string) []basket.Row {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(dir, success))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{success}
	var rows []basket.Row
	for line := range strings.Lines(string(list)) {
		var name string
		var n int
		if _, err := fmt.Sscanf(line, "%s\t%d\n", &name, &n); err != nil {
			t.Fatalf("%s: line %q: %v", success, line, err)
		}
		want = append(want, name)
		before := len(rows)
		for row, err := range basketparquet.Rows(t.Context(), os.DirFS(dir), name, features...) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		if !slices.IsSortedFunc(rows[before:], byUser) {
			t.Errorf("%s is not sorted", name)
		}
		if len(rows)-before != n {
			t.Errorf("%s has %d rows: %s says %d", name, len(rows)-before, success, n)
		}
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, fileNames(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	slices.SortFunc(rows, byUser)
	return rows
}

func byUser(a, b basket.Row) int {
	return cmp.Or(strings.Compare(a.UserID, b.UserID), cmp.Compare(a.Number, b.Number))
}

func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := fs.ReadDir(os.DirFS(dir), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sameBits compares rows to the last bit.
func sameBits(t testing.TB, want, got []basket.Row) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if diff := gocmp.Diff(want[i], got[i], cmpopts.IgnoreFields(basket.Row{}, "Age"), gocmp.Transformer("bits", math.Float64bits)); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

// shared is a folder of larger data beside the project, which a clone lacks.
const shared = "../../../shared"

// needShared skips a test if the larger data is missing, unless BASKET_SHARED
// demands it.
func needShared(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(shared); err != nil {
		if os.Getenv("BASKET_SHARED") != "" {
			t.Fatalf("BASKET_SHARED demands the larger data: %v", err)
		}
		t.Skipf("the larger data is missing: %v", err)
	}
}
