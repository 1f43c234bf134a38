package basket_test

import (
	"fmt"
	"strings"

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
