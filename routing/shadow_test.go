package routing_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/routing"
	"github.com/google/go-cmp/cmp"
)

const withShadow = `{"experiment": "x", "routes": [{"name": "main", "model": "price@1", "weight": 1}, {"name": "next", "model": "price@2", "shadow": true}]}`

// shadowEvent is an event of the shadow of withShadow.
func shadowEvent(t testing.TB, models routing.Models, answer, value float64, err error) basket.ModelEvent {
	t.Helper()
	m, modelErr := models.Model("price@2")
	if modelErr != nil {
		t.Fatal(modelErr)
	}
	return basket.ModelEvent{Shadow: true, Answer: answer, Result: basket.Result{Err: err, Prediction: basket.Prediction{Route: "next", Model: m.String(), Value: value}}}
}

// TestShadowStats_oracle compares with sums and sorting, over differences of many
// magnitudes.
func TestShadowStats_oracle(t *testing.T) { synctest.Test(t, testOracle) }

func testOracle(t *testing.T) {
	const threshold = 0.25
	models := newModels(t, "price@1", "price@2")
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 19, 20, 21, 100, 1000} {
		for _, magnitude := range []float64{0, 1e-9, 1e-5, 1, 1e6, 1e13, 1e300} {
			s := open(t, newFile(t, withShadow), models, routing.WithThreshold(threshold)).Shadows()
			var absolute []float64
			var sum, sumAbsolute, over float64
			for range n {
				answer := 100 * rnd.Float64()
				value := answer + magnitude*rnd.NormFloat64()*rnd.ExpFloat64()
				s.LogModel(t.Context(), shadowEvent(t, models, answer, value, nil))
				d := min(max(value-answer, -1<<40), 1<<40)
				sum += d
				sumAbsolute += math.Abs(d)
				absolute = append(absolute, math.Abs(d))
				if math.Abs(d) > threshold*answer {
					over++
				}
			}
			slices.Sort(absolute)
			p95 := absolute[int(math.Ceil(0.95*float64(n)))-1]
			got := s.Shadows()[0]
			want := got
			want.Route, want.Model, want.Count = "next", "price@2", uint64(n)
			want.Mean, want.MeanAbsolute, want.ShareOver = sum/float64(n), sumAbsolute/float64(n), over/float64(n)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d differences of %g (-want +got):\n%s", n, magnitude, diff)
			}
			if tiny := p95 < 1.0/(1<<20); tiny && got.P95 != 0 || !tiny && (got.P95 < p95 || got.P95 > p95*(1+1.0/64)) {
				t.Errorf("%d differences of %g: P95 %g, want %g or up to 1/64 more", n, magnitude, got.P95, p95)
			}
		}
	}
}

// TestShadowStats_ignores: what is not compared with an answer is no difference.
func TestShadowStats_ignores(t *testing.T) {
	models := newModels(t, "price@1", "price@2")
	s := open(t, newFile(t, withShadow), models).Shadows()
	answer := shadowEvent(t, models, 1, 5, nil)
	answer.Shadow = false
	otherRoute := shadowEvent(t, models, 1, 5, nil)
	otherRoute.Route = "main"
	otherModel := shadowEvent(t, models, 1, 5, nil)
	otherModel.Model = "price@1"
	for _, e := range []basket.ModelEvent{
		answer, otherRoute, otherModel,
		shadowEvent(t, models, math.NaN(), 5, nil),
		shadowEvent(t, models, 1, math.NaN(), nil),
		shadowEvent(t, models, 1, 0, basket.ErrCanceled),
		shadowEvent(t, models, 1, 0, basket.ErrPrediction),
		shadowEvent(t, models, 2, 2, nil),
	} {
		s.LogModel(t.Context(), e)
	}
	got := s.Shadows()
	want := []routing.Shadow{{Route: "next", Model: "price@2", Since: got[0].Since, Count: 1, Failures: 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shadows (-want +got):\n%s", diff)
	}
}

// TestShadowStats_newModel: a shadow keeps its counts until its model changes.
func TestShadowStats_newModel(t *testing.T) {
	models := newModels(t, "price@1", "price@2", "price@3")
	f := open(t, newFile(t, withShadow), models)
	p := newPredictor(t, f)
	count := func() uint64 { return f.Shadows().Shadows()[0].Count }
	f.Shadows().LogModel(t.Context(), shadowEvent(t, models, 1, 2, nil))
	put(t, f, p, "*", `{"experiment": "x", "routes": [{"name": "main", "model": "price@3", "weight": 1}, {"name": "next", "model": "price@2", "shadow": true}]}`)
	if got := count(); got != 1 {
		t.Errorf("count %d after another route has changed, want 1", got)
	}
	put(t, f, p, "*", `{"experiment": "x", "routes": [{"name": "main", "model": "price@3", "weight": 1}, {"name": "next", "model": "price@1", "shadow": true}]}`)
	if got := count(); got != 0 {
		t.Errorf("count %d after the shadow's model has changed, want 0", got)
	}
}

func TestShadowStats_ServeHTTP(t *testing.T) {
	models := newModels(t, "price@1", "price@2")
	f := open(t, newFile(t, withShadow), models)
	p := newPredictor(t, f)
	p.PredictBatch(t.Context(), []string{"user-1", "user-2", "nobody"})
	w := httptest.NewRecorder()
	f.Shadows().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/admin/shadows", nil))
	var got struct {
		Models    map[string]string
		Threshold float64
		Shadows   []struct {
			Route string
			Count int
			Mean  float64 `json:"mean_difference"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	want := got
	want.Models, want.Threshold = map[string]string{"main": "price@1", "next": "price@2"}, 0.1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("models and threshold (-want +got):\n%s", diff)
	}
	if len(got.Shadows) != 1 || got.Shadows[0].Count != 2 || got.Shadows[0].Mean == 0 {
		t.Errorf("shadows %+v, want two comparisons of models that differ", got.Shadows)
	}
	w = httptest.NewRecorder()
	f.Shadows().ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/admin/shadows", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("DELETE: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

// TestShadowStats_ConcurrentSafe: nothing is lost when many goroutines log and read.
func TestShadowStats_ConcurrentSafe(t *testing.T) {
	const goroutines, each = 8, 50
	models := newModels(t, "price@1", "price@2")
	s := open(t, newFile(t, withShadow), models).Shadows()
	events := []basket.ModelEvent{shadowEvent(t, models, 4, 5, nil), shadowEvent(t, models, 4, 3, nil), shadowEvent(t, models, 4, 0, errors.New("failed"))}
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				for _, e := range events {
					s.LogModel(t.Context(), e)
				}
				if got := s.Shadows()[0]; got.ShareOver < 0 || got.ShareOver > 1 {
					t.Errorf("share %v", got.ShareOver)
				}
			}
		})
	}
	group.Wait()
	got := s.Shadows()
	want := []routing.Shadow{{
		Route: "next", Model: "price@2", Since: got[0].Since, Count: 2 * goroutines * each, Failures: goroutines * each,
		Mean: 0, MeanAbsolute: 1, P95: 1 + 1.0/64, ShareOver: 1,
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shadows (-want +got):\n%s", diff)
	}
}

// TestShadowStats_allocates nothing for an event.
func TestShadowStats_allocates(t *testing.T) {
	models := newModels(t, "price@1", "price@2")
	s := open(t, newFile(t, withShadow), models).Shadows()
	e := shadowEvent(t, models, 4, 5, nil)
	if n := testing.AllocsPerRun(100, func() { s.LogModel(t.Context(), e) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkShadowStats_LogModel(b *testing.B) {
	models := newModels(b, "price@1", "price@2")
	s := open(b, newFile(b, withShadow), models).Shadows()
	e := shadowEvent(b, models, 4, 5, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.LogModel(b.Context(), e)
		}
	})
}
