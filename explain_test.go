package basket_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// TestPredictor_WhatIf: without a change it is Explain, and no logger is told.
func TestPredictor_WhatIf(t *testing.T) {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{row("ann", 1, 5)}))
	if err != nil {
		t.Fatal(err)
	}
	m, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	logged := 0
	p, err := basket.New(basket.WithStore(store), basket.WithModel(m), basket.WithModelLogger(modelLoggerFunc(func(basket.ModelEvent) { logged++ })))
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Explain(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.WhatIf(t.Context(), "ann", nil); err != nil || !cmp.Equal(want, got) {
		t.Errorf("without a change: %v, %v: want %v", got, err, want)
	}
	got, err := p.WhatIf(t.Context(), "ann", func(r *basket.Row) { r.Values[0] = 1000 })
	if err != nil || got.Value == want.Value || got.Row.Values[0] != 1000 {
		t.Errorf("with a change: %v, %v: want another price than %v", got, err, want.Value)
	}
	if logged != 1 {
		t.Errorf("%d predictions are logged: want that of Explain only", logged)
	}
	if again, err := store.Row(t.Context(), "ann"); err != nil || again.Values[0] != 5 {
		t.Errorf("the store has %v, %v: want the row as it was", again, err)
	}
	for name, test := range map[string]struct {
		userID string
		change func(*basket.Row)
		want   error
	}{
		"no user":      {"bob", nil, basket.ErrUserNotFound},
		"bad user":     {"", nil, basket.ErrInvalidRequest},
		"short row":    {"ann", func(r *basket.Row) { r.Values = r.Values[:2] }, basket.ErrInvalidRequest},
		"NaN is a row": {"ann", func(r *basket.Row) { r.Values[1] = math.NaN() }, nil},
	} {
		if _, err := p.WhatIf(t.Context(), test.userID, test.change); !errors.Is(err, test.want) {
			t.Errorf("%s: %v: want %v", name, err, test.want)
		}
	}
}

type modelLoggerFunc func(basket.ModelEvent)

func (f modelLoggerFunc) LogModel(_ context.Context, e basket.ModelEvent) { f(e) }

// TestPredictor_Routes: the routes are those that were set last, with the models as they
// were given.
func TestPredictor_Routes(t *testing.T) {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{row("ann", 1, 5)}))
	if err != nil {
		t.Fatal(err)
	}
	m, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	wrapped := func(m basket.Model) basket.Model { return struct{ basket.Model }{m} }
	p, err := basket.New(basket.WithStore(store), basket.WithModel(m), basket.WithModelWrapper(wrapped))
	if err != nil {
		t.Fatal(err)
	}
	list := []basket.Route{{Name: "old", Model: m, Weight: 9}, {Name: "new", Model: m, Weight: 1}, {Name: "next", Model: m, Shadow: true}}
	if err := p.SetRoutes("june", list...); err != nil {
		t.Fatal(err)
	}
	experiment, got := p.Routes()
	if len(got) != 3 || experiment != "june" {
		t.Fatalf("Routes: %q, %v", experiment, got)
	}
	for i := range got {
		if got[i] != list[i] {
			t.Errorf("route %d: %v: want %v", i, got[i], list[i])
		}
	}
}
