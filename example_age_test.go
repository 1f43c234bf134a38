package basket_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/basket-go/basket"
)

// A user who has not ordered for a year has no price.
func ExampleWithMaxAge() {
	model, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	values := make([]float64, len(model.Features()))
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", OrderedAt: time.Now().AddDate(0, 0, -1), Values: values},
		{UserID: "bob", OrderedAt: time.Now().AddDate(-2, 0, 0), Values: values},
	}), model.Features()...)
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model), basket.WithMaxAge(365*24*time.Hour, basket.RefuseStale))
	if err != nil {
		log.Fatal(err)
	}
	for _, userID := range []string{"ann", "bob", "eve"} {
		_, err := p.Predict(context.Background(), userID)
		fmt.Println(userID, err == nil, errors.Is(err, basket.ErrStale), errors.Is(err, basket.ErrUserNotFound))
	}
	// Output:
	// ann true false false
	// bob false true false
	// eve false false true
}
