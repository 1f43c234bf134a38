package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/basket-go/basket"
)

type explainCmd struct {
	Model string `required:"" placeholder:"FILE" help:"Model file."`
	In    string `required:"" placeholder:"FILE" help:"Parquet or CSV file of input rows, as for score."`
	Out   string `required:"" placeholder:"FILE" help:"Parquet or CSV file to write: for each input row the SHAP contributions c0, c1, ... of the model's features, in their order, and bias; their sum is the margin."`
}

func (c *explainCmd) Run(ctx context.Context, t terminal) error {
	if err := wantExtension("--out", c.Out, ".parquet", ".csv"); err != nil {
		return err
	}
	model, err := basket.LoadModel(c.Model)
	if err != nil {
		return err
	}
	in, columns, err := openInput(c.In, model)
	if err != nil {
		return err
	}
	defer in.close()
	n := len(columns)
	names := make([]string, n, n+1)
	for j := range names {
		names[j] = fmt.Sprintf("c%d", j)
	}
	names = append(names, "bias")
	contributions := make([]float64, n)
	return writeWhole(c.Out, func(w io.Writer) error {
		return writeTable(w, filepath.Ext(c.Out), names, in.mapped(ctx, columns, t, "explaining", func(dst, rows []float64) ([]float64, error) {
			for i := 0; i < len(rows); i += n {
				bias, err := model.Explain(ctx, contributions, rows[i:i+n])
				if err != nil {
					return nil, err
				}
				dst = append(append(dst, contributions...), bias)
			}
			return dst, nil
		}))
	})
}
