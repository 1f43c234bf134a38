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
	"time"

	"github.com/basket-go/basket"
)

// pythonService is how long the Python service that basket replaces took for the
// features of the large data. It cannot run here: the figure was measured
// elsewhere, once.
const pythonService = 58e9

// features compares orders to features.
func (b *bench) features(ctx context.Context) {
	name := "features: parquet files to newest rows"
	if !b.wanted(name) {
		return
	}
	s := b.shop()
	rows, err := s.rows()
	if err != nil {
		b.fail(name, err)
		return
	}
	turn := func(context.Context) (float64, error) {
		start := b.now()
		_, err := s.rows()
		return float64(b.now() - start), err
	}
	sides := []side{{"basket", "", func(ctx context.Context) (float64, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // as the others
		return turn(ctx)
	}}}
	var bars []*bar
	for _, r := range []rival{{"pandas", 5}, {"pandas-tuned", 0}, {"duckdb", 3}} {
		if _, err := os.Stat(b.python()); err != nil {
			b.leave(name+" and "+r.peer, errNotSetUp(b.python()))
			continue
		}
		p, err := b.startPeer(ctx, b.python(), b.source("features.py"), r.peer, s.data)
		if err != nil {
			b.leave(name+" and "+r.peer, err)
			continue
		}
		defer p.close()
		b.report.Machine.Peers[r.peer] = p.first
		if err := sameRows(p, filepath.Join(b.temp, r.peer+".rows"), rows); err != nil {
			b.fail(name+" and "+r.peer, err)
			continue
		}
		sides = append(sides, side{r.peer, p.first, func(context.Context) (float64, error) { return p.measure("batch 1") }})
		var limit *bar
		if r.bar > 0 {
			limit = times(r.bar)
		}
		bars = append(bars, limit)
	}
	b.say("%s", name)
	ours := b.compare(ctx, name, nanoseconds, sides, func(i int, r *result) {
		r.Bar = bars[i]
		r.Checked = fmt.Sprintf("newest rows of %d users equal (prior_basket_value within 1e-12: others add the prices in another order)", len(rows))
		r.Note = "one thread each; pandas by explode and merge, pandas-tuned by one look-up of user and item as one number"
	})
	b.alone(ctx, name+", all cores", nanoseconds, nil, turn)
	if len(ours) == 0 || !b.large {
		return
	}
	r := newResult(name, nanoseconds, ours, side{name: "the Python service"}, []float64{pythonService}, times(300))
	r.Ratio = &summary{pythonService / r.Ours.Median, pythonService / r.Ours.Max, pythonService / r.Ours.Min}
	r.Note = "the Python service's 58 s is a constant: it was measured elsewhere"
	b.add(r)
}

// sameRows holds a peer's rows against ours.
func sameRows(p *process, file string, rows []basket.Row) error {
	if _, err := p.ask(2*time.Minute, "out %s", file); err != nil {
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
		if err := errors.Join(problem("user "+r.UserID, got[:1], r.Values[:1], 1e-12), problem("user "+r.UserID, got[1:], r.Values[1:], 0)); err != nil {
			return err
		}
	}
	return nil
}
