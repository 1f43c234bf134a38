package basket_test

import (
	"context"
	"fmt"
	"log"

	"github.com/basket-go/basket"
)

// What a price is made of: the bias is the mean of the training rows, and each
// feature adds its share.
func ExamplePredictor_Explain() {
	p := demoPredictor()
	e, err := p.Explain(context.Background(), demoUser)
	if err != nil {
		log.Fatal(err)
	}
	sum := e.Bias
	fmt.Printf("%20s %6.2f\n", "bias", e.Bias)
	for j, c := range e.Contributions {
		fmt.Printf("%20s %+6.2f\n", e.Features[j], c)
		sum += c
	}
	fmt.Printf("%20s %6.2f, the prediction is %.2f\n", "sum", sum, e.Value)
	// Output:
	//                 bias  75.68
	//   prior_basket_value -49.99
	//     prior_item_count  +0.00
	// prior_regulars_count  +5.53
	//       regulars_count  -9.07
	//                  sum  22.16, the prediction is 22.16
}

// What the price would be if the basket before the last one had been dearer.
func ExamplePredictor_WhatIf() {
	p := demoPredictor()
	for _, value := range []float64{20, 120} {
		e, err := p.WhatIf(context.Background(), demoUser, func(row *basket.Row) { row.Values[0] = value })
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s = %.0f: %.2f\n", e.Features[0], e.Row.Values[0], e.Value)
	}
	// Output:
	// prior_basket_value = 20: 24.69
	// prior_basket_value = 120: 131.80
}

func ExamplePredictor_Routes() {
	experiment, routes := demoPredictor().Routes()
	fmt.Printf("experiment %q\n", experiment)
	for _, r := range routes {
		fmt.Println(r.Name, r.Weight, r.Shadow, r.Model)
	}
	// Output:
	// experiment ""
	// default 1 false lightgbm v4, 60 trees, sha256:f19975cfc9f
}
