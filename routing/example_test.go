package routing_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
)

// demo returns a temporary folder with a file of routes, and with versions 1 and 2 of
// the model "price" in the folder models.
func demo() string {
	dir, err := os.MkdirTemp("", "routing")
	if err != nil {
		panic(err)
	}
	for version, name := range map[string]string{"1": "constant", "2": "regression"} {
		data, err := os.ReadFile("../testdata/models/lightgbm-" + name + "/model.txt")
		if err != nil {
			panic(err)
		}
		folder := filepath.Join(dir, "models", "price", version)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "model.txt"), data, 0o600); err != nil {
			panic(err)
		}
	}
	table := `{"experiment": "price-2025", "routes": [
		{"name": "current", "model": "price@1", "weight": 100},
		{"name": "next", "model": "price", "shadow": true}]}`
	if err := os.WriteFile(filepath.Join(dir, "routes.json"), []byte(table), 0o600); err != nil {
		panic(err)
	}
	return dir
}

// A shadow is compared with the answers, and then gets all users.
func Example() {
	ctx := context.Background()
	dir := demo()
	defer os.RemoveAll(dir)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{56, 31, 0, 0}}}))
	if err != nil {
		panic(err)
	}
	models, err := repository.Open(filepath.Join(dir, "models"))
	if err != nil {
		panic(err)
	}
	file, err := routing.Open(ctx, filepath.Join(dir, "routes.json"), models)
	if err != nil {
		panic(err)
	}
	p, err := basket.New(basket.WithStore(store), file.Option(), basket.WithModelLogger(file.Shadows()))
	if err != nil {
		panic(err)
	}
	// A service also runs file.Watch(ctx, p, interval) in a goroutine, and puts
	// authentication before these handlers.
	mux := http.NewServeMux()
	mux.Handle("/admin/routes", file.Handler(p))
	mux.Handle("/admin/shadows", file.Shadows())
	answer := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}

	prediction, err := p.Predict(ctx, "ann")
	fmt.Println(prediction.ModelID, err)
	for _, s := range file.Shadows().Shadows() {
		fmt.Printf("%s is %s: %d prediction, mean difference %.2f\n", s.Route, s.Model, s.Count, s.Mean)
	}

	now := answer(httptest.NewRequest(http.MethodGet, "/admin/routes", nil))
	change := httptest.NewRequest(http.MethodPut, "/admin/routes", strings.NewReader(strings.Replace(now.Body.String(), "price@1", "price@2", 1)))
	change.Header.Set("If-Match", now.Header().Get("ETag"))
	fmt.Print(answer(change).Body)

	prediction, err = p.Predict(ctx, "ann")
	fmt.Println(prediction.ModelID, err)
	// Output:
	// price@1 <nil>
	// next is price@2: 1 prediction, mean difference 15.03
	// {
	//   "experiment": "price-2025",
	//   "routes": [
	//     {
	//       "name": "current",
	//       "model": "price@2",
	//       "weight": 100
	//     },
	//     {
	//       "name": "next",
	//       "model": "price",
	//       "weight": 0,
	//       "shadow": true
	//     }
	//   ]
	// }
	// price@2 <nil>
}
