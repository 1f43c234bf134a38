package basket_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"

	"github.com/basket-go/basket"
)

// Rows that one program computes and another one serves.
func ExampleReadSnapshot() {
	monday := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", OrderedAt: monday, Number: 1, Values: []float64{40, 10}},
	}), "basket_value", "item_count")
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if err := store.WriteSnapshot(&file); err != nil {
		log.Fatal(err)
	}

	served, err := basket.ReadSnapshot(&file)
	if err != nil {
		log.Fatal(err)
	}
	row, err := served.Row(context.Background(), "ann")
	fmt.Println(served.Features(), row.Values, err)
	fmt.Println(served.Newest().Format(time.DateOnly))
	// Output:
	// [basket_value item_count] [40 10] <nil>
	// 2025-06-23
}
