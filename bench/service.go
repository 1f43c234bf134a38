package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/serve"
)

// A shop is what a service serves: orders and a model.
type shop struct{ data, model string }

func (b *bench) shop() shop {
	if b.large {
		return shop{filepath.Join(b.shared, "data", "full"), filepath.Join(b.shared, "models", "lgbm-regression.txt")}
	}
	demo := filepath.Join(b.root, "examples", "server", "demo")
	return shop{demo, filepath.Join(demo, "model.txt")}
}

// open reads the shop's orders and model.
func (s shop) open() (*basket.MemoryStore, []basket.Row, basket.Model, error) {
	rows, err := s.rows()
	if err != nil {
		return nil, nil, nil, err
	}
	store, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := basket.LoadModel(s.model)
	return store, rows, m, err
}

// rows goes from the files to each user's newest row.
func (s shop) rows() ([]basket.Row, error) {
	history, err := basketparquet.Materialize(context.Background(), os.DirFS(s.data), basket.LastOrder)
	if err != nil {
		return nil, err
	}
	var rows []basket.Row
	for r, err := range history.Latest(context.Background()) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no user has a row", s.data)
	}
	return rows, nil
}

// predictor compares Predict, with both text loggers, with the model alone.
func (b *bench) predictor(ctx context.Context) {
	name := "predictor: Predict with both logs"
	if !b.wanted(name) {
		return
	}
	store, rows, model, err := b.shop().open()
	if err != nil {
		b.fail(name, err)
		return
	}
	p, err := basket.New(
		basket.WithStore(store), basket.WithModel(model),
		basket.WithServiceLogger(serve.NewTextLogger(io.Discard)), basket.WithModelLogger(serve.NewTextLogger(io.Discard)),
	)
	if err != nil {
		b.fail(name, err)
		return
	}
	dst := make([]float64, 1)
	for _, r := range rows {
		prediction, err := p.Predict(ctx, r.UserID)
		if err == nil {
			err = model.Predict(ctx, dst, r.Values)
		}
		if err == nil {
			err = problem("user "+r.UserID, []float64{prediction.Value}, dst, 0)
		}
		if err != nil {
			b.fail(name, err)
			return
		}
	}
	// each runs f for one user after another.
	each := func(f func(r *basket.Row) error) func(context.Context) (float64, error) {
		at := 0
		return calibrated(slice, 1, func(n int) (float64, error) {
			start := b.now()
			for range n {
				if err := f(&rows[at]); err != nil {
					return 0, err
				}
				if at++; at == len(rows) {
					at = 0
				}
			}
			return float64(b.now()-start) / float64(n), nil
		})
	}
	b.say("%s", name)
	b.compare(ctx, name, nanoseconds, []side{
		{"basket", "", each(func(r *basket.Row) error { _, err := p.Predict(ctx, r.UserID); return err })},
		{"the model alone", "", each(func(r *basket.Row) error { return model.Predict(ctx, dst, r.Values) })},
	}, func(_ int, r *result) {
		limit := 3*r.PeerFigure.Median + 500
		r.Bar = &bar{AtMost: limit, Text: "< 3x + 500 ns = " + nanoseconds.format(limit)}
		r.Checked = fmt.Sprintf("answers equal to the bit, %d users", len(rows))
		r.Note = "a MemoryStore's row, the model and the model log's line, to a writer that discards; the service log has lines of requests only"
	})
}

// load measures the loading of the large model.
func (b *bench) load(ctx context.Context) {
	name := "load: lgbm-large"
	if !b.wanted(name) {
		return
	}
	w, err := b.loadWorkload("lgbm-large", "")
	if err != nil {
		b.leave(name, err)
		return
	}
	b.say("%s", name)
	b.alone(ctx, name, nanoseconds, under(nanoseconds, 200e6), func(context.Context) (float64, error) {
		start := b.now()
		_, err := basket.LoadModel(w.path)
		return float64(b.now() - start), err
	})
}
