// Command bench compares basket with other libraries and programs that do the same
// work, and reports which bars are met. The programs are measured in alternating
// order.
//
//	go -C bench run . [--setup] [--long] [--only REGEXP] [--rounds N] [--json FILE]
//	go -C bench run . --list [--long]
//
// Peers are external programs. --setup, or the script peers.sh, installs and builds
// them in bench/work; comparisons whose peer is missing are skipped and listed.
// The predictions of all engines are compared before their speed is measured, so a
// figure never belongs to a wrong prediction. A wrong prediction fails the run; a
// bar that is not met fails it with --strict only. --list prints the names of the
// comparisons instead.
//
// The features of a million orders are computed from files that peers/orders.py makes
// in bench/work, once. --long adds ten million orders, in at most three rounds: they
// take some minutes, 1.8 GB of files and 3 GB of memory, most of it for DuckDB. It also
// adds the feed of a million users, of 3 GB of files.
//
// The comparisons of a feed start a Kafka broker and a Redis; they need Java, Maven and
// redis-server.
//
//	go -C bench run . timing [--tries N] [--keys N]
//
// measures instead whether the time of checking an API key tells a right key from a
// wrong one, and fails if it does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// childArg, as the first argument, runs this program as one of the servers that the
// http comparison measures.
const childArg = "child"

// roles are what else this program runs as, by its first argument.
var roles = map[string]func(args []string) error{
	childArg: child,
	onceArg:  func(args []string) error { return once(os.Stdout, args) },

	feedArg:     feedWorker,
	timingArg:   func(args []string) error { return timing(os.Stdout, args) },
	overloadArg: overloadServer,
}

// A bench is a run of the comparisons.
type bench struct {
	root   string // the project's folder
	shared string // the folder of the large models and data
	peers  string // the folder that peers.sh fills
	temp   string // a temporary folder
	only   *regexp.Regexp
	list   func(name string) // if it is set, gets the name of each comparison, and none is run
	rounds int
	clock  string // "wall" or "cpu": how work within one process is measured
	now    clock  // the clock of that name
	long   bool   // also the comparisons that take minutes
	strict bool
	length time.Duration // of one load measurement of a server
	large  bool          // the large models and data exist, so that the bars apply
	report report
}

func main() {
	if runRole(os.Args) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// runRole reports whether the first argument is a role, after it has run it.
func runRole(args []string) bool {
	if len(args) < 2 || roles[args[1]] == nil {
		return false
	}
	if err := roles[args[1]](args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func run(ctx context.Context, args []string) (err error) {
	b := &bench{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.root, "root", "..", "the project's folder")
	f.StringVar(&b.shared, "shared", "", "folder of the large data and models; default: ../shared of the project")
	f.StringVar(&b.peers, "peers", "", "folder of the peers; default: bench/work of the project")
	only := f.String("only", "", "run only the comparisons whose names match this regular expression")
	f.IntVar(&b.rounds, "rounds", 7, "measurements of each program")
	f.DurationVar(&b.length, "length", 2*time.Second, "length of each load measurement of a server, in whole seconds")
	file := f.String("json", "", "also write the report to this file, as JSON")
	f.StringVar(&b.clock, "clock", "wall", "wall or cpu; cpu measures work within one process by its CPU time, for a machine that is shared")
	setup := f.Bool("setup", false, "run peers.sh first")
	f.BoolVar(&b.strict, "strict", false, "fail if a bar is not met")
	f.BoolVar(&b.long, "long", false, "also compute the features of 10,000,000 orders, and feed the orders of 1,000,000 users")
	list := f.Bool("list", false, "print the names of the comparisons")
	limit := f.Duration("limit", time.Hour, "stop the run after this time")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || b.rounds < 1 || b.length < time.Second || b.length%time.Second != 0 {
		return errors.New("want no arguments, --rounds of at least 1 and --length in whole seconds: see --help")
	}
	if b.now = clocks[b.clock]; b.now == nil {
		return fmt.Errorf("--clock %s: want wall or cpu", b.clock)
	}
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if err := b.findFolders(); err != nil {
		return err
	}
	if *list {
		b.list = func(name string) { fmt.Println(name) }
		b.runAll(ctx)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	if *setup {
		if err := b.setup(ctx); err != nil {
			return fmt.Errorf("peers.sh: %w", err)
		}
	}
	if b.temp, err = os.MkdirTemp("", "basket-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.temp)) }()

	b.report = report{Time: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Rounds: b.rounds, Clock: b.clock}
	b.report.Data = "the large models, and 155,518 orders"
	if !b.large {
		b.report.Data = "the small models of testdata and the demo shop, because the large data is missing; only the bars of the demo server's start and of the made-up shops apply"
		b.logf("%s has no large data: using the small models of testdata and the demo shop", b.shared)
	}
	b.runAll(ctx)
	fmt.Println()
	if err := b.report.write(os.Stdout); err != nil {
		return err
	}
	if *file != "" {
		text, err := json.MarshalIndent(&b.report, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*file, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), b.outcome())
}

// runAll runs the selected comparisons.
func (b *bench) runAll(ctx context.Context) {
	for _, c := range engineCases {
		name := "engine: " + b.modelName(c.large, c.small)
		b.record(name, b.engines(ctx, name, c))
	}
	b.record("two cores", b.twoCores(ctx))
	b.record("predictor", b.predictor(ctx))
	b.record("load", b.load(ctx))
	b.record("features", b.features(ctx))
	b.featuresAtScale(ctx)
	b.record("http", b.http(ctx))
	b.record("production", b.production(ctx))
	b.record("page", b.page(ctx))
	b.record("batch", b.batch(ctx))
	b.record("overload", b.overload(ctx))
	b.record("feed", b.feed(ctx))
	b.record("start", b.start(ctx))
	b.record("memory", b.memory(ctx))
}

// outcome returns the error of a finished run.
func (b *bench) outcome() error {
	if n := len(b.report.Failures); n > 0 {
		return fmt.Errorf("%d comparisons failed: see the lines with FAILED above", n)
	}
	var missed []string
	for _, r := range b.report.Results {
		if r.Met != nil && !*r.Met {
			missed = append(missed, fmt.Sprintf("%s vs %s", r.Name, r.Peer))
		}
	}
	if b.strict && len(missed) > 0 {
		return fmt.Errorf("bars not met: %s", strings.Join(missed, "; "))
	}
	return nil
}

// findFolders sets the folders that no flag gives, and makes all of them absolute.
func (b *bench) findFolders() error {
	if b.shared == "" {
		b.shared = filepath.Join(b.root, "..", "shared")
	}
	if b.peers == "" {
		b.peers = filepath.Join(b.root, "bench", "work")
	}
	for _, folder := range []*string{&b.root, &b.shared, &b.peers} {
		path, err := filepath.Abs(*folder)
		if err != nil {
			return err
		}
		*folder = path
	}
	if !isProject(b.root) {
		return fmt.Errorf("%s is not the project's folder: run in bench, or set --root", b.root)
	}
	_, models := os.Stat(filepath.Join(b.shared, "models", "lgbm-regression.txt"))
	_, data := os.Stat(filepath.Join(b.shared, "data", "full"))
	b.large = models == nil && data == nil
	return nil
}

func isProject(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && strings.HasPrefix(string(text), "module github.com/basket-go/basket\n")
}

func (b *bench) source(name string) string { return filepath.Join(b.root, "bench", "peers", name) }
func (b *bench) peer(name string) string   { return filepath.Join(b.peers, name) }
func (b *bench) python() string            { return b.peer(filepath.Join("venv", "bin", "python")) }

func errNotInstalled(path string) error {
	return skipError{fmt.Errorf("%s is missing: run bench/peers.sh", filepath.Base(path))}
}

// selected reports whether --only matches a comparison's name. Each comparison asks before
// it does anything.
func (b *bench) selected(name string) bool {
	if b.list != nil {
		b.list(name)
		return false
	}
	return b.only.MatchString(name)
}

// logf reports the run's progress.
func (b *bench) logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// A skipError is the reason why a comparison cannot run here.
type skipError struct{ error }

// record adds a comparison's error, if there is one, to the report.
func (b *bench) record(name string, err error) {
	if err == nil {
		return
	}
	if _, ok := errors.AsType[skipError](err); ok {
		b.report.Skipped = append(b.report.Skipped, problem{name, err.Error()})
		b.logf("  skipped: %s: %v", name, err)
		return
	}
	b.report.Failures = append(b.report.Failures, problem{name, err.Error()})
	b.logf("  FAILED: %s: %v", name, err)
}

// add adds results to the report, judged if their bars apply to the data.
func (b *bench) add(results ...result) {
	for _, r := range results {
		if b.large || strings.HasPrefix(r.Name, "start:") || strings.HasPrefix(r.Name, madePrefix) {
			r.judge()
		}
		b.report.Results = append(b.report.Results, r)
	}
}

// compare measures the candidates, of which the first is ours. It returns our
// measurements, and a result for each peer that did not fail.
func (b *bench) compare(ctx context.Context, name string, u unit, candidates ...candidate) (ours []float64, results []result) {
	return b.compareRounds(ctx, b.rounds, name, u, candidates...)
}

// compareRounds is compare with a number of rounds of its own.
func (b *bench) compareRounds(ctx context.Context, rounds int, name string, u unit, candidates ...candidate) (ours []float64, results []result) {
	b.logf("%s", name)
	values, errs := interleave(ctx, rounds, candidates)
	if errs[0] != nil {
		b.record(name, errs[0])
		return nil, nil
	}
	for i, peer := range candidates[1:] {
		if err := errs[i+1]; err != nil {
			b.record(name+" vs "+peer.name, skipError{err})
			continue
		}
		results = append(results, newResult(name, u, values[0], peer, values[i+1], peer.bar))
	}
	return values[0], results
}

// measureOurs measures ours without a peer.
func (b *bench) measureOurs(ctx context.Context, name string, u unit, limit *bar, measure measureFunc) {
	if ours, _ := b.compare(ctx, name, u, candidate{name: "basket", measure: measure}); ours != nil {
		b.add(newResult(name, u, ours, candidate{}, nil, limit))
	}
}
