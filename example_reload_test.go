package basket_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// A model that does not fit is refused, and the old one stays.
func ExamplePredictor_SetModel() {
	p := demoPredictor()
	model, err := basket.LoadModel(demoShop+"/model.txt", basket.WithMargin())
	if err == nil {
		err = p.SetModel("default", model)
	}
	fmt.Println(err)
	_, err = basket.ReadModel(strings.NewReader("not a model"))
	fmt.Println(err)
	// Output:
	// <nil>
	// basket: bad model: unknown format, starting with "not a model": want LightGBM's text, XGBoost's JSON, UBJSON or binary format, or scikit-learn's joblib or pickle
}

// A goroutine of the caller's follows a file.
func ExamplePredictor_Watch() {
	p := demoPredictor()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	fmt.Println(p.Watch(ctx, "default", demoShop+"/model.txt", 10*time.Millisecond))
	// Output: context deadline exceeded
}
