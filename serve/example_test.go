package serve_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// newPredictor returns a Predictor of one user and a model of one tree.
func newPredictor(opts ...basket.Option) *basket.Predictor {
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Number: 1, Values: []float64{40, 10, 2, 3}}}))
	if err != nil {
		log.Fatal(err)
	}
	model, err := basket.LoadModel("../testdata/models/lightgbm-constant/model.txt")
	if err != nil {
		log.Fatal(err)
	}
	p, err := basket.New(append(opts, basket.WithStore(store), basket.WithModel(model))...)
	if err != nil {
		log.Fatal(err)
	}
	return p
}

// Structured logs.
func ExampleNewSlogLogger() {
	stable := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "latency_seconds" || a.Key == "model" {
			return slog.Attr{}
		}
		return a
	}
	l := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))
	p := newPredictor(basket.WithModelLogger(serve.NewSlogLogger(l)))
	_, _ = p.Predict(context.Background(), "nobody")
	// Output:
	// level=WARN msg="prediction failed" user_id=nobody route=default type=UserNotFound error="basket: user not found: no feature row in the store"
}

// The log lines of the Python service that basket replaces.
func ExampleNewTextLogger() {
	l := serve.NewTextLogger(os.Stdout)
	l.LogService(context.Background(), basket.ServiceEvent{
		Time: time.Date(2025, 6, 23, 14, 18, 7, 0, time.Local), Latency: 9 * time.Millisecond, Method: "POST", Path: "/predict", Status: 200,
	})
	// Output: 2025-06-23 14:18:07 | REQUEST | POST /predict | latency=0.009s | status=200
}

// A server with log files that answers every request when it is stopped.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "logs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	logs, err := serve.OpenLogs(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	p := newPredictor(basket.WithServiceLogger(logs.Service), basket.WithModelLogger(logs.Model))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	// In a service the context is that of signal.NotifyContext.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	fmt.Println(serve.Run(ctx, serve.NewServer(basket.NewHandler(p)), listener, serve.Drain(listener.Addr())), logs.Close())
	// Output: <nil> <nil>
}

// Keys, health and predictions in one server.
func ExampleAuthenticate() {
	key, line, err := serve.NewKey("shop", serve.User)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := serve.ParseKeys([]byte(line)) // or LoadKeys of a file
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	health := serve.NewHealth(context.Background(), nil)
	mux.Handle("/livez", health)
	mux.Handle("/readyz", health)
	mux.Handle("/", basket.NewHandler(newPredictor()))
	free := func(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }
	h := serve.Authenticate(free, keys)(mux)

	for _, credential := range []string{"Bearer " + key, "Bearer guess"} {
		r := httptest.NewRequest("POST", "/predict", strings.NewReader(`{"user_id":"nobody"}`))
		r.Header.Set("Authorization", credential)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.TrimSpace(w.Body.String()))
	}
	// Output:
	// 404 {"detail":"User not found"}
	// 401 {"detail":"Unauthorized"}
}
