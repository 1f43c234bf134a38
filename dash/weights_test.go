package dash

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/basket-go/basket"
)

type constant struct{}

func (constant) Features() []string { return []string{"x"} }

func (constant) Predict(_ context.Context, dst, _ []float64) error { clear(dst); return nil }

// TestMovedShare counts the users whom a change of weights moves in a Predictor.
func TestMovedShare(t *testing.T) {
	const users = 20_000
	var rows []basket.Row
	var userIDs []string
	for i := range users {
		userIDs = append(userIDs, fmt.Sprint("user ", i))
		rows = append(rows, basket.Row{UserID: userIDs[i], Values: []float64{1}})
	}
	store, err := basket.NewMemoryStore(basket.Values(rows), "x")
	if err != nil {
		t.Fatal(err)
	}
	routes := func(weights []float64) []string {
		var list []basket.Route
		for i, w := range weights {
			list = append(list, basket.Route{Name: fmt.Sprint(i), Model: constant{}, Weight: int(w)})
		}
		p, err := basket.New(basket.WithStore(store), basket.WithRoutes("experiment", list...))
		if err != nil {
			t.Fatal(err)
		}
		names := make([]string, users)
		for i, r := range p.PredictBatch(t.Context(), userIDs) {
			names[i] = r.Route
		}
		return names
	}
	for _, test := range []struct{ was, is []float64 }{
		{[]float64{90, 10}, []float64{90, 10}},
		{[]float64{90, 10}, []float64{45, 5}},
		{[]float64{90, 10}, []float64{50, 50}},
		{[]float64{90, 10}, []float64{0, 1}},
		{[]float64{1, 0, 0}, []float64{0, 1, 0}},
		{[]float64{50, 30, 20}, []float64{20, 30, 50}},
		{[]float64{50, 0, 20}, []float64{50, 10, 0}},
	} {
		was, is := routes(test.was), routes(test.is)
		moved := 0
		for i := range was {
			if was[i] != is[i] {
				moved++
			}
		}
		got, want := movedShare(test.was, test.is), float64(moved)/users
		if !(math.Abs(got-want) < 0.01) { // five standard deviations are 0.018 at most, of fixed users
			t.Errorf("from %v to %v: %v, counted %v", test.was, test.is, got, want)
		}
	}
}
