package serve_test

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/serve"
)

// BenchmarkLoggers times what one request of /predict logs: a model event and a
// service event.
func BenchmarkLoggers(b *testing.B) {
	type logger interface {
		basket.ServiceLogger
		basket.ModelLogger
	}
	for _, bench := range []struct {
		name string
		l    logger
	}{
		{"format=text", serve.NewTextLogger(io.Discard)},
		{"format=json", serve.NewJSONLogger(io.Discard)},
		{"format=slog", serve.NewSlogLogger(slog.New(slog.NewJSONHandler(io.Discard, nil)))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := b.Context()
			row, names := []float64{94.61, 15, 0.25, 3}, basket.FeatureNames()
			for b.Loop() {
				now := time.Now()
				bench.l.LogModel(ctx, basket.ModelEvent{Time: now, Latency: 4400 * time.Nanosecond, Result: basket.Result{
					Prediction: basket.Prediction{
						UserID: "0cad47d6c469dc763adb1d206463099d", Value: 53.602718, Route: "default",
						Model: "LightGBM regression, 100 trees", ModelID: "price@3",
						Features: names, Row: basket.Row{Number: 2, Values: row},
					},
				}})
				bench.l.LogService(ctx, basket.ServiceEvent{Time: now, Latency: 8600 * time.Nanosecond, Method: "POST", Path: "/predict", Status: 200})
			}
		})
	}
}
