package dash_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
)

// The page is mounted beside the predictions. A service that others reach puts
// authentication before it.
func ExampleNewHandler() {
	model, err := basket.LoadModel("../examples/server/demo/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{56, 14, 2, 5}}}))
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", basket.NewHandler(p))
	mux.Handle("/ui/", http.StripPrefix("/ui", dash.NewHandler(p)))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ui/explain?user=ann&set.prior_basket_value=80", nil))
	_, price, _ := strings.Cut(w.Body.String(), "the price would be ")
	price, _, _ = strings.Cut(price, " <")
	fmt.Println(price)
	// Output: 102.12: 34.71 more than
}

// A Recorder is given to the Predictor, which tells it of each prediction, and to the page.
func ExampleNewRecorder() {
	model, err := basket.LoadModel("../examples/server/demo/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{56, 14, 2, 5}}}))
	if err != nil {
		log.Fatal(err)
	}
	recorder := dash.NewRecorder()
	p, err := basket.New(
		basket.WithStore(store), basket.WithModel(model),
		basket.WithServiceLogger(recorder), basket.WithModelLogger(recorder),
	)
	if err != nil {
		log.Fatal(err)
	}
	page := dash.NewHandler(p, dash.WithRecorder(recorder))

	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/overview", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 application/json
}
