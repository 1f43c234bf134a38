// Command parity computes the feature rows of a shop in all the ways that the project
// offers, and tells how many are equal to those of one machine, a basket.Materializer:
//
//		go -C parity run . [--data DIR] [--brokers HOST:PORT] [--python FILE] [--flink] [--rows NAME=DIR]...
//
//	  - as a stream: orders as events, shuffled within a minute of event time, one in
//	    twenty repeated, through Kafka and adapters/basketkafka into a MemoryStore. The
//	    newest row of each user is compared, whose Number counts those before. The broker
//	    is one in this process, or that of --brokers.
//	  - by Beam on prism: examples/beam.
//	  - by DuckDB's SQL, features.sql, if --python names a Python with the package duckdb:
//	    see requirements.txt. Values may differ by 1e-12, since DuckDB adds the prices in
//	    another order.
//	  - what the Python service computed, if the folder has golden_features.parquet.
//	  - by something else, which wrote the parquet files of a folder in the form of
//	    basketparquet.WriteRows: --rows NAME=DIR.
//
// Without --data the shop is made: users with one order, orders of equal time, repeated
// and unknown items, users without orders, many row groups. With --make DIR it is
// written there, and nothing is compared.
//
// All rows must be equal in user, event time, number and the bits of each value. The
// exit status is 1 if a row is not.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

func main() {
	var c config
	flag.StringVar(&c.data, "data", "", "`folder` of orders, regulars and inventory; default: a shop that is made")
	flag.StringVar(&c.make, "make", "", "write the shop that is made to this `folder`, and end")
	flag.StringVar(&c.brokers, "brokers", "", "`address` of a Kafka broker; default: one in this process")
	flag.StringVar(&c.python, "python", "", "`file` of a Python with the package duckdb")
	flag.BoolFunc("no-beam", "do not run Beam on prism", func(string) error { c.noBeam = true; return nil })
	flag.BoolFunc("flink", "run Beam on Flink too, which scripts/flink starts and stops", func(string) error { c.flink = true; return nil })
	flag.Func("rows", "`NAME=DIR`, feature rows that something else has written; may be repeated", func(value string) error {
		name, dir, ok := strings.Cut(value, "=")
		if !ok || name == "" || dir == "" {
			return fmt.Errorf("%q: want NAME=DIR", value)
		}
		c.others = append(c.others, other{name, dir})
		return nil
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	equal, err := run(ctx, c, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(2)
	}
	if !equal {
		os.Exit(1)
	}
}

type config struct {
	data, make, brokers, python string
	noBeam, flink               bool
	others                      []other
}

type other struct{ name, dir string }

// run writes the table, and reports whether all rows are equal.
func run(ctx context.Context, c config, out io.Writer) (bool, error) {
	if c.make != "" {
		return true, makeShop(c.make)
	}
	temp, err := os.MkdirTemp("", "parity")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(temp)
	if c.data == "" {
		c.data = filepath.Join(temp, "shop")
		if err := makeShop(c.data); err != nil {
			return false, err
		}
	}
	if c.data, err = filepath.Abs(c.data); err != nil {
		return false, err
	}
	want, err := oneMachine(ctx, c.data)
	if err != nil {
		return false, err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "computed by\trows\tequal rows\tof one machine's\tcompared")
	fmt.Fprintf(t, "one machine\t%d\t\t\t\n", len(want))
	equal := true
	for _, way := range c.ways(temp) {
		got, err := way.compute(ctx)
		if err != nil {
			return false, fmt.Errorf("%s: %w", way.name, err)
		}
		expected := want
		if way.newest {
			expected = newestOf(want)
		}
		n := equalRows(expected, got, way.same)
		equal = equal && n == len(expected) && n == len(got)
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%s\n", way.name, len(got), n, len(expected), way.compared)
	}
	return equal, t.Flush()
}

// A way computes feature rows.
type way struct {
	name     string
	compute  func(context.Context) ([]basket.Row, error)
	newest   bool // only the newest row of each user
	same     func(a, b basket.Row) bool
	compared string
}

func (c config) ways(temp string) []way {
	bits := "user, time, number, every bit"
	stream := "stream, a broker in this process"
	if c.brokers != "" {
		stream = "stream, Kafka"
	}
	ways := []way{{
		name: stream, newest: true, same: sameBits, compared: "newest of each user; " + bits,
		compute: func(ctx context.Context) ([]basket.Row, error) { return streamed(ctx, c.data, c.brokers) },
	}}
	if !c.noBeam {
		dir := filepath.Join(temp, "prism")
		ways = append(ways, way{
			name: "Beam on prism", same: sameBits, compared: bits,
			compute: func(ctx context.Context) ([]basket.Row, error) {
				err := command(ctx, "../examples/beam", "go", "run", ".", "--data", c.data, "--out", dir, "--rows", "all", "--runner=prism", "--environment_type=LOOPBACK")
				if err != nil {
					return nil, err
				}
				return readFolder(ctx, filepath.Join(dir, "rows"))
			},
		})
	}
	if c.flink {
		ways = append(ways, way{name: "Beam on Flink", same: sameBits, compared: bits,
			compute: func(ctx context.Context) ([]basket.Row, error) { return onFlink(ctx, c.data, temp) }})
	}
	for _, o := range c.others {
		ways = append(ways, way{name: o.name, same: sameBits, compared: bits,
			compute: func(ctx context.Context) ([]basket.Row, error) { return readFolder(ctx, o.dir) }})
	}
	if c.python != "" {
		file := filepath.Join(temp, "duckdb.parquet")
		ways = append(ways, way{
			name: "DuckDB", same: sameValues, compared: "user, time, values within 1e-12",
			compute: func(ctx context.Context) ([]basket.Row, error) {
				if err := command(ctx, ".", c.python, "features.py", c.data, "features.sql", file); err != nil {
					return nil, err
				}
				return collect(basketparquet.Rows(ctx, os.DirFS(temp), "duckdb.parquet"))
			},
		})
	}
	if _, err := os.Stat(filepath.Join(c.data, "golden_features.parquet")); err == nil {
		ways = append(ways, way{
			name: "the Python service", newest: true, same: sameGolden, compared: "newest of each user; number, every bit",
			compute: func(ctx context.Context) ([]basket.Row, error) {
				return collect(basketparquet.Rows(ctx, os.DirFS(c.data), "golden_features.parquet"))
			},
		})
	}
	return ways
}

// oneMachine returns all rows, by user, time and number.
func oneMachine(ctx context.Context, data string) ([]basket.Row, error) {
	m, err := basketparquet.Materialize(ctx, os.DirFS(data))
	if err != nil {
		return nil, err
	}
	return collect(m.Rows(ctx))
}

// newestOf returns the last row of each user.
func newestOf(rows []basket.Row) []basket.Row {
	var newest []basket.Row
	for i, r := range rows {
		if i == len(rows)-1 || rows[i+1].UserID != r.UserID {
			newest = append(newest, r)
		}
	}
	return newest
}

func collect(rows iter.Seq2[basket.Row, error]) ([]basket.Row, error) {
	var all []basket.Row
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		r.UserID = strings.Clone(r.UserID)
		all = append(all, r)
	}
	return all, nil
}

// readFolder reads the parquet files of a folder.
func readFolder(ctx context.Context, dir string) ([]basket.Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.parquet"))
	if err != nil {
		return nil, err
	}
	var all []basket.Row
	for _, f := range files {
		rows, err := collect(basketparquet.Rows(ctx, os.DirFS(dir), filepath.Base(f)))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// command runs a program in a folder, beside this one if the folder is relative.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, output[max(0, len(output)-4000):])
	}
	return nil
}

// equalRows returns how many rows of want are in got, each row of got counted once.
func equalRows(want, got []basket.Row, same func(a, b basket.Row) bool) int {
	order := func(a, b basket.Row) int {
		return cmp.Or(strings.Compare(a.UserID, b.UserID), cmp.Compare(a.Number, b.Number), a.OrderedAt.Compare(b.OrderedAt),
			slices.Compare(a.Values[1:], b.Values[1:]))
	}
	if len(got) > 0 && got[0].Number == 0 { // the way does not number rows
		numbered := order
		order = func(a, b basket.Row) int { a.Number, b.Number = 0, 0; return numbered(a, b) }
	}
	want, got = slices.SortedFunc(slices.Values(want), order), slices.SortedFunc(slices.Values(got), order)
	n := 0
	for i, k := 0, 0; i < len(want) && k < len(got); {
		switch c := strings.Compare(want[i].UserID, got[k].UserID); {
		case c < 0:
			i++
		case c > 0:
			k++
		default:
			if same(want[i], got[k]) {
				n++
			}
			i, k = i+1, k+1
		}
	}
	return n
}

func sameBits(a, b basket.Row) bool { return a.OrderedAt.Equal(b.OrderedAt) && sameGolden(a, b) }

// sameGolden compares what the Python service tells of a row.
func sameGolden(a, b basket.Row) bool {
	return a.UserID == b.UserID && a.Number == b.Number &&
		slices.EqualFunc(a.Values, b.Values, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

func sameValues(a, b basket.Row) bool {
	return a.UserID == b.UserID && a.OrderedAt.Equal(b.OrderedAt) &&
		slices.EqualFunc(a.Values, b.Values, func(x, y float64) bool { return math.Abs(x-y) <= 1e-12*math.Max(math.Abs(x), math.Abs(y)) })
}
