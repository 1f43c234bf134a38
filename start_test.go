package basket_test

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketparquet"
)

// BenchmarkStart goes from files to the first answer, as a service does when it
// starts. It reports the two parts, features-ms and answer-ms, and the
// largest resident memory of the process so far; for that, run it alone and once: go test -run '^$' -bench Start -benchtime 1x
func BenchmarkStart(b *testing.B) {
	for _, shop := range []struct{ name, orders, model, userID string }{
		{"demo", demoShop, demoShop + "/model.txt", demoUser},
		{
			"full", shared + "/data/full", shared + "/models/lgbm-regression.txt",
			"001ce6014d5b2c4e0073540200fdbb96d7c7b8777259b07b58d0dd0f9a9fd96bca621b9bd7eae1af6cb2e2f1d4780ef2c3ed047a45ea607b46cb23f30927e7e3",
		},
	} {
		b.Run("data="+shop.name, func(b *testing.B) {
			if shop.name == "full" {
				needShared(b)
			}
			var features, answer time.Duration
			for b.Loop() {
				start := time.Now()
				history, err := basketparquet.Materialize(context.Background(), os.DirFS(shop.orders), basket.LastOrder)
				if err != nil {
					b.Fatal(err)
				}
				store, err := basket.NewMemoryStore(history.Latest(context.Background()))
				if err != nil {
					b.Fatal(err)
				}
				made := time.Now()
				p := mustNew(b, basket.WithStore(store), basket.WithModel(loadModel(b, shop.model)))
				if _, err := p.Predict(context.Background(), shop.userID); err != nil {
					b.Fatal(err)
				}
				features += made.Sub(start)
				answer += time.Since(made)
			}
			b.ReportMetric(float64(features.Microseconds())/1e3/float64(b.N), "features-ms")
			b.ReportMetric(float64(answer.Microseconds())/1e3/float64(b.N), "answer-ms")
			if mb := peakMegabytes(); mb > 0 {
				b.ReportMetric(mb, "peak-MB")
			}
		})
	}
}

// peakMegabytes is the largest resident memory of the process so far, or 0
// if the system does not report it.
func peakMegabytes() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kb := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if kb == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(kb[1]), 64)
	return n / 1024
}
