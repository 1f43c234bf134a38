package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/serve"
)

// A shop is the input of a service: the folder of the orders, and the model file.
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

// rows computes the newest feature row of each user from the files.
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
		return nil, fmt.Errorf("%s: no user has a feature row", s.data)
	}
	return rows, nil
}

// predictor compares Predict, with both text loggers, with the model's Predict.
func (b *bench) predictor(ctx context.Context) error {
	name := "predictor: Predict with both loggers"
	if !b.selected(name) {
		return nil
	}
	store, rows, model, err := b.shop().open()
	if err != nil {
		return err
	}
	p, err := basket.New(
		basket.WithStore(store), basket.WithModel(model),
		basket.WithServiceLogger(serve.NewTextLogger(io.Discard)), basket.WithModelLogger(serve.NewTextLogger(io.Discard)),
	)
	if err != nil {
		return err
	}
	dst := make([]float64, 1)
	for _, r := range rows {
		prediction, err := p.Predict(ctx, r.UserID)
		if err = errors.Join(err, model.Predict(ctx, dst, r.Values)); err != nil {
			return err
		}
		if err := checkEqual("user "+r.UserID, []float64{prediction.Value}, dst, 0); err != nil {
			return err
		}
	}
	perUser := func(f func(r *basket.Row) error) measureFunc {
		next := 0
		return calibrated(sampleTime, 1, func(n int) (float64, error) {
			start := b.now()
			for range n {
				if err := f(&rows[next]); err != nil {
					return 0, err
				}
				if next++; next == len(rows) {
					next = 0
				}
			}
			return float64(b.now()-start) / float64(n), nil
		})
	}
	_, results := b.compare(ctx, name, nanoseconds,
		candidate{name: "basket", measure: perUser(func(r *basket.Row) error { _, err := p.Predict(ctx, r.UserID); return err })},
		candidate{
			name: "the model alone", checked: fmt.Sprintf("predictions equal to the last bit, %d users", len(rows)),
			measure: perUser(func(r *basket.Row) error { return model.Predict(ctx, dst, r.Values) }),
		})
	for _, r := range results {
		limit := 3*r.PeerFigure.Median + 500
		r.Bar = &bar{AtMost: limit, Text: "< 3x + 500 ns = " + nanoseconds.format(limit)}
		r.Note = "look-up in a MemoryStore, the model, and the line of the model log, which is discarded; only HTTP requests write to the service log"
		b.add(r)
	}
	return nil
}

// load measures LoadModel on the large model.
func (b *bench) load(ctx context.Context) error {
	name := "load: lgbm-large"
	if !b.selected(name) {
		return nil
	}
	w, err := b.loadWorkload("lgbm-large", "")
	if err != nil {
		return err
	}
	b.measureOurs(ctx, name, nanoseconds, maxValue(nanoseconds, 200e6), func(context.Context) (float64, error) {
		start := b.now()
		_, err := basket.LoadModel(w.path)
		return float64(b.now() - start), err
	})
	return nil
}
