package main

import (
	"cmp"
	"fmt"
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
	"github.com/parquet-go/parquet-go"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

// The demo shop of the example server, and its model.
const (
	demo  = "../server/demo"
	model = demo + "/model.txt"
)

// TestRun runs the program's pipeline in this process.
func TestRun(t *testing.T) {
	for _, rows := range []string{"latest", "all"} {
		for _, meaning := range []basket.Meaning{basket.LastOrder, basket.NextOrder} {
			t.Run(rows+"/"+meaning.String(), func(t *testing.T) {
				c := config{data: demo, out: t.TempDir() + "/", model: model, meaning: meaning.String(), rows: rows, shards: 3}
				p, err := c.pipeline()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := prism.Execute(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				c.check(t)
			})
		}
	}
}

func TestRun_refuses(t *testing.T) {
	good := config{"data", "out", "", "last-order", "latest", 1}
	tests := map[string]struct {
		spoil func(*config)
		want  string
	}{
		"no data":    {func(c *config) { c.data = "" }, "want --data and --out"},
		"no out":     {func(c *config) { c.out = "" }, "want --data and --out"},
		"no meaning": {func(c *config) { c.meaning = "first-order" }, `--meaning "first-order": want`},
		"no rows":    {func(c *config) { c.rows = "some" }, `--rows "some": want`},
		"no shards":  {func(c *config) { c.shards = 0 }, "--shards 0: want"},
	}
	for name, test := range tests {
		c := good
		test.spoil(&c)
		if _, err := c.pipeline(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
	if _, err := good.pipeline(); err != nil {
		t.Error(err)
	}
}

// check compares the output with the rows of a Materializer and the prices of a
// Predictor, to the last bit.
func (c config) check(t *testing.T) {
	t.Helper()
	meaning := basket.LastOrder
	if c.meaning == basket.NextOrder.String() {
		meaning = basket.NextOrder
	}
	mat, err := basketparquet.Materialize(t.Context(), os.DirFS(c.data), meaning)
	if err != nil {
		t.Fatal(err)
	}
	var all, latest []basket.Row
	for row, err := range mat.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	for row, err := range mat.Latest(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		latest = append(latest, row)
	}
	want := latest
	if c.rows == "all" {
		want = all
	}
	sameBits(t, want, readOutput(t, filepath.Join(c.out, "rows")))
	prices := c.prices(t, latest)
	sameBits(t, prices, readOutput(t, filepath.Join(c.out, "predictions"), "price"))
	t.Logf("%d rows and %d predictions are equal", len(want), len(prices))
}

// prices returns rows whose only value is the price that a Predictor gives.
func (c config) prices(t *testing.T, latest []basket.Row) []basket.Row {
	t.Helper()
	store, err := basket.NewMemoryStore(basket.Values(latest))
	if err != nil {
		t.Fatal(err)
	}
	m, err := basket.LoadModel(c.model)
	if err != nil {
		t.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(m))
	if err != nil {
		t.Fatal(err)
	}
	prices := slices.Clone(latest)
	for i, row := range latest {
		prediction, err := p.Predict(t.Context(), row.UserID)
		if err != nil {
			t.Fatal(err)
		}
		prices[i].Values = []float64{prediction.Value}
	}
	return prices
}

// readOutput returns the rows of the files that _SUCCESS names, sorted, and checks
// that there are no other files.
func readOutput(t *testing.T, dir string, features ...string) []basket.Row {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(dir, "_SUCCESS"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"_SUCCESS"}
	var rows []basket.Row
	for line := range strings.Lines(string(list)) {
		name, _, _ := strings.Cut(line, "\t")
		want = append(want, name)
		for row, err := range basketparquet.Rows(t.Context(), os.DirFS(dir), name, features...) {
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	slices.SortFunc(rows, func(a, b basket.Row) int {
		return cmp.Or(strings.Compare(a.UserID, b.UserID), cmp.Compare(a.Number, b.Number))
	})
	return rows
}

func sameBits(t *testing.T, want, got []basket.Row) {
	t.Helper()
	if len(want) != len(got) || len(want) == 0 {
		t.Errorf("%d rows, want %d, and some", len(got), len(want))
	}
	for i := range min(len(want), len(got)) {
		if diff := gocmp.Diff(want[i], got[i], gocmp.Transformer("bits", math.Float64bits)); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

// writeShop writes the tables of a made-up shop, the orders in four files.
func writeShop(t *testing.T, users, orders int) string {
	t.Helper()
	type order struct {
		User  string    `parquet:"user_id"`
		At    time.Time `parquet:"created_at,timestamp(microsecond)"`
		Items []int64   `parquet:"ordered_items,list"`
	}
	type regular struct {
		User    string `parquet:"user_id"`
		Variant int64  `parquet:"variant_id"`
	}
	type item struct {
		Variant int64   `parquet:"variant_id"`
		Price   float64 `parquet:"price"`
	}
	const first, variants = 33_000_000_000_000, 500
	r := rand.New(rand.NewPCG(1, 2))
	user := func() string { return fmt.Sprintf("%0128x", r.IntN(users)) }
	dir := t.TempDir()
	for part := range 4 {
		var table []order
		for range orders / 4 {
			items := make([]int64, 1+r.IntN(15))
			for i := range items {
				items[i] = first + r.Int64N(variants)
			}
			table = append(table, order{user(), time.Unix(1_600_000_000+60*r.Int64N(5000), 0), items})
		}
		writeTable(t, filepath.Join(dir, fmt.Sprintf("orders-%d.parquet", part)), table)
	}
	var regulars []regular
	for range 3 * users {
		regulars = append(regulars, regular{user(), first + r.Int64N(variants)})
	}
	writeTable(t, filepath.Join(dir, "regulars.parquet"), regulars)
	var items []item
	for i := range int64(variants) {
		items = append(items, item{first + i, r.ExpFloat64() * 6})
	}
	writeTable(t, filepath.Join(dir, "inventory.parquet"), items)
	return dir
}

func writeTable[T any](t *testing.T, path string, rows []T) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := parquet.Write(f, rows, parquet.MaxRowsPerRowGroup(20_000)); err != nil {
		t.Fatal(err)
	}
}
