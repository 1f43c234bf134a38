package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/dmitryikh/leaves"
)

// slice is about how long a turn of an engine takes.
const slice = 25 * time.Millisecond

// An engineCase is a model and what is asked of ours beside each peer's: how many
// times faster, 0 for a peer that is only shown.
type engineCase struct {
	model, small string // large model, and the one of testdata that stands in for it
	one, batch   []rival
}

type rival struct {
	peer string
	bar  float64
}

var engineCases = []engineCase{
	{
		"lgbm-regression", "lightgbm-regression",
		[]rival{{"leaves", 30}, {"lightgbm", 14}, {"lleaves", 3}},
		[]rival{{"lleaves", 3}, {"lightgbm", 0}, {"leaves", 0}},
	},
	{"lgbm-nan", "lightgbm-nan", []rival{{"lleaves", 3}}, []rival{{"lleaves", 3}}},
	{"lgbm-large", "", []rival{{"lightgbm", 6}}, []rival{{"lightgbm", 8}}},
	{"xgb-regression", "xgboost-regression", []rival{{"xgboost", 150}}, []rival{{"xgboost", 3}}},
	{"xgb-nan", "xgboost-present", []rival{{"xgboost", 150}}, []rival{{"xgboost", 3}}},
	{"sklearn-histgbr", "sklearn-hist-missing", []rival{{"scikit-learn", 1000}}, nil},
	{"sklearn-pipeline-gbr", "sklearn-pipeline-imputer-gb", []rival{{"scikit-learn", 1000}}, nil},
}

// An engine predicts the rows of a workload.
type engine struct {
	name, version string
	tolerance     float64                                     // of its predictions; 0 for equal bits
	measure       func(what string, n int) (float64, error)   // nanoseconds a row of "one" or "batch", n times
	predictions   func() (single, batch []float64, err error) // single may be of the first rows only
	close         func()
}

// engines compares all engines that want a model.
func (b *bench) engines(ctx context.Context, c engineCase) {
	name := "engine: " + b.title(c.model, c.small)
	names := map[string]string{"one": name + ", one row", "batch": fmt.Sprintf("%s, batch of %d", name, batchSize)}
	rivals := map[string][]rival{"one": c.one, "batch": c.batch}
	for what, name := range names {
		if !b.wanted(name) || rivals[what] == nil {
			delete(rivals, what)
		}
	}
	if len(rivals) == 0 {
		return
	}
	w, err := b.loadWorkload(c.model, c.small)
	if err != nil {
		b.leave(name, err)
		return
	}
	model, err := basket.LoadModel(w.path)
	if errors.Is(err, basket.ErrModelFormat) {
		b.leave(name, fmt.Errorf("basket refuses it: %w", err))
		return
	} else if err != nil {
		b.fail(name, err)
		return
	}
	ours := nativeEngine(b.now, w, model)
	single, batch, err := ours.predictions()
	if err == nil {
		err = errors.Join(problem("one row", single[:w.distinct], w.want, 0), problem("batch", batch, single, 0))
	}
	if err != nil {
		b.fail(name, fmt.Errorf("ours is not the library's answer: %w", err))
		return
	}
	open := map[string]*engine{}
	checked := map[string]string{}
	defer func() {
		for _, e := range open {
			e.close()
		}
	}()
	for _, what := range []string{"one", "batch"} {
		sides := []side{ours.side(what)}
		var kept []rival
		for _, r := range rivals[what] {
			e, tried := open[r.peer]
			if !tried {
				b.say("  opening %s", r.peer)
				if e, err = b.openEngine(ctx, r.peer, w); err != nil {
					b.leave(names[what]+" and "+r.peer, err)
					continue
				}
				open[r.peer] = e
				theirs, theirBatch, err := e.predictions()
				if err == nil {
					err = errors.Join(
						problem("one row", theirs, single[:min(len(theirs), len(single))], e.tolerance),
						problem("batch", theirBatch, batch, e.tolerance),
					)
				}
				if err != nil {
					b.fail(names[what]+" and "+r.peer, fmt.Errorf("the answers differ: %w", err))
					continue
				}
				checked[r.peer] = fmt.Sprintf("answers of %s and ours equal to the bit, %d distinct rows", r.peer, w.distinct)
				if e.tolerance > 0 {
					checked[r.peer] = fmt.Sprintf("answers of %s and ours within %g relative, %d distinct rows (it adds in another order)", r.peer, e.tolerance, w.distinct)
				}
			}
			if checked[r.peer] == "" { // its answers were wrong
				continue
			}
			sides, kept = append(sides, e.side(what)), append(kept, r)
		}
		if len(kept) == 0 {
			continue
		}
		b.say("%s", names[what])
		b.compare(ctx, names[what], nanoseconds, sides, func(i int, r *result) {
			r.Checked = checked[kept[i].peer]
			if kept[i].bar > 0 {
				r.Bar = times(kept[i].bar)
			}
		})
	}
}

func problem(what string, got, want []float64, tolerance float64) error {
	if text := differs(got, want, tolerance); text != "" {
		return fmt.Errorf("%s: %s", what, text)
	}
	return nil
}

// side is the engine in one of its ways.
func (e *engine) side(what string) side {
	units := 1
	if what == "batch" {
		units = batchSize
	}
	return side{e.name, e.version, calibrated(slice, units, func(n int) (float64, error) { return e.measure(what, n) })}
}

// goEngine is an engine of this process.
func goEngine(now clock, name, version string, w *workload, one func(dst, row []float64) error, batch func(dst, rows []float64) error) *engine {
	k, at := w.columns, 0
	dst := make([]float64, batchSize)
	return &engine{
		name: name, version: version, close: func() {},
		measure: func(what string, n int) (float64, error) {
			start := now()
			if what == "batch" {
				for range n {
					if err := batch(dst, w.rows); err != nil {
						return 0, err
					}
				}
				return float64(now()-start) / float64(n) / batchSize, nil
			}
			for range n {
				if err := one(dst[:1], w.rows[at*k:at*k+k]); err != nil {
					return 0, err
				}
				if at++; at == batchSize {
					at = 0
				}
			}
			return float64(now()-start) / float64(n), nil
		},
		predictions: func() (single, all []float64, err error) {
			single, all = make([]float64, batchSize), make([]float64, batchSize)
			for i := range single {
				if err := one(single[i:i+1], w.rows[i*k:i*k+k]); err != nil {
					return nil, nil, err
				}
			}
			return single, all, batch(all, w.rows)
		},
	}
}

// nativeEngine is ours.
func nativeEngine(now clock, w *workload, m basket.Model) *engine {
	ctx := context.Background()
	predict := func(dst, rows []float64) error { return m.Predict(ctx, dst, rows) }
	return goEngine(now, "basket", "", w, predict, predict)
}

// leavesEngine is the leaves library itself, which only knows headers up to v3.
func leavesEngine(now clock, w *workload) (*engine, error) {
	text, err := os.ReadFile(w.path)
	if err != nil {
		return nil, err
	}
	older := strings.NewReader(strings.Replace(string(text), "\nversion=v4\n", "\nversion=v3\n", 1))
	m, err := leaves.LGEnsembleFromReader(bufio.NewReader(older), false)
	if err != nil {
		return nil, err
	}
	const path = "github.com/dmitryikh/leaves"
	return goEngine(now, "leaves", shortVersion(moduleVersion(path)), w, func(dst, row []float64) error {
		dst[0] = m.PredictSingle(row, 0)
		return nil
	}, func(dst, rows []float64) error {
		return m.PredictDense(rows, batchSize, w.columns, dst, 0, 1)
	}), nil
}

// shortVersion makes the commit out of a version without a tag.
func shortVersion(v string) string {
	if i := strings.LastIndexByte(v, '-'); i >= 0 && strings.HasPrefix(v, "v0.0.0-") {
		return v[i+1:][:min(8, len(v)-i-1)]
	}
	return v
}

// openEngine starts a peer for a workload.
func (b *bench) openEngine(ctx context.Context, name string, w *workload) (*engine, error) {
	args := []string{w.path, w.file, fmt.Sprint(batchSize), fmt.Sprint(w.columns)}
	switch name {
	case "leaves":
		return leavesEngine(b.now, w)
	case "lightgbm", "xgboost":
		return b.driver(ctx, name, 0, b.peer(name), args...)
	case "lleaves":
		program, err := b.compileLleaves(ctx, w.path)
		if err != nil {
			return nil, err
		}
		// Its blocks of trees are summed on their own and added after that.
		return b.driver(ctx, name, 1e-12, program, args...)
	case "scikit-learn":
		return b.driver(ctx, name, 0, b.python(), append([]string{b.source("sklearn_driver.py")}, args...)...)
	}
	return nil, fmt.Errorf("no peer is called %s", name)
}

// driver starts a peer's program.
func (b *bench) driver(ctx context.Context, name string, tolerance float64, program string, args ...string) (*engine, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, errNotSetUp(program)
	}
	p, err := b.startPeer(ctx, program, args...)
	if err != nil {
		return nil, err
	}
	b.report.Machine.Peers[name] = p.first
	return &engine{
		name: name, version: p.first, tolerance: tolerance,
		measure: func(what string, n int) (float64, error) { return p.measure("%s %d", what, n) },
		predictions: func() (single, batch []float64, err error) {
			file := filepath.Join(b.temp, name+".out")
			if _, err := p.ask(10*time.Minute, "out %s", file); err != nil {
				return nil, nil, err
			}
			all, err := readFloats(file)
			if err != nil {
				return nil, nil, err
			}
			if len(all) < batchSize {
				return nil, nil, fmt.Errorf("%d predictions", len(all))
			}
			n := len(all) - batchSize
			return all[:n], all[n:], nil
		},
		close: func() { p.close() },
	}, nil
}

// compileLleaves compiles a model once, and links it with its driver.
func (b *bench) compileLleaves(ctx context.Context, model string) (string, error) {
	if _, err := os.Stat(b.python()); err != nil {
		return "", errNotSetUp(b.python())
	}
	digest := sha256.New() // of all that the program is made from
	for _, file := range []string{model, b.source("driver.h"), b.source("lleaves.c")} {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		digest.Write(text)
	}
	program := b.peer(fmt.Sprintf("lleaves-%x", digest.Sum(nil)[:6]))
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	version, err := command(ctx, time.Minute, "", b.python(), "-c", "import importlib.metadata as m; print(m.version('lleaves'))")
	if err != nil {
		return "", err
	}
	if _, err := command(ctx, 10*time.Minute, "", b.python(), b.source("lleaves_compile.py"), model, program+".o"); err != nil {
		return "", err
	}
	_, err = command(ctx, time.Minute, "", "cc", "-O3", "-no-pie", "-o", program,
		fmt.Sprintf("-DVERSION=%q", strings.TrimSpace(version)), b.source("lleaves.c"), program+".o", "-lm")
	return program, err
}

// twoCores compares batches on two cores with the same on one: one as large as the
// others here, and one beside whose time that of waking a core is small.
func (b *bench) twoCores(ctx context.Context) {
	name := "engine: " + b.title("lgbm-regression", "lightgbm-regression") + ", two cores, batch of "
	for _, size := range []int{batchSize, 10 * batchSize} {
		if name := name + fmt.Sprint(size); b.wanted(name) {
			b.twoCoresOf(ctx, name, size)
		}
	}
}

func (b *bench) twoCoresOf(ctx context.Context, name string, size int) {
	w, err := b.loadWorkload("lgbm-regression", "lightgbm-regression")
	if err != nil {
		b.leave(name, err)
		return
	}
	if b.report.Machine.Cores < 2 {
		b.leave(name, errors.New("this machine has one core"))
		return
	}
	m, err := basket.LoadModel(w.path)
	if err != nil {
		b.fail(name, err)
		return
	}
	rows := slices.Repeat(w.rows, size/batchSize)
	got, want := make([]float64, size), make([]float64, size)
	workers := func(dst []float64, n int) error { return m.PredictParallel(ctx, dst, rows, n) }
	if err = errors.Join(workers(want, 1), workers(got, 2)); err == nil {
		err = problem("batch", got, want, 0)
	}
	if err != nil {
		b.fail(name, err)
		return
	}
	b.say("%s", name)
	turn := func(workers int) func(context.Context) (float64, error) {
		return calibrated(slice, size, func(n int) (float64, error) {
			start := wallTime() // two cores do not use less processor time
			for range n {
				if err := m.PredictParallel(ctx, got, rows, workers); err != nil {
					return 0, err
				}
			}
			return float64(wallTime()-start) / float64(n) / float64(size), nil
		})
	}
	b.compare(ctx, name, nanoseconds, []side{{"basket", "", turn(2)}, {"one core", "", turn(1)}}, func(_ int, r *result) {
		r.Bar, r.Note = times(1.9), "PredictParallel with two workers"
	})
}
