// Command beam is an example of a distributed batch with basket: it computes the
// feature rows of all users of a shop, and predictions from them, with Apache Beam.
// Copy it to make your own.
//
//	beam --data DIR --out DIR [--model FILE] [--meaning MEANING] [--rows WHICH] [--shards N] [Beam's flags]
//
// It reads orders.parquet, regulars.parquet and inventory.parquet of the folder
// --data, and writes rows-*.parquet to the folder rows of --out, and with --model
// predictions-*.parquet to its folder predictions. A file _SUCCESS in each of the
// two is written last. All paths must be the same on each worker.
//
// Beam's flags say where it runs. In this process, which keeps everything in memory,
// for tests:
//
//	go -C examples/beam run . --data DIR --out DIR --runner=prism --environment_type=LOOPBACK
//
// On a Flink cluster without containers, each task manager starts the program by a
// script, which README.md shows, and the job server of Beam's Flink runner listens on
// port 8099:
//
//	beam --data DIR --out DIR --runner=flink --endpoint=localhost:8099 --parallelism=4
//	    --environment_type=PROCESS --environment_config='{"command":"/path/of/worker.sh"}' --worker_binary=/path/of/beam
//
// README.md tells more, also of Spark and Dataflow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketbeam"
)

func main() {
	var c config
	flag.StringVar(&c.data, "data", "", "`folder` of orders.parquet, regulars.parquet and inventory.parquet; required")
	flag.StringVar(&c.out, "out", "", "`folder` to write to; required")
	flag.StringVar(&c.model, "model", "", "model `file`; default: no predictions")
	flag.StringVar(&c.meaning, "meaning", basket.LastOrder.String(), "which order a feature row describes: last-order or next-order")
	flag.StringVar(&c.rows, "rows", "latest", "which rows to write: latest, one for each user, or all")
	flag.IntVar(&c.shards, "shards", 16, "`number` of files of each output")
	flag.Parse()
	endWithParent()
	beam.Init() // in a worker, this does not return
	if err := run(context.Background(), c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type config struct {
	data, out, model, meaning, rows string
	shards                          int
}

func run(ctx context.Context, c config) error {
	p, err := c.pipeline()
	if err != nil {
		return err
	}
	return beamx.Run(ctx, p)
}

func (c config) pipeline() (*beam.Pipeline, error) {
	meanings := map[string]basket.Meaning{basket.LastOrder.String(): basket.LastOrder, basket.NextOrder.String(): basket.NextOrder}
	meaning, ok := meanings[c.meaning]
	switch {
	case c.data == "" || c.out == "":
		return nil, errors.New("want --data and --out; see --help")
	case !ok:
		return nil, fmt.Errorf("--meaning %q: want last-order or next-order", c.meaning)
	case c.rows != "latest" && c.rows != "all":
		return nil, fmt.Errorf("--rows %q: want latest or all", c.rows)
	case c.shards < 1 || c.shards > 99_999:
		return nil, fmt.Errorf("--shards %d: want 1 to 99999", c.shards)
	}
	p := beam.NewPipeline()
	s := p.Root()
	out := strings.TrimSuffix(c.out, "/")
	tables := basketbeam.Read(s, c.data)
	if c.rows == "all" {
		basketbeam.WriteRows(s, out+"/rows", c.shards, basketbeam.Rows(s, tables, meaning))
		if c.model == "" {
			return p, nil
		}
	}
	latest := basketbeam.Latest(s, tables, meaning)
	if c.rows == "latest" {
		basketbeam.WriteRows(s, out+"/rows", c.shards, latest)
	}
	if c.model != "" {
		basketbeam.WritePredictions(s, out+"/predictions", c.shards, basketbeam.Predict(s, c.model, latest))
	}
	return p, nil
}

// endWithParent ends a worker when the program that started it has ended, since a
// runner that was killed does not end its workers.
func endWithParent() {
	if f := flag.Lookup("worker"); f == nil || f.Value.String() != "true" {
		return
	}
	go func(parent int) {
		for os.Getppid() == parent {
			time.Sleep(time.Second)
		}
		os.Exit(3)
	}(os.Getppid())
}
