package baskettest_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/baskettest"
	"github.com/basket-go/basket/serve"
)

// A meanModel predicts the mean of two features.
type meanModel struct{}

func (meanModel) Features() []string { return []string{"last_price", "mean_price"} }

func (meanModel) Predict(ctx context.Context, dst, rows []float64) error {
	if len(rows) != 2*len(dst) {
		return basket.ErrInvalidRequest
	}
	for i := range dst {
		dst[i] = (rows[2*i] + rows[2*i+1]) / 2
	}
	return ctx.Err()
}

// The test of a model of one's own.
func ExampleTestModel() {
	_ = func(t *testing.T) { // TestMeanModel in meanmodel_test.go
		baskettest.TestModel(t, func(*testing.T) basket.Model { return meanModel{} })
	}
}

// The test of a store of one's own.
func ExampleTestStore() {
	_ = func(t *testing.T) { // TestStore in store_test.go
		baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
			s, err := basket.NewMemoryStore(basket.Values[basket.Row](nil)) // or another store, empty
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	}
}

// The test of what a store of one's own does when its server fails.
func ExampleTestStoreFaults() {
	_ = func(t *testing.T) { // TestStore_faults in store_test.go
		baskettest.TestStoreFaults(t, func(t *testing.T) (baskettest.Store, baskettest.Faults) {
			s, err := basket.NewMemoryStore(basket.Values[basket.Row](nil)) // or another store, empty
			if err != nil {
				t.Fatal(err)
			}
			return s, baskettest.Faults{} // with functions that stop the server, and so on
		})
	}
}

// The test of a logger of one's own.
func ExampleTestLogger() {
	_ = func(t *testing.T) { // TestLogger in logger_test.go
		baskettest.TestLogger(t, func(*testing.T) (any, func() []string) {
			var b bytes.Buffer
			w := &lockedWriter{w: &b} // a TextLogger is as safe as its writer
			return serve.NewTextLogger(w), func() []string { return lines(b.String()) }
		})
	}
}

// TestMeanModel keeps the example's model correct.
func TestMeanModel(t *testing.T) {
	baskettest.TestModel(t, func(*testing.T) basket.Model { return meanModel{} })
}
