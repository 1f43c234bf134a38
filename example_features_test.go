package basket_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/basket-go/basket"
)

// Features from any source of orders, without files.
func ExampleMaterializer() {
	regulars := []basket.Regular{{UserID: "ann", VariantID: 7}}
	inventory := []basket.Item{{VariantID: 7, Price: 1.50}, {VariantID: 8, Price: 2.50}}
	m, err := basket.NewMaterializer(basket.Values(regulars), basket.Values(inventory), basket.LastOrder)
	if err != nil {
		log.Fatal(err)
	}
	monday := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	orders := []basket.Order{
		{UserID: "ann", OrderedAt: monday.AddDate(0, 0, 1), Items: []int64{7, 7, 8}},
		{UserID: "ann", OrderedAt: monday, Items: []int64{8, 8}},
	}
	if err := m.AddAll(basket.Values(orders)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(basket.FeatureNames())
	for row, err := range m.Latest(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.UserID, row.Values)
	}
	// Output:
	// [prior_basket_value prior_item_count prior_regulars_count regulars_count]
	// ann [4 2 0 1]
}
