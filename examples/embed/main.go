// Command embed is an example of a service that has its own routes, middleware and
// store, and mounts predictions beside them.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// A customers is this service's own store: two methods make it a basket.Store.
type customers map[string]basket.Row

func (c customers) Features() []string { return basket.FeatureNames() }

func (c customers) Row(_ context.Context, userID string) (basket.Row, error) {
	if row, ok := c[userID]; ok {
		return row, nil
	}
	return basket.Row{}, fmt.Errorf("customers: %w: %q", basket.ErrUserNotFound, userID)
}

// timed is this service's own middleware.
func timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		log.Printf("%s %s took %v", r.Method, r.URL.Path, time.Since(start))
	})
}

// newService returns the service's handler. Predictions are at /prices/predict.
func newService(c customers, modelFile string) (http.Handler, error) {
	model, err := basket.LoadModel(modelFile)
	if err != nil {
		return nil, err
	}
	predictor, err := basket.New(basket.WithStore(c), basket.WithModel(model))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	mux.Handle("/prices/", http.StripPrefix("/prices", basket.NewHandler(predictor)))
	return timed(mux), nil
}

func main() {
	service, err := newService(customers{"ann": {UserID: "ann", Number: 3, Values: []float64{40, 10, 2, 3}}}, "examples/server/demo/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:8000")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.Printf(`try: curl http://%s/prices/predict -d '{"user_id":"ann"}' -H 'Content-Type: application/json'`, listener.Addr())
	if err := serve.Run(ctx, serve.NewServer(service), listener, serve.Drain(listener.Addr())); err != nil {
		log.Print(err)
	}
}
