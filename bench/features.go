package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/basket-go/basket"
)

// pythonService is the time in nanoseconds that the Python service, which basket
// replaces, took to compute the features of the large data. The service is not
// available here: the figure was measured once, elsewhere.
const pythonService = 58e9

// features compares the computation of feature rows from orders.
func (b *bench) features(ctx context.Context) error {
	name := "features: parquet files to newest rows"
	if !b.selected(name) {
		return nil
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		return err
	}
	measure := func(context.Context) (float64, error) {
		start := b.now()
		_, err := s.rows()
		return float64(b.now() - start), err
	}
	candidates := []candidate{{name: "basket", measure: func(ctx context.Context) (float64, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // the peers use one thread
		return measure(ctx)
	}}}
	for _, c := range []peerBar{{"pandas", 5}, {"pandas-tuned", 0}, {"duckdb", 3}, {"duckdb-tuned", 0}} {
		title := name + " vs " + c.peer
		if _, err := os.Stat(b.python()); err != nil {
			b.record(title, errNotInstalled(b.python()))
			continue
		}
		p, err := b.startPeer(ctx, b.python(), b.source("features.py"), c.peer, s.data)
		if err != nil {
			b.record(title, skipError{err})
			continue
		}
		defer p.kill()
		b.report.Machine.Peers[c.peer] = p.ready
		if err := checkRows(p, filepath.Join(b.temp, c.peer+".rows"), rows); err != nil {
			b.record(title, err)
			continue
		}
		candidates = append(candidates, candidate{
			name: c.peer, version: p.ready, bar: minRatio(c.ratio),
			checked: fmt.Sprintf("newest rows of %d users equal (prior_basket_value within 1e-12, because peers add the prices in another order)", len(rows)),
			measure: func(context.Context) (float64, error) { return p.askNumber("batch 1") },
		})
	}
	ours, results := b.compare(ctx, name, nanoseconds, candidates...)
	for _, r := range results {
		r.Note = "one thread each; pandas uses explode and merge, pandas-tuned one look-up of user and item combined in one number; duckdb ranks all orders, duckdb-tuned reads the items of the last two orders of each user only"
		b.add(r)
	}
	b.measureOurs(ctx, name+", all cores", nanoseconds, nil, measure)
	if len(ours) == 0 || !b.large {
		return nil
	}
	r := newResult(name, nanoseconds, ours, candidate{name: "the Python service"}, []float64{pythonService}, minRatio(300))
	r.Ratio = &summary{pythonService / r.Ours.Median, pythonService / r.Ours.Max, pythonService / r.Ours.Min}
	r.Note = "the Python service's 58 s is a constant, measured elsewhere"
	b.add(r)
	return nil
}

// checkRows compares the rows of a peer with ours.
func checkRows(p *process, file string, rows []basket.Row) error {
	if _, err := p.ask(answerLimit, "out %s", file); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	theirs := map[string][]float64{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		for _, f := range fields[1:] {
			v, err := strconv.ParseFloat(f, 64)
			if err != nil {
				return err
			}
			theirs[fields[0]] = append(theirs[fields[0]], v)
		}
	}
	if len(theirs) != len(rows) {
		return fmt.Errorf("%d users, want %d", len(theirs), len(rows))
	}
	for _, r := range rows {
		got := theirs[r.UserID]
		if len(got) != len(r.Values) {
			return fmt.Errorf("user %s: %v, want %v", r.UserID, got, r.Values)
		}
		user := "user " + r.UserID
		if err := errors.Join(checkEqual(user, got[:1], r.Values[:1], 1e-12), checkEqual(user, got[1:], r.Values[1:], 0)); err != nil {
			return err
		}
	}
	return nil
}
