package main

import (
	"context"
	"fmt"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
)

type profileCmd struct {
	Data    string `required:"" placeholder:"DIR" help:"Folder of orders.parquet, regulars.parquet and inventory.parquet."`
	Model   string `required:"" placeholder:"FILE" help:"Model file that the profile belongs to."`
	Out     string `required:"" placeholder:"FILE.json" help:"Profile to write: what the newest row of each user and its prediction are like."`
	Meaning string `enum:"last-order,next-order" default:"last-order" help:"Which order a feature row describes: last-order or next-order (${default})."`
	Bins    int    `default:"10" help:"Largest number of bins of a feature, 2 to 20 (${default})."`
}

func (c *profileCmd) Run(ctx context.Context, term terminal) error {
	if err := wantExtension("--out", c.Out, ".json"); err != nil {
		return err
	}
	model, err := basket.LoadModel(c.Model)
	if err != nil {
		return err
	}
	m := meaning(c.Meaning)
	history, err := materialize(ctx, c.Data, m, term)
	if err != nil {
		return err
	}
	bar := progress(int64(history.Users()), "profiling", "rows", term)
	defer func() { _ = bar.Finish() }()
	profile, err := drift.NewProfile(ctx, counted(history.Latest(ctx), bar), basket.FeatureNames(), model, drift.WithBins(c.Bins), drift.WithMeaning(m))
	if err != nil {
		return err
	}
	if err := writeWhole(c.Out, profile.Write); err != nil {
		return err
	}
	if term.interactive() {
		_ = bar.Finish()
		fmt.Fprintf(term.err, "%s: %d rows, model %s\n", printable(c.Out), profile.Rows, printable(profile.Model.String()))
	}
	return nil
}
