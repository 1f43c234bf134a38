package basket_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/basket-go/basket"
)

// Rows of any features, updated while others read.
func ExampleMemoryStore() {
	monday := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", OrderedAt: monday, Number: 1, Values: []float64{40, 10}},
	}), "basket_value", "item_count")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = store.Put(ctx, []basket.Row{
		{UserID: "ann", OrderedAt: monday.AddDate(0, 0, 1), Number: 2, Values: []float64{44, 11}},
		{UserID: "ann", OrderedAt: monday.AddDate(0, 0, -1), Number: 1, Values: []float64{4, 1}}, // older, and so ignored
	})
	if err != nil {
		log.Fatal(err)
	}
	row, err := store.Row(ctx, "ann")
	fmt.Println(row.Number, row.Values, err)
	// Output: 2 [44 11] <nil>
}
