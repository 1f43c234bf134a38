package basket_test

import (
	"context"
	"errors"
	"testing"

	"github.com/basket-go/basket"
)

// A countedModel counts the calls of a model.
type countedModel struct {
	basket.Explainer
	calls *int
}

func (m countedModel) Predict(ctx context.Context, dst, rows []float64) error {
	*m.calls++
	return m.Explainer.Predict(ctx, dst, rows)
}

// TestWithModelWrapper: every model is called by its wrapper, and predictions name the
// model itself.
func TestWithModelWrapper(t *testing.T) {
	load := func(id string) *basket.FileModel {
		m, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt", basket.WithModelID(id))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := load("price@1")
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: make([]float64, len(m.Features()))}}), m.Features()...)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	wrap := func(m basket.Model) basket.Model { return countedModel{m.(basket.Explainer), &calls} }
	p, err := basket.New(basket.WithStore(store), basket.WithModel(m), basket.WithModelWrapper(wrap))
	if err != nil {
		t.Fatal(err)
	}
	check := func(id string, want int) {
		t.Helper()
		got, err := p.Predict(t.Context(), "ann")
		if err != nil || got.ModelID != id || got.Model != load(id).Info().String() || calls != want {
			t.Errorf("%q, %q, %v after %d calls: want %q after %d", got.ModelID, got.Model, err, calls, id, want)
		}
	}
	check("price@1", 1)
	if err := p.SetModel("default", load("price@2")); err != nil {
		t.Fatal(err)
	}
	check("price@2", 2)
	if err := p.SetRoutes("e", basket.Route{Name: "new", Model: load("price@3"), Weight: 1}); err != nil {
		t.Fatal(err)
	}
	check("price@3", 3)
	if _, err := p.Explain(t.Context(), "ann"); err != nil {
		t.Error(err)
	}
	none := basket.WithModelWrapper(func(basket.Model) basket.Model { return nil })
	if _, err := basket.New(basket.WithStore(store), basket.WithModel(m), none); !errors.Is(err, basket.ErrInvalidConfig) {
		t.Errorf("a wrapper that returns nil: %v", err)
	}
}
