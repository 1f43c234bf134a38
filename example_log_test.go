package basket_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/basket-go/basket"
)

// Structured logs; NewTextLogger writes the classic lines.
func ExampleNewSlogLogger() {
	stable := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "latency" || a.Key == "model" {
			return slog.Attr{}
		}
		return a
	}
	l := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: stable}))
	p := demoPredictor(basket.WithModelLogger(basket.NewSlogLogger(l)))
	_, _ = p.Predict(context.Background(), "nobody")
	// Output:
	// level=WARN msg="prediction failed" user_id=nobody route=default type=UserNotFound error="basket: user not found: no feature row in the store"
}
