package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/basket-go/basket"
	"github.com/schollz/progressbar/v3"
)

// openInput opens a file of input rows and finds the model's columns in it.
func openInput(path string, model basket.Model) (*table, []string, error) {
	if err := wantExtension("--in", path, ".parquet", ".csv"); err != nil {
		return nil, nil, err
	}
	in, err := openTable(path)
	if err != nil {
		return nil, nil, err
	}
	columns, err := chooseColumns(in.columns, model.Features())
	if err != nil {
		in.close()
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return in, columns, nil
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

// mapped yields what f computes from each batch of rows and appends to dst, and
// shows the progress.
func (in *table) mapped(ctx context.Context, columns []string, t terminal, what string, f func(dst, rows []float64) ([]float64, error)) iter.Seq2[[]float64, error] {
	return func(yield func([]float64, error) bool) {
		bar := progress(in.size, what, "bytes", t)
		defer func() { _ = bar.Finish() }()
		var dst []float64
		for rows, err := range in.rows(ctx, columns) {
			if err == nil {
				dst, err = f(dst[:0], rows)
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s: %w", in.path, err))
				return
			}
			_ = bar.Set64(in.done())
			if !yield(dst, nil) {
				return
			}
		}
	}
}

// progress shows the progress of long work on a terminal: a bar with the rate, in
// units per second, and the time left.
func progress(size int64, what, unit string, t terminal) *progressbar.ProgressBar {
	if !t.interactive() {
		return progressbar.DefaultSilent(size)
	}
	return progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(t.err), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(200_000_000), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionSetPredictTime(true),
	)
}
