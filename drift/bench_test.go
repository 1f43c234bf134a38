package drift_test

import (
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
)

// BenchmarkMonitor is the cost of a prediction of four features.
func BenchmarkMonitor(b *testing.B) {
	rows := newRows(1, 10_000)
	monitor, err := drift.NewMonitor(newProfile(b, rows))
	if err != nil {
		b.Fatal(err)
	}
	events := make([]basket.ModelEvent, 1024)
	for i := range events {
		events[i] = event(rows[i], 3, time.Unix(1_000_000, 0))
	}
	b.Run("goroutines=1", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			monitor.LogModel(b.Context(), events[i%len(events)])
		}
	})
	b.Run("goroutines=GOMAXPROCS", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				monitor.LogModel(b.Context(), events[i%len(events)])
			}
		})
	})
}
