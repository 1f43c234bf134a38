package main

import (
	"context"
	"io"
	"os"
	"runtime"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

type featuresCmd struct {
	Data    string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	Out     string `required:"" placeholder:"FILE.parquet" help:"Parquet file to write: user_id, ${features}, total_orders; ordered_at; one row per user, by user_id."`
	Meaning string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
}

func (c *featuresCmd) Run(ctx context.Context) error {
	if err := wantExtension("--out", c.Out, ".parquet"); err != nil {
		return err
	}
	history, err := basketparquet.Materialize(ctx, os.DirFS(c.Data), meaning(c.Meaning), basket.WithGoroutines(runtime.GOMAXPROCS(0)))
	if err != nil {
		return err
	}
	return writeWhole(c.Out, func(w io.Writer) error {
		return basketparquet.WriteRows(w, basket.FeatureNames(), history.Latest(ctx))
	})
}
