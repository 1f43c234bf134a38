package dash

import (
	"context"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// BenchmarkOverview is what a step costs while pages are open, however many they are: an
// event is made once in 5 seconds.
func BenchmarkOverview(b *testing.B) {
	r := NewRecorder()
	now := time.Now()
	r.start = stepOf(now) - stepsKept
	for i := range stepsKept * 20 {
		at := now.Add(-time.Duration(i) * stepLength / 20)
		r.LogService(b.Context(), basket.ServiceEvent{Time: at, Method: "POST", Path: "/predict", Status: 200, Latency: time.Duration(i) * time.Microsecond})
		r.LogModel(b.Context(), basket.ModelEvent{Time: at, Result: basket.Result{Prediction: basket.Prediction{Route: "default"}}})
	}
	h := &handler{recorder: r}
	b.ReportAllocs()
	for b.Loop() {
		h.step.text = nil
		if _, err := h.stepUpdate(now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecorder is what a request and its prediction cost while they are served.
func BenchmarkRecorder(b *testing.B) {
	r := NewRecorder()
	service := basket.ServiceEvent{Method: "POST", Path: "/predict", Status: 200, Latency: time.Millisecond}
	model := basket.ModelEvent{Result: basket.Result{Prediction: basket.Prediction{Route: "default"}}}
	now := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			service.Time, model.Time = now, now
			r.LogService(context.Background(), service)
			r.LogModel(context.Background(), model)
		}
	})
}
