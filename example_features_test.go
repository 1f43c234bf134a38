package basket_test

import (
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/basket-go/basket"
)

// Features without files: from any source of orders.
func ExampleMaterializer() {
	regulars := []basket.Regular{{UserID: "ann", VariantID: 7}}
	inventory := []basket.Item{{VariantID: 7, Price: 1.50}, {VariantID: 8, Price: 2.50}}
	m, err := basket.NewMaterializer(slices.Values(regulars), slices.Values(inventory), basket.LastOrder)
	if err != nil {
		log.Fatal(err)
	}
	monday := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	for _, o := range []basket.Order{
		{UserID: "ann", CreatedAt: monday.AddDate(0, 0, 1), Items: []int64{7, 7, 8}},
		{UserID: "ann", CreatedAt: monday, Items: []int64{8, 8}},
	} {
		if err := m.Add(o); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(basket.FeatureNames())
	for row := range m.Latest() {
		fmt.Println(row.UserID, row.Values)
	}
	// Output:
	// [prior_basket_value prior_item_count prior_regulars_count regulars_count]
	// ann [4 2 0 1]
}
