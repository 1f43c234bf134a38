package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// scriptBench returns a bench whose Python is a shell script.
func scriptBench(t *testing.T, python string) *bench {
	t.Helper()
	needShell(t)
	b := &bench{root: t.TempDir(), peers: t.TempDir(), temp: t.TempDir(), only: regexp.MustCompile(""), rounds: 1}
	writeScript(t, b.python(), python)
	return b
}

func writeScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestMakeShop(t *testing.T) {
	s := &madeShop{users: 20, orders: 300}
	b := scriptBench(t, `echo "$(basename "$1") $2 $3" >"$4/orders.parquet"`)
	for range 2 { // the second one finds the files
		folder, err := b.makeShop(t.Context(), s)
		if err != nil || folder != b.peer("orders-20-300") {
			t.Fatalf("%s, %v", folder, err)
		}
		if text, err := os.ReadFile(filepath.Join(folder, "orders.parquet")); string(text) != "orders.py 20 300\n" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		writeScript(t, b.python(), "exit 1")
	}

	b = scriptBench(t, `touch "$4/inventory.parquet"; echo "no module numpy" >&2; exit 1`)
	_, err := b.makeShop(t.Context(), s)
	if _, ok := errors.AsType[skipError](err); !ok || !strings.Contains(err.Error(), "no module numpy") {
		t.Errorf("a script that fails: %v", err)
	}
	if left, err := filepath.Glob(b.peer("orders*")); len(left) > 0 || err != nil {
		t.Errorf("a script that fails leaves %v, %v", left, err)
	}
}

func TestFeaturesAtScale_skipped(t *testing.T) {
	for _, c := range []struct {
		only string
		long bool
		want []string
	}{
		{"lgbm-regression|lightgbm-regression|predictor|start|memory", true, nil}, // of .ci/run
		{"", false, []string{"features of 1,000,000 orders"}},
		{"", true, []string{
			"features of 1,000,000 orders", "features of 10,000,000 orders",
			"features of 10,000,000 orders, two cores", "features of 10,000,000 orders, time an order",
		}},
		{"10,000,000 orders, t", true, []string{"features of 10,000,000 orders, two cores", "features of 10,000,000 orders, time an order"}},
	} {
		b := &bench{peers: t.TempDir(), only: regexp.MustCompile(c.only), long: c.long, rounds: 1}
		b.report.Machine.Cores = 2
		b.featuresAtScale(t.Context())
		var names []string
		for _, p := range b.report.Skipped {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, c.want) || len(b.report.Failures)+len(b.report.Results) > 0 {
			t.Errorf("%+v: skipped %q; %+v", c, names, b.report)
		}
	}
}

// The answers to "out" and "batch" of a DuckDB that has two users' rows.
const fakeDuckDB = `echo ready 1.2
while read -r command argument; do
  if [ "$command" = out ]; then
    printf 'a 4.0 2.0 1.0 0.0\nb 6.000000000000001 3.0 0.0 2.0\n' >"$argument"
    echo ok
  else
    echo 5e9
  fi
done`

var fakeRows = []basket.Row{{UserID: "a", Values: []float64{4, 2, 1, 0}}, {UserID: "b", Values: []float64{6, 3, 0, 2}}}

func TestScaleRun(t *testing.T) {
	b := scriptBench(t, fakeDuckDB)
	b.report.Machine.Peers = map[string]string{}
	r := b.newScaleRun(madeShop{count: "2 orders", users: 2, orders: 2, ratio: 3, peak: 1 << 40}, 2, 3)
	r.file, r.program = filepath.Join(b.temp, "out.parquet"), filepath.Join(b.temp, "basket")
	writeScript(t, r.program, `printf "$1 $2 $4" >"$5"`)
	r.prepare = func(ctx context.Context) (err error) {
		if _, err := r.run(ctx, r.cores); err != nil {
			return err
		}
		r.sum, err = fileSum(r.file)
		return errors.Join(err, r.checkPeer(ctx, peerBar{"duckdb", r.ratio}, fakeRows), r.checkPeer(ctx, peerBar{"duckdb-tuned", 0}, fakeRows))
	}
	b.record(r.name(), r.againstDuckDB(t.Context()))
	b.record(r.coresName(), r.twoCores(t.Context()))
	b.record(r.orderName(), r.timeAnOrder(t.Context(), r))
	if len(b.report.Failures) > 0 {
		t.Fatalf("%+v", b.report.Failures)
	}
	var lines []string
	for _, s := range b.report.Results {
		if s.Name == r.peakName() && (s.Bar != nil) != (s.Peer == "duckdb") {
			t.Errorf("%s has the bar %v", s.Peer, s.Bar)
		}
		if s.Name != r.peakName() {
			lines = append(lines, fmt.Sprintf("%s vs %s: judged %v", s.Name, s.Peer, s.Met != nil))
		}
	}
	want := []string{
		"features of 2 orders vs duckdb: judged true", "features of 2 orders vs duckdb-tuned: judged false",
		"features of 2 orders, two cores vs one core: judged true", "features of 2 orders, time an order vs 2 orders: judged true",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
	if f := b.report.Results[0].PeerFigure; f.Median != 5e9 {
		t.Errorf("DuckDB's time: %+v", f)
	}

	writeScript(t, r.program, `echo other >"$5"`)
	if _, err := r.ours(1, 1)(t.Context()); err == nil || !strings.Contains(err.Error(), "differs") {
		t.Errorf("another output: %v", err)
	}
}

func TestCheckRows(t *testing.T) {
	b := scriptBench(t, fakeDuckDB)
	p, err := startProcess(t.Context(), time.Minute, "ready ", b.python())
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	row := func(user string, values ...float64) basket.Row { return basket.Row{UserID: user, Values: values} }
	for _, c := range []struct {
		name string
		rows []basket.Row
		ok   bool
	}{
		{"equal, but for the last bit of a sum", fakeRows, true},
		{"one user", fakeRows[:1], false},
		{"another user", []basket.Row{fakeRows[0], row("c", 6, 3, 0, 2)}, false},
		{"another sum", []basket.Row{fakeRows[0], row("b", 6.0000001, 3, 0, 2)}, false},
		{"another count", []basket.Row{fakeRows[0], row("b", 6, 3, 0, 2.0000000000000004)}, false},
		{"fewer values", []basket.Row{fakeRows[0], row("b", 6, 3, 0)}, false},
	} {
		if err := checkRows(p, filepath.Join(b.temp, "rows"), c.rows); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The scripts of peers make and compute what basket computes, where they are installed.
func TestPeers_madeShop(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{root: root, peers: t.TempDir(), temp: t.TempDir()}
	installed, err := filepath.EvalSymlinks(filepath.Join(root, "bench", "work", "venv"))
	if err != nil {
		t.Skip("the peers are not installed: ", err)
	}
	if err := os.Symlink(installed, b.peer("venv")); err != nil {
		t.Skip(err)
	}
	s := &madeShop{users: 500, orders: 2_000}
	data, err := b.makeShop(t.Context(), s)
	if _, ok := errors.AsType[skipError](err); ok {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	orders, ids := 0, map[string]int{}
	for o, err := range basketparquet.Orders(t.Context(), os.DirFS(data)) {
		if err != nil {
			t.Fatal(err)
		}
		if len(o.UserID) != 128 || len(o.Items) < 1 || len(o.Items) > 15 || o.OrderedAt.Year() != 2021 || o.OrderedAt.Nanosecond() != 0 {
			t.Fatalf("order %+v", o)
		}
		orders++
		ids[o.UserID]++
	}
	for id, n := range ids {
		if n < 2 {
			t.Errorf("user %s has %d orders", id, n)
		}
	}
	if orders != s.orders || len(ids) != s.users {
		t.Errorf("%d orders of %d users, want %+v", orders, len(ids), s)
	}
	first, err := fileSum(filepath.Join(data, "orders.parquet"))
	if err := errors.Join(err, os.RemoveAll(data)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.makeShop(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if again, err := fileSum(filepath.Join(data, "orders.parquet")); again != first || err != nil {
		t.Errorf("made again: another file, %v", err)
	}

	for _, folder := range []string{data, filepath.Join(root, "examples", "server", "demo")} {
		rows, err := shop{data: folder}.rows()
		if err != nil {
			t.Fatal(err)
		}
		for _, engine := range []string{"duckdb", "duckdb-tuned"} {
			r := &scaleRun{bench: b, cores: 2, data: folder}
			p, err := r.startDuckDB(t.Context(), engine)
			if err != nil {
				t.Skip(err)
			}
			if err := checkRows(p, filepath.Join(b.temp, engine), rows); err != nil {
				t.Errorf("%s, %s: %v", engine, folder, err)
			}
			p.kill()
		}
	}
}
