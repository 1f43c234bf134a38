package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// longRounds is the largest number of rounds of a comparison that --long adds.
const longRounds = 3

// runLimit is the longest time of one computation of features at scale.
const runLimit = 10 * time.Minute

// madePrefix begins the names of the comparisons whose data is made here. Their bars
// apply whether the large data is there or not.
const madePrefix = "features of "

// A madeShop is a large made-up shop, with the bars of "basket features".
type madeShop struct {
	count         string // of the orders, as text
	users, orders int
	ratio         float64 // to DuckDB's time
	peak          float64 // bytes of resident memory
}

var (
	million    = madeShop{"1,000,000 orders", 100_000, 1_000_000, 3, 150 << 20}
	tenMillion = madeShop{"10,000,000 orders", 1_000_000, 10_000_000, 2.5, 1100 << 20}
)

// The names of the comparisons. The pattern of CI's short run matches none of them.
func (s *madeShop) name() string      { return madePrefix + s.count }
func (s *madeShop) peakName() string  { return s.name() + ", peak" }
func (s *madeShop) coresName() string { return s.name() + ", two cores" }
func (s *madeShop) orderName() string { return s.name() + ", time an order" }

// featuresAtScale runs the selected comparisons of "basket features" on made-up shops.
func (b *bench) featuresAtScale(ctx context.Context) {
	cores := min(2, b.report.Machine.Cores)
	small := b.newScaleRun(million, cores, b.rounds)
	b.record(small.name(), small.againstDuckDB(ctx))
	if !b.long {
		return
	}
	large := b.newScaleRun(tenMillion, cores, min(longRounds, b.rounds))
	b.record(large.name(), large.againstDuckDB(ctx))
	b.record(large.coresName(), large.twoCores(ctx))
	b.record(large.orderName(), large.timeAnOrder(ctx, small))
}

// A scaleRun computes the features of a shop.
type scaleRun struct {
	*bench
	madeShop
	cores, rounds int
	prepare       func(context.Context) error // works once, when a comparison is selected
	data          string
	program       string
	file          string            // the output
	sum           [sha256.Size]byte // of the output
	peers         []candidate       // those whose rows equal ours
	peaks         map[string][]float64
}

func (b *bench) newScaleRun(s madeShop, cores, rounds int) *scaleRun {
	r := &scaleRun{bench: b, madeShop: s, cores: cores, rounds: rounds, peaks: map[string][]float64{}}
	var once sync.Once
	var err error
	r.prepare = func(ctx context.Context) error {
		once.Do(func() { err = r.check(ctx) })
		return err
	}
	return r
}

// check makes the shop, unless it is there, and compares our rows with those of the
// peers.
func (r *scaleRun) check(ctx context.Context) (err error) {
	if r.data, err = r.makeShop(ctx, &r.madeShop); err != nil {
		return err
	}
	if r.program, err = r.buildBasket(ctx); err != nil {
		return err
	}
	r.logf("%s: comparing the rows", r.name())
	r.file = filepath.Join(r.temp, filepath.Base(r.data)+".parquet")
	if _, err := r.run(ctx, r.cores); err != nil {
		return err
	}
	if r.sum, err = fileSum(r.file); err != nil {
		return err
	}
	rows, err := readRows(ctx, r.file)
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return errors.New("no user has a feature row")
	}
	for _, c := range []peerBar{{"duckdb", r.ratio}, {"duckdb-tuned", 0}} {
		if err := r.checkPeer(ctx, c, rows); err != nil {
			r.record(r.name()+" vs "+c.peer, err)
		}
	}
	if len(r.peers) == 0 {
		return skipError{errors.New("no peer confirms the rows")}
	}
	return nil
}

// makeShop returns the folder of the shop's files, which are made by the first run.
func (b *bench) makeShop(ctx context.Context, s *madeShop) (folder string, err error) {
	folder = b.peer(fmt.Sprintf("orders-%d-%d", s.users, s.orders))
	if _, err := os.Stat(b.python()); err != nil {
		return "", errNotInstalled(b.python())
	}
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	b.logf("making %s", folder)
	// A run that is stopped leaves no folder that looks complete.
	temp, err := os.MkdirTemp(b.peers, filepath.Base(folder)+"-part-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if _, err := runCommand(ctx, runLimit, b.root, b.python(), b.source("orders.py"), fmt.Sprint(s.users), fmt.Sprint(s.orders), temp); err != nil {
		return "", skipError{err}
	}
	return folder, os.Rename(temp, folder)
}

// run runs "basket features" in a process of its own.
func (r *scaleRun) run(ctx context.Context, cores int) (usage, error) {
	return measureOnce(ctx, runLimit, cores, r.program, "features", "--data", r.data, "--out", r.file)
}

// runAgain is run, whose output must be the one that was compared with the peers'.
func (r *scaleRun) runAgain(ctx context.Context, cores int) (usage, error) {
	u, err := r.run(ctx, cores)
	if err != nil {
		return usage{}, err
	}
	sum, err := fileSum(r.file)
	if err != nil {
		return usage{}, err
	}
	if sum != r.sum {
		return usage{}, fmt.Errorf("%d cores: the output differs from the first one", cores)
	}
	return u, nil
}

// ours measures the time of runAgain, divided by a number of units.
func (r *scaleRun) ours(cores, units int) measureFunc {
	return func(ctx context.Context) (float64, error) {
		u, err := r.runAgain(ctx, cores)
		return float64(u.wall.Nanoseconds()) / float64(units), err
	}
}

// startDuckDB starts a peer that has not computed anything yet.
func (r *scaleRun) startDuckDB(ctx context.Context, engine string) (*process, error) {
	return startProcess(ctx, 2*time.Minute, "ready ", r.python(), r.source("features.py"), engine, r.data, "wall", strconv.Itoa(r.cores))
}

// checkPeer compares a peer's rows with ours, and makes it a candidate if they agree.
func (r *scaleRun) checkPeer(ctx context.Context, c peerBar, rows []basket.Row) error {
	p, err := r.startDuckDB(ctx, c.peer)
	if err != nil {
		return skipError{err}
	}
	defer p.kill()
	r.report.Machine.Peers[c.peer] = p.ready
	if err := checkRows(p, filepath.Join(r.temp, c.peer+".rows"), rows); err != nil {
		return err
	}
	r.peers = append(r.peers, candidate{
		name: c.peer, version: p.ready, bar: minRatio(c.ratio),
		checked: fmt.Sprintf("newest rows of all %d users equal (prior_basket_value within 1e-12, because DuckDB adds the prices in another order); each run of basket writes the same bytes", len(rows)),
		measure: func(ctx context.Context) (float64, error) {
			p, err := r.startDuckDB(ctx, c.peer)
			if err != nil {
				return 0, err
			}
			defer p.kill()
			ns, err := p.askNumber("batch 1")
			if err != nil {
				return 0, err
			}
			if peak, err := parseKilobytes(valueOf(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid), "VmHWM", ":")); err == nil {
				r.addPeak(c.peer, peak)
			}
			return ns, nil
		},
	})
	return nil
}

// addPeak keeps a measurement of memory, if there is one.
func (r *scaleRun) addPeak(program string, peak float64) {
	if peak > 0 {
		r.peaks[program] = append(r.peaks[program], peak)
	}
}

// againstDuckDB compares time and memory with DuckDB's.
func (r *scaleRun) againstDuckDB(ctx context.Context) error {
	if !r.selected(r.name()) && !r.selected(r.peakName()) {
		return nil
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	ours := candidate{name: "basket", measure: func(ctx context.Context) (float64, error) {
		u, err := r.runAgain(ctx, r.cores)
		r.addPeak("basket", float64(u.peak))
		return float64(u.wall.Nanoseconds()), err
	}}
	_, results := r.compareRounds(ctx, r.rounds, r.name(), nanoseconds, append([]candidate{ours}, r.peers...)...)
	for _, s := range results {
		s.Note = fmt.Sprintf("wall time on %d cores; rounds: %d; each measurement is a new process: of basket the whole process, from files to a file; of DuckDB to open a database and the query, whose rows stay there. duckdb-tuned finds the last two orders of each user first and reads the items of these only", r.cores, r.rounds)
		r.add(s)
	}
	if len(results) > 0 && r.selected(r.peakName()) {
		r.addPeaks(results)
	}
	return nil
}

// addPeaks adds our peak memory beside that of each peer which has a result.
func (r *scaleRun) addPeaks(results []result) {
	ours := r.peaks["basket"]
	if len(ours) == 0 {
		r.record(r.peakName(), skipError{errors.New("this system does not tell the peak of a process that has ended")})
		return
	}
	limit := maxValue(bytes, r.peak)
	for _, s := range results {
		p := newResult(r.peakName(), bytes, ours, candidate{name: s.Peer, version: s.PeerVersion}, r.peaks[s.Peer], limit)
		p.Note = "resident memory at the peak; the bar is a limit of basket's, DuckDB's has none"
		r.add(p)
		limit = nil // one verdict is enough
	}
}

// twoCores compares two cores with one.
func (r *scaleRun) twoCores(ctx context.Context) error {
	if !r.selected(r.coresName()) {
		return nil
	}
	if r.cores < 2 {
		return skipError{errors.New("this machine has one core")}
	}
	if err := r.prepare(ctx); err != nil {
		return err
	}
	_, results := r.compareRounds(ctx, r.rounds, r.coresName(), nanoseconds,
		candidate{name: "basket", measure: r.ours(2, 1)},
		candidate{name: "one core", measure: r.ours(1, 1), bar: minRatio(1.7), checked: "two cores and one core write the same bytes"})
	r.add(results...)
	return nil
}

// timeAnOrder compares the time an order with that of a smaller shop: it must not grow
// much with the shop.
func (r *scaleRun) timeAnOrder(ctx context.Context, small *scaleRun) error {
	if !r.selected(r.orderName()) {
		return nil
	}
	if err := errors.Join(small.prepare(ctx), r.prepare(ctx)); err != nil {
		return err
	}
	_, results := r.compareRounds(ctx, r.rounds, r.orderName(), nanoseconds,
		candidate{name: "basket", measure: r.ours(r.cores, r.orders)},
		candidate{name: small.count, measure: small.ours(r.cores, small.orders), bar: minSpeed(1.4)})
	r.add(results...)
	return nil
}

// minSpeed returns the bar for work that takes at most a number of times as long as
// another.
func minSpeed(times float64) *bar {
	return &bar{AtLeast: 1 / times, Text: fmt.Sprintf("%.3gx (1/%g)", 1/times, times)}
}

// readRows reads the rows of a file that "basket features" wrote.
func readRows(ctx context.Context, file string) ([]basket.Row, error) {
	var rows []basket.Row
	for r, err := range basketparquet.Rows(ctx, os.DirFS(filepath.Dir(file)), filepath.Base(file)) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// fileSum returns the checksum of a file.
func fileSum(file string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}
