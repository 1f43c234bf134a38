package basket_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// The folder of a small synthetic shop, and one of its users.
const (
	demoShop = "examples/server/demo"
	demoUser = "0cad47d6c469dc763adb1d206463099d94102e680eb2815de5d0ae055bdd72e2f2df884c327bfffbbefed72720bb6ec523e244912bf26aa78f5fe7d7ab893bc7"
)

// From order files and a model to a price.
func Example() {
	history, err := basketparquet.Materialize(context.Background(), os.DirFS(demoShop), basket.LastOrder) // orders to features
	if err != nil {
		log.Fatal(err)
	}
	store, err := basket.NewMemoryStore(history.Latest(context.Background())) // store
	if err != nil {
		log.Fatal(err)
	}
	model, err := basket.LoadModel(demoShop + "/model.txt") // model
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model)) // predictor
	if err != nil {
		log.Fatal(err)
	}
	prediction, err := p.Predict(context.Background(), demoUser)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f\n", prediction.Value)
	// Output: 22.16
}

// The same over HTTP.
func ExampleNewHandler() {
	p := demoPredictor()
	handler := basket.NewHandler(p, basket.WithMaxBody(4<<10))
	// In a service: http.ListenAndServe("127.0.0.1:8000", handler)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"nobody"}`)))
	fmt.Println(w.Code, w.Body)
	// Output: 404 {"detail":"User not found"}
}

func demoPredictor(opts ...basket.Option) *basket.Predictor {
	history, err := basketparquet.Materialize(context.Background(), os.DirFS(demoShop), basket.LastOrder)
	if err != nil {
		log.Fatal(err)
	}
	store, err := basket.NewMemoryStore(history.Latest(context.Background()))
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(append([]basket.Option{basket.WithStore(store), basket.WithModel(demoModel())}, opts...)...)
	if err != nil {
		log.Fatal(err)
	}
	return p
}

func demoModel() basket.Model {
	model, err := basket.LoadModel(demoShop + "/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	return model
}
