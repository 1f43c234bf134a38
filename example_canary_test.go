package basket_test

import (
	"context"
	"fmt"
	"log"

	"github.com/basket-go/basket"
)

// A canary takes one user in ten; a shadow predicts for all and answers none.
func ExampleWithRoutes() {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", Values: []float64{40, 10, 2, 3}},
		{UserID: "joe", Values: []float64{40, 10, 2, 3}},
	}))
	if err != nil {
		log.Fatal(err)
	}
	current, next := demoModel(), demoModel()
	p, err := basket.New(basket.WithStore(store), basket.WithRoutes("price-2025",
		basket.Route{Name: "current", Model: current, Weight: 9},
		basket.Route{Name: "canary", Model: next, Weight: 1},
		basket.Route{Name: "shadow", Model: next, Shadow: true},
	))
	if err != nil {
		log.Fatal(err)
	}
	for _, userID := range []string{"ann", "joe"} {
		prediction, err := p.Predict(context.Background(), userID)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(userID, prediction.Route)
	}
	// Output:
	// ann current
	// joe canary
}
