package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
	"github.com/basket-go/basket/basketparquet"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

type scoreCmd struct {
	Model  string `required:"" placeholder:"FILE" help:"Model file."`
	In     string `required:"" placeholder:"FILE" help:"Parquet or CSV file of input rows: columns by the model's feature names, or else x0, x1, ... in order. Null or empty is missing."`
	Out    string `required:"" placeholder:"FILE" help:"Parquet or CSV file to write: one row for each input row, in order; column y, or y0, y1, ... of a model with several outputs."`
	Margin bool   `help:"Write margins, the sums before the link function, in place of predictions."`
	Engine string `enum:"native,leaves" default:"native" help:"What predicts: native, or leaves, the library of that name (${default})."`
}

// A scorer is a model with margins, which all that score loads are.
type scorer interface {
	basket.Model
	Outputs() int
	Margins() int
	Margin(ctx context.Context, dst, rows []float64) error
}

func (c *scoreCmd) Run(ctx context.Context, t terminal) error {
	if err := wantExtension("--in", c.In, ".parquet", ".csv"); err != nil {
		return err
	}
	if err := wantExtension("--out", c.Out, ".parquet", ".csv"); err != nil {
		return err
	}
	model, err := c.load()
	if err != nil {
		return err
	}
	in, err := openTable(c.In)
	if err != nil {
		return err
	}
	defer in.close()
	columns, err := chooseColumns(in.columns, model.Features())
	if err != nil {
		return fmt.Errorf("%s: %w", c.In, err)
	}
	predict, width := model.Predict, model.Outputs()
	if c.Margin {
		predict, width = model.Margin, model.Margins()
	}
	return writeWhole(c.Out, func(w io.Writer) error {
		bar := progress(in.size, t)
		defer bar.Finish()
		results := func(yield func([]float64, error) bool) {
			var dst []float64
			for rows, err := range in.rows(columns) {
				if err == nil {
					n := len(rows) / len(columns)
					dst = slices.Grow(dst[:0], n*width)[:n*width]
					err = predict(ctx, dst, rows)
				}
				if err != nil {
					yield(nil, fmt.Errorf("%s: %w", c.In, err))
					return
				}
				_ = bar.Set64(in.done())
				if !yield(dst, nil) {
					return
				}
			}
		}
		return writeTable(w, filepath.Ext(c.Out), outputNames(width), results)
	})
}

func (c *scoreCmd) load() (scorer, error) {
	var opts []basket.ModelOption
	if c.Margin {
		opts = append(opts, basket.WithMargin())
	}
	if c.Engine == "leaves" {
		return basketleaves.Load(c.Model, opts...)
	}
	model, err := basket.LoadModel(c.Model, opts...)
	if err != nil {
		return nil, err
	}
	s, ok := model.(scorer)
	if !ok {
		return nil, fmt.Errorf("%s: a model of type %T has no margins", c.Model, model)
	}
	return s, nil
}

// chooseColumns finds the model's features among the columns of a file: by
// name, or else as x0, x1, ...
func chooseColumns(found, features []string) ([]string, error) {
	numbered := make([]string, len(features))
	for j := range numbered {
		numbered[j] = fmt.Sprintf("x%d", j)
	}
	named := slices.ContainsFunc(features, func(name string) bool { return slices.Contains(found, name) })
	wanted := features
	if !named {
		wanted = numbered
	}
	for _, name := range wanted {
		if !slices.Contains(found, name) {
			return nil, fmt.Errorf("column %q is missing: wanted the columns %q, or else %q; found %q", name, features, numbered, found)
		}
	}
	return wanted, nil
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

// writeTable writes batches in the form that the extension says.
func writeTable(w io.Writer, extension string, names []string, batches iter.Seq2[[]float64, error]) error {
	if strings.EqualFold(extension, ".csv") {
		return writeCSV(w, names, batches)
	}
	return basketparquet.WriteTable(w, names, batches)
}

// progress shows how far long work has come, if somebody looks.
func progress(size int64, t terminal) *progressbar.ProgressBar {
	if f, ok := t.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return progressbar.DefaultSilent(size)
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(t.err), progressbar.OptionSetDescription("scoring"),
		progressbar.OptionThrottle(200_000_000), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount(),
	)
}
