package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// TestRun: the stream gives one machine's rows for the shop that is made; rows of which
// one bit differs are told. Beam and DuckDB are left to the command itself.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	data, changed := filepath.Join(dir, "shop"), filepath.Join(dir, "changed")
	if _, err := run(t.Context(), config{make: data}, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := oneMachine(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	rows[1000].Values[0] = math.Nextafter(rows[1000].Values[0], 1e9)
	if err := os.Mkdir(changed, 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(changed, "rows.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := basketparquet.WriteRows(f, basket.FeatureNames(), basket.Values(rows)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	equal, err := run(t.Context(), config{data: data, noBeam: true, others: []other{{"a changed bit", changed}}}, &out)
	if err != nil || equal {
		t.Errorf("run: %v, %v: want a difference", equal, err)
	}
	lines := strings.Split(out.String(), "\n")
	for i, want := range []string{
		`^computed by `,
		`^one machine +37037 +$`,
		`^stream, a broker in this process +1442 +1442 +1442 `,
		`^a changed bit +37037 +37036 +37037 `,
	} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %q: want %s", lines[i], want)
		}
	}
}

// TestShop: the shop has what makes features hard.
func TestShop(t *testing.T) {
	dir := t.TempDir()
	if err := makeShop(dir); err != nil {
		t.Fatal(err)
	}
	groups, err := basketparquet.RowGroups(t.Context(), os.DirFS(dir), "orders")
	if err != nil {
		t.Fatal(err)
	}
	orders, ties, times := map[string]int{}, 0, map[string]bool{}
	for o, err := range basketparquet.Orders(t.Context(), os.DirFS(dir)) {
		if err != nil {
			t.Fatal(err)
		}
		id := strings.Clone(o.UserID)
		orders[id]++
		key := id + o.OrderedAt.String()
		if times[key] {
			ties++
		}
		times[key] = true
	}
	once := 0
	for _, n := range orders {
		if n == 1 {
			once++
		}
	}
	if len(groups) < 10 || ties < 1000 || once < 200 {
		t.Errorf("%d row groups, %d ties, %d users with one order: want more", len(groups), ties, once)
	}
}
