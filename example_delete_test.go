package basket_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/basket-go/basket"
)

// A user asks to be forgotten.
func ExampleMemoryStore_Delete() {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{40, 10, 2, 3}}}))
	if err != nil {
		log.Fatal(err)
	}
	if err := store.Delete(context.Background(), []string{"ann"}); err != nil {
		log.Fatal(err)
	}
	_, err = store.Row(context.Background(), "ann")
	fmt.Println(errors.Is(err, basket.ErrUserNotFound), store.Len())
	// Output: true 0
}
