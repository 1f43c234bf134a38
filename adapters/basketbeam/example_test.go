package basketbeam_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketbeam"
)

// Feature rows and predictions of all users of a shop. The runner is prism, which runs
// in the program and is for tests; a program for a cluster calls beamx.Run, and
// examples/beam is one.
func Example() {
	out, err := os.MkdirTemp("", "basketbeam")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(out)

	p := beam.NewPipeline()
	s := p.Root()
	tables := basketbeam.Read(s, "../../examples/server/demo")
	rows := basketbeam.Latest(s, tables, basket.LastOrder)
	predictions := basketbeam.Predict(s, "../../examples/server/demo/model.txt", rows)
	basketbeam.WriteRows(s, out+"/rows", 2, rows)
	basketbeam.WritePredictions(s, out+"/predictions", 2, predictions)
	if _, err := prism.Execute(context.Background(), p); err != nil {
		log.Fatal(err)
	}

	files, err := os.ReadFile(filepath.Join(out, "predictions", "_SUCCESS"))
	fmt.Print(string(files), err)
	// Output:
	// predictions-00000-of-00002.parquet	158
	// predictions-00001-of-00002.parquet	142
	// <nil>
}

// ordersOfToday stands for a source that is no parquet file.
type ordersOfToday struct{}

func (ordersOfToday) ProcessElement(_ []byte, emit func(string, basketbeam.Order)) {
	for i, items := range [][]int64{{1, 2}, {1, 1, 3}} {
		emit("ann", basketbeam.Order{
			Order: basket.Order{OrderedAt: time.Date(2026, 1, 1+i, 12, 0, 0, 0, time.UTC), Items: items},
			Row:   int64(i),
		})
	}
}

func noRegulars(_ []byte, emit func(string, int64)) {}

func printRow(row basket.Row) {
	fmt.Println(row.UserID, row.OrderedAt.Format(time.DateOnly), row.Number, row.Values)
}

func init() {
	register.DoFn2x0[[]byte, func(string, basketbeam.Order)](&ordersOfToday{})
	register.Function2x0(noRegulars)
	register.Function1x0(printRow)
}

// The tables of a pipeline with a source of its own, and feature rows that go to one
// more step.
func ExampleTables() {
	p := beam.NewPipeline()
	s := p.Root()
	start := beam.Impulse(s)
	rows := basketbeam.Rows(s, basketbeam.Tables{
		Orders:        beam.ParDo(s, &ordersOfToday{}, start),
		Regulars:      beam.ParDo(s, noRegulars, start),
		MeanItemPrice: beam.Create(s, 2.5),
	}, basket.LastOrder)
	beam.ParDo0(s, printRow, rows)
	if _, err := prism.Execute(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ann 2026-01-02 1 [5 2 0 0]
}
