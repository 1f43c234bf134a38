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

// A program that follows each order: the user's newest row after each of them.
func ExampleHistory() {
	inventory := []basket.Item{{VariantID: 7, Price: 1.50}, {VariantID: 8, Price: 2.50}}
	price, err := basket.MeanItemPrice(basket.Values(inventory))
	if err != nil {
		log.Fatal(err)
	}
	h := basket.NewHistory("ann", []int64{7}, price, basket.LastOrder)
	monday := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	for day, items := range [][]int64{{8, 8}, {7, 7, 8}, {7}} {
		if err := h.Add(basket.Order{UserID: "ann", OrderedAt: monday.AddDate(0, 0, day), Items: items}); err != nil {
			log.Fatal(err)
		}
		row, ok := h.Latest()
		fmt.Println(row.Number, row.Values, ok)
	}
	// Output:
	// 0 [] false
	// 1 [4 2 0 1] true
	// 2 [6 3 1 1] true
}

// Orders that are read by several goroutines: each sequence by one of them, as if
// they came one after the other.
func ExampleWithGoroutines() {
	inventory := basket.Values([]basket.Item{{VariantID: 7, Price: 2}})
	m, err := basket.NewMaterializer(basket.Values[basket.Regular](nil), inventory, basket.NextOrder, basket.WithGoroutines(2))
	if err != nil {
		log.Fatal(err)
	}
	at := time.Date(2025, 6, 23, 10, 0, 0, 0, time.UTC)
	january := basket.Values([]basket.Order{{UserID: "ann", OrderedAt: at, Items: []int64{7}}})
	february := basket.Values([]basket.Order{{UserID: "ann", OrderedAt: at, Items: []int64{7, 7}}, {UserID: "bob", OrderedAt: at}})
	if err := m.AddAll(january, february); err != nil {
		log.Fatal(err)
	}
	for row, err := range m.Latest(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.UserID, row.Number, row.Values)
	}
	// Output:
	// ann 2 [4 2 0 0]
	// bob 1 [0 0 0 0]
}
