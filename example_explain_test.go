package basket_test

import (
	"context"
	"fmt"
	"log"
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
