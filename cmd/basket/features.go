package main

import (
	"context"
	"io"
	"iter"
	"os"
	"runtime"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/schollz/progressbar/v3"
)

type featuresCmd struct {
	Data    string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	Out     string `required:"" placeholder:"FILE.parquet" help:"Parquet file to write: user_id, ${features}, total_orders; ordered_at; one row per user, by user_id."`
	Meaning string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
}

func (c *featuresCmd) Run(ctx context.Context, term terminal) error {
	if err := wantExtension("--out", c.Out, ".parquet"); err != nil {
		return err
	}
	history, err := materialize(ctx, c.Data, meaning(c.Meaning), term)
	if err != nil {
		return err
	}
	bar := progress(int64(history.Users()), "writing", "rows", term)
	defer func() { _ = bar.Finish() }()
	return writeWhole(c.Out, func(w io.Writer) error {
		return basketparquet.WriteRows(w, basket.FeatureNames(), counted(history.Latest(ctx), bar))
	})
}

// materialize reads a folder of orders with all processors, and shows the progress.
func materialize(ctx context.Context, dir string, m basket.Meaning, term terminal) (*basket.Materializer, error) {
	fsys := os.DirFS(dir)
	opts := []basket.MaterializerOption{m, basket.WithGoroutines(runtime.GOMAXPROCS(0))}
	if term.interactive() {
		total := int64(0)
		for _, table := range []string{"regulars", "orders"} {
			groups, err := basketparquet.RowGroups(ctx, fsys, table)
			if err != nil {
				return nil, err
			}
			for _, g := range groups {
				total += g.Rows
			}
		}
		bar := progress(total, "reading", "rows", term)
		defer func() { _ = bar.Finish() }()
		opts = append(opts, basket.WithProgress(func(rows int64) { _ = bar.Set64(rows) }))
	}
	return basketparquet.Materialize(ctx, fsys, opts...)
}

// counted shows how many rows have been taken.
func counted(rows iter.Seq2[basket.Row, error], bar *progressbar.ProgressBar) iter.Seq2[basket.Row, error] {
	return func(yield func(basket.Row, error) bool) {
		n := int64(0)
		for row, err := range rows {
			if n++; n%1024 == 0 {
				_ = bar.Set64(n)
			}
			if !yield(row, err) {
				return
			}
		}
	}
}
