package basket_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/basket-go/basket"
)

// Many users at once; each has a price or an error of its own.
func ExamplePredictor_PredictBatch() {
	p := demoPredictor()
	for _, r := range p.PredictBatch(context.Background(), []string{demoUser, "nobody"}) {
		switch {
		case errors.Is(r.Err, basket.ErrUserNotFound):
			fmt.Println(r.UserID, "has no orders yet")
		case r.Err != nil:
			fmt.Println(r.Err)
		default:
			fmt.Printf("%.8s... %.2f\n", r.UserID, r.Value)
		}
	}
	// Output:
	// 0cad47d6... 22.16
	// nobody has no orders yet
}
