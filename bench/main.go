// Command bench compares basket with what else does the same, side by side and
// in turns, and says which bars are met.
//
//	go -C bench run . [--setup] [--only REGEXP] [--rounds N] [--json FILE]
//
// Peers are external programs, which --setup or peers.sh fetches and builds into
// bench/work; without them their comparisons are left out, and named. Before
// engines are compared their answers are: no figure is that of a wrong answer.
// A bar that is not met does not fail the run, but with --strict; a wrong answer
// always does.
package main

import (
	"context"
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

// childArg makes this program one of the servers that it compares.
const childArg = "child"

// A bench is a run.
type bench struct {
	root, shared string // the project, and the larger data
	peers, temp  string // what peers.sh made, and scratch
	only         *regexp.Regexp
	rounds       int
	clock        string // of what one process does on its own: wall or cpu
	now          clock  // the same
	strict       bool
	length       time.Duration // of a turn of load on a server
	large        bool          // the larger data is there: bars count
	report       report
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		if err := child(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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

func run(ctx context.Context, args []string) (err error) {
	b := &bench{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&b.root, "root", "", "the project's folder; found from the working directory if empty")
	f.StringVar(&b.shared, "shared", "", "folder of the larger data and models; ../shared beside the project if empty")
	f.StringVar(&b.peers, "peers", "", "folder of the peers; bench/work of the project if empty")
	only := f.String("only", "", "only comparisons whose name matches this regular expression")
	f.IntVar(&b.rounds, "rounds", 7, "rounds of turns")
	f.DurationVar(&b.length, "length", 2*time.Second, "length of a turn of load on a server, in whole seconds")
	file := f.String("json", "", "write the report to this file too, for machines")
	f.StringVar(&b.clock, "clock", "wall", "wall, or cpu: what one process does on its own by its processor time, for a machine that others use meanwhile")
	setup := f.Bool("setup", false, "set the peers up first, by peers.sh")
	f.BoolVar(&b.strict, "strict", false, "fail if a bar is not met")
	limit := f.Duration("limit", time.Hour, "end the run after this time")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || b.rounds < 1 || b.length < time.Second || b.length%time.Second != 0 {
		return fmt.Errorf("want no arguments, at least one round and whole seconds of load: see --help")
	}
	switch b.clock {
	case "wall":
		b.now = wallTime
	case "cpu":
		b.now = cpuTime
	default:
		return fmt.Errorf("--clock %s: want wall or cpu", b.clock)
	}
	if b.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	if err := b.findFolders(); err != nil {
		return err
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
	b.report.Data = "the larger models and the shop of 155,518 orders"
	if !b.large {
		b.report.Data = "the small models of testdata and the demo shop: the larger data is not there, so that only the bars of the demo shop's start are judged"
		b.say("%s is not there: taking the small models of testdata and the demo shop instead", b.shared)
	}
	b.all(ctx)
	fmt.Println()
	if err := b.report.write(os.Stdout); err != nil {
		return err
	}
	if *file != "" {
		if err := b.writeJSON(*file); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), b.outcome())
}

// all makes every comparison that is wanted.
func (b *bench) all(ctx context.Context) {
	for _, c := range engineCases {
		b.engines(ctx, c)
	}
	b.twoCores(ctx)
	b.predictor(ctx)
	b.load(ctx)
	b.features(ctx)
	b.http(ctx)
	b.start(ctx)
	b.memory(ctx)
}

// outcome is the run's error.
func (b *bench) outcome() error {
	if n := len(b.report.Failures); n > 0 {
		return fmt.Errorf("%d comparisons failed: see FAILED above", n)
	}
	var missed []string
	for _, r := range b.report.Results {
		if r.Met != nil && !*r.Met {
			missed = append(missed, fmt.Sprintf("%s and %s", r.Name, r.Peer))
		}
	}
	if b.strict && len(missed) > 0 {
		return fmt.Errorf("bars not met: %s", strings.Join(missed, "; "))
	}
	return nil
}

func (b *bench) writeJSON(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(b.report.writeJSON(f), f.Close())
}

// findFolders fills in what the flags left empty.
func (b *bench) findFolders() error {
	if b.root == "" {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		for b.root = dir; !isProject(b.root); b.root = filepath.Dir(b.root) {
			if b.root == filepath.Dir(b.root) {
				return fmt.Errorf("%s is not in the project: give it by --root", dir)
			}
		}
	}
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
		return fmt.Errorf("%s is not the project's folder", b.root)
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

func errNotSetUp(what string) error {
	return fmt.Errorf("%s is not there: set the peers up by bench/peers.sh", filepath.Base(what))
}

// wanted reports whether a comparison's name is chosen.
func (b *bench) wanted(name string) bool { return b.only.MatchString(name) }

// say tells how far the run is.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) leave(name string, why error) {
	b.report.LeftOut = append(b.report.LeftOut, leftOut{name, why.Error()})
	b.say("  left out: %s: %v", name, why)
}

func (b *bench) fail(name string, why error) {
	b.report.Failures = append(b.report.Failures, leftOut{name, why.Error()})
	b.say("  FAILED: %s: %v", name, why)
}

// add judges a result, if the bars are for the data that is there, and keeps it.
func (b *bench) add(r result) {
	if b.large || strings.HasPrefix(r.Name, "start:") {
		r.judge()
	}
	b.report.Results = append(b.report.Results, r)
}

// compare lets the sides, of which the first is ours, take turns, and adds a
// result for each peer, which finish completes. It returns our measurements.
func (b *bench) compare(ctx context.Context, name string, u unit, sides []side, finish func(peer int, r *result)) []float64 {
	values, errs := turns(ctx, b.rounds, sides)
	if errs[0] != nil {
		b.fail(name, errs[0])
		return nil
	}
	for i := range sides[1:] {
		if err := errs[i+1]; err != nil {
			b.leave(name+" and "+sides[i+1].name, err)
			continue
		}
		r := newResult(name, u, values[0], sides[i+1], values[i+1], nil)
		finish(i, &r)
		b.add(r)
	}
	return values[0]
}

// alone measures ours against a bar.
func (b *bench) alone(ctx context.Context, name string, u unit, limit *bar, turn func(context.Context) (float64, error)) {
	values, errs := turns(ctx, b.rounds, []side{{"basket", "", turn}})
	if errs[0] != nil {
		b.fail(name, errs[0])
		return
	}
	b.add(newResult(name, u, values[0], side{}, nil, limit))
}
