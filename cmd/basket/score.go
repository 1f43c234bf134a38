package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
)

type scoreCmd struct {
	Model         string `required:"" placeholder:"FILE" help:"Model file."`
	In            string `required:"" placeholder:"FILE" help:"Parquet or CSV file of input rows: columns by the model's feature names, or else x0, x1, ... in order. Null or empty is missing."`
	Out           string `required:"" placeholder:"FILE" help:"Parquet or CSV file to write: one row for each input row, in order; column y, or y0, y1, ... of a model with several outputs."`
	Margin        bool   `help:"Write margins, the scores before the link function, instead of predictions."`
	BestIteration bool   `help:"Use the rounds of an XGBoost model up to the best one, as its scikit-learn classes do, instead of all, as its Booster does."`
	Engine        string `enum:"native,leaves" default:"native" help:"What evaluates the model: native, or leaves, the library of that name (${default})."`
}

// A scorer is a model of either engine.
type scorer interface {
	basket.Model
	Outputs() int
}

func (c *scoreCmd) Run(ctx context.Context, t terminal) error {
	if err := wantExtension("--out", c.Out, ".parquet", ".csv"); err != nil {
		return err
	}
	model, err := c.load()
	if err != nil {
		return err
	}
	in, columns, err := openInput(c.In, model)
	if err != nil {
		return err
	}
	defer in.close()
	width := model.Outputs()
	return writeWhole(c.Out, func(w io.Writer) error {
		return writeTable(w, filepath.Ext(c.Out), outputNames(width), in.mapped(ctx, columns, t, "scoring", func(dst, rows []float64) ([]float64, error) {
			n := len(rows) / len(columns) * width
			dst = slices.Grow(dst, n)[:n]
			return dst, model.Predict(ctx, dst, rows)
		}))
	})
}

func (c *scoreCmd) load() (scorer, error) {
	var opts []basket.ModelOption
	if c.Margin {
		opts = append(opts, basket.WithMargin())
	}
	if c.BestIteration {
		opts = append(opts, basket.WithBestIteration())
	}
	if c.Engine == "leaves" {
		return basketleaves.Load(c.Model, opts...)
	}
	return basket.LoadModel(c.Model, opts...)
}

func outputNames(width int) []string {
	if width == 1 {
		return []string{"y"}
	}
	names := make([]string, width)
	for k := range names {
		names[k] = fmt.Sprintf("y%d", k)
	}
	return names
}
