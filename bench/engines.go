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

// sampleTime is the approximate time of one measurement of an engine.
const sampleTime = 25 * time.Millisecond

// batchSize is the number of rows of a batch.
const batchSize = 12_000

// An engineCase is a model and the engines that predict with it.
type engineCase struct {
	large, small string // the large model, and the one of testdata that replaces it
	one, batch   []peerBar
}

// A peerBar is the required ratio of ours to a peer, or 0 for no bar.
type peerBar struct {
	peer  string
	ratio float64
}

var engineCases = []engineCase{
	{
		"lgbm-regression", "lightgbm-regression",
		[]peerBar{{"leaves", 30}, {"lightgbm", 14}, {"lleaves", 3}},
		[]peerBar{{"lleaves", 3}, {"lightgbm", 0}, {"leaves", 0}},
	},
	{"lgbm-nan", "lightgbm-nan", []peerBar{{"lleaves", 3}}, []peerBar{{"lleaves", 3}}},
	{"lgbm-large", "", []peerBar{{"lightgbm", 6}}, []peerBar{{"lightgbm", 8}}},
	{"xgb-regression", "xgboost-regression", []peerBar{{"xgboost", 150}}, []peerBar{{"xgboost", 3}}},
	{"xgb-nan", "xgboost-present", []peerBar{{"xgboost", 150}}, []peerBar{{"xgboost", 3}}},
	{"sklearn-histgbr", "sklearn-hist-missing", []peerBar{{"scikit-learn", 1000}}, nil},
	{"sklearn-pipeline-gbr", "sklearn-pipeline-imputer-gb", []peerBar{{"scikit-learn", 1000}}, nil},
}

// An engine predicts the rows of a workload.
type engine struct {
	name, version string
	tolerance     float64                                     // of its predictions, for checkEqual
	measure       func(mode string, n int) (float64, error)   // nanoseconds per row of n calls
	predictions   func() (single, batch []float64, err error) // single may have the first rows only
	close         func()

	checked  string // how its predictions were compared with ours
	checkErr error  // an error of its predictions, or a difference
}

// An engineComparison is an engineCase in one mode: "one" predicts one row per call,
// "batch" all rows in one call.
type engineComparison struct {
	mode, name string
	peers      []peerBar
}

// engines compares the engines that can predict with a model.
func (b *bench) engines(ctx context.Context, name string, c engineCase) error {
	var comparisons []engineComparison
	for _, ec := range []engineComparison{
		{"one", name + ", one row", c.one},
		{"batch", fmt.Sprintf("%s, batch of %d", name, batchSize), c.batch},
	} {
		if len(ec.peers) > 0 && b.selected(ec.name) {
			comparisons = append(comparisons, ec)
		}
	}
	if len(comparisons) == 0 {
		return nil
	}
	w, err := b.loadWorkload(c.large, c.small)
	if err != nil {
		return err
	}
	model, err := basket.LoadModel(w.path)
	if errors.Is(err, basket.ErrModelFormat) {
		return skipError{fmt.Errorf("basket does not support the model: %w", err)}
	} else if err != nil {
		return err
	}
	ours := basketEngine(b.now, w, model)
	single, all, err := ours.predictions()
	if err == nil {
		err = errors.Join(checkEqual("one row", single[:w.distinct], w.want, 0), checkEqual("batch", all, single, 0))
	}
	if err != nil {
		return fmt.Errorf("ours differs from the library: %w", err)
	}
	opened := map[string]*engine{}
	defer func() {
		for _, e := range opened {
			e.close()
		}
	}()
	for _, ec := range comparisons {
		candidates := []candidate{ours.candidate(ec.mode, 0)}
		for _, p := range ec.peers {
			title := ec.name + " vs " + p.peer
			if opened[p.peer] == nil {
				b.logf("  opening %s", p.peer)
				e, err := b.openEngine(ctx, p.peer, w)
				if err != nil {
					b.record(title, skipError{err})
					continue
				}
				e.check(single, all, w.distinct)
				opened[p.peer] = e
			}
			e := opened[p.peer]
			if e.checkErr != nil {
				b.record(title, e.checkErr)
				continue
			}
			candidates = append(candidates, e.candidate(ec.mode, p.ratio))
		}
		if len(candidates) > 1 {
			_, results := b.compare(ctx, ec.name, nanoseconds, candidates...)
			b.add(results...)
		}
	}
	return nil
}

// check compares the engine's predictions with ours.
func (e *engine) check(single, all []float64, distinct int) {
	theirs, theirBatch, err := e.predictions()
	if err == nil {
		err = errors.Join(
			checkEqual("predictions differ: one row", theirs, single[:min(len(theirs), len(single))], e.tolerance),
			checkEqual("predictions differ: batch", theirBatch, all, e.tolerance),
		)
	}
	e.checkErr = err
	e.checked = fmt.Sprintf("predictions of %s and ours equal to the last bit, %d distinct rows", e.name, distinct)
	if e.tolerance > 0 {
		e.checked = fmt.Sprintf("predictions of %s and ours equal within %g, %d distinct rows (it adds in another order)", e.name, e.tolerance, distinct)
	}
}

// candidate returns the engine in a mode, with its bar.
func (e *engine) candidate(mode string, ratio float64) candidate {
	units := 1
	if mode == "batch" {
		units = batchSize
	}
	return candidate{
		name: e.name, version: e.version, bar: minRatio(ratio), checked: e.checked,
		measure: calibrated(sampleTime, units, func(n int) (float64, error) { return e.measure(mode, n) }),
	}
}

// goEngine returns an engine that runs in this process.
func goEngine(now clock, name, version string, w *workload, predictRow, predictBatch func(dst, rows []float64) error) *engine {
	k, next := w.columns, 0
	dst := make([]float64, batchSize)
	return &engine{
		name: name, version: version, close: func() {},
		measure: func(mode string, n int) (float64, error) {
			start := now()
			if mode == "batch" {
				for range n {
					if err := predictBatch(dst, w.rows); err != nil {
						return 0, err
					}
				}
				return float64(now()-start) / float64(n) / batchSize, nil
			}
			for range n {
				if err := predictRow(dst[:1], w.rows[next*k:next*k+k]); err != nil {
					return 0, err
				}
				if next++; next == batchSize {
					next = 0
				}
			}
			return float64(now()-start) / float64(n), nil
		},
		predictions: func() (single, all []float64, err error) {
			single, all = make([]float64, batchSize), make([]float64, batchSize)
			for i := range single {
				if err := predictRow(single[i:i+1], w.rows[i*k:i*k+k]); err != nil {
					return nil, nil, err
				}
			}
			return single, all, predictBatch(all, w.rows)
		},
	}
}

func basketEngine(now clock, w *workload, m basket.Model) *engine {
	ctx := context.Background()
	predict := func(dst, rows []float64) error { return m.Predict(ctx, dst, rows) }
	return goEngine(now, "basket", "", w, predict, predict)
}

// leavesEngine returns the leaves library. It reads versions of the format up to v3
// only, so that v4 is replaced in the header.
func leavesEngine(now clock, w *workload) (*engine, error) {
	text, err := os.ReadFile(w.path)
	if err != nil {
		return nil, err
	}
	v3 := strings.NewReader(strings.Replace(string(text), "\nversion=v4\n", "\nversion=v3\n", 1))
	m, err := leaves.LGEnsembleFromReader(bufio.NewReader(v3), false)
	if err != nil {
		return nil, err
	}
	return goEngine(now, "leaves", moduleVersion("github.com/dmitryikh/leaves"), w, func(dst, row []float64) error {
		dst[0] = m.PredictSingle(row, 0)
		return nil
	}, func(dst, rows []float64) error {
		return m.PredictDense(rows, batchSize, w.columns, dst, 0, 1)
	}), nil
}

// openEngine opens a peer with a workload.
func (b *bench) openEngine(ctx context.Context, name string, w *workload) (*engine, error) {
	args := []string{w.path, w.file, fmt.Sprint(batchSize), fmt.Sprint(w.columns)}
	switch name {
	case "leaves":
		return leavesEngine(b.now, w)
	case "lightgbm", "xgboost":
		return b.startDriver(ctx, name, 0, b.peer(name), args...)
	case "lleaves":
		program, err := b.compileLleaves(ctx, w.path)
		if err != nil {
			return nil, err
		}
		// It sums blocks of trees and then adds the sums.
		return b.startDriver(ctx, name, 1e-12, program, args...)
	case "scikit-learn":
		return b.startDriver(ctx, name, 0, b.python(), append([]string{b.source("sklearn_driver.py")}, args...)...)
	}
	return nil, fmt.Errorf("unknown peer %s", name)
}

// startDriver starts the program of a peer.
func (b *bench) startDriver(ctx context.Context, name string, tolerance float64, program string, args ...string) (*engine, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, errNotInstalled(program)
	}
	p, err := b.startPeer(ctx, program, args...)
	if err != nil {
		return nil, err
	}
	b.report.Machine.Peers[name] = p.ready
	return &engine{
		name: name, version: p.ready, tolerance: tolerance,
		measure: func(mode string, n int) (float64, error) { return p.askNumber("%s %d", mode, n) },
		predictions: func() (single, all []float64, err error) {
			file := filepath.Join(b.temp, name+".out")
			if _, err := p.ask(10*time.Minute, "out %s", file); err != nil {
				return nil, nil, err
			}
			values, err := readFloats(file)
			if err != nil {
				return nil, nil, err
			}
			n := len(values) - batchSize
			if n < 0 {
				return nil, nil, fmt.Errorf("%d predictions, want at least %d", len(values), batchSize)
			}
			return values[:n], values[n:], nil
		},
		close: p.kill,
	}, nil
}

// compileLleaves compiles a model and links it with the driver. It keeps the program,
// whose name has a digest of its inputs, for later runs.
func (b *bench) compileLleaves(ctx context.Context, model string) (string, error) {
	if _, err := os.Stat(b.python()); err != nil {
		return "", errNotInstalled(b.python())
	}
	digest := sha256.New()
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
	version, err := runCommand(ctx, 10*time.Minute, "", b.python(), b.source("lleaves_compile.py"), model, program+".o")
	if err != nil {
		return "", err
	}
	_, err = runCommand(ctx, time.Minute, "", "cc", "-O3", "-no-pie", "-o", program,
		fmt.Sprintf("-DVERSION=%q", strings.TrimSpace(version)), b.source("lleaves.c"), program+".o", "-lm")
	return program, err
}

// twoCores compares batches on two cores with the same batches on one core. In the
// larger batch, the time to wake a core is a small part.
func (b *bench) twoCores(ctx context.Context) error {
	const large, small = "lgbm-regression", "lightgbm-regression"
	for _, size := range []int{batchSize, 10 * batchSize} {
		name := fmt.Sprintf("engine: %s, two cores, batch of %d", b.modelName(large, small), size)
		if !b.selected(name) {
			continue
		}
		if b.report.Machine.Cores < 2 {
			return skipError{errors.New("this machine has one core")}
		}
		w, err := b.loadWorkload(large, small)
		if err != nil {
			return err
		}
		if err := b.twoCoresBatch(ctx, name, w, size); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) twoCoresBatch(ctx context.Context, name string, w *workload, size int) error {
	m, err := basket.LoadModel(w.path)
	if err != nil {
		return err
	}
	rows := slices.Repeat(w.rows, size/batchSize)
	got, want := make([]float64, size), make([]float64, size)
	if err := errors.Join(m.PredictParallel(ctx, want, rows, 1), m.PredictParallel(ctx, got, rows, 2)); err != nil {
		return err
	}
	if err := checkEqual("batch", got, want, 0); err != nil {
		return err
	}
	measure := func(workers int) measureFunc {
		return calibrated(sampleTime, size, func(n int) (float64, error) {
			start := wallTime() // a second core does not reduce the CPU time
			for range n {
				if err := m.PredictParallel(ctx, got, rows, workers); err != nil {
					return 0, err
				}
			}
			return float64(wallTime()-start) / float64(n) / float64(size), nil
		})
	}
	_, results := b.compare(ctx, name, nanoseconds,
		candidate{name: "basket", measure: measure(2)},
		candidate{name: "one core", measure: measure(1), bar: minRatio(1.9)})
	for _, r := range results {
		r.Note = "PredictParallel with two workers"
		b.add(r)
	}
	return nil
}
