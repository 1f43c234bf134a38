package dash

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/basket-go/basket"
)

// TestRecorder_oracle compares the overview of random events with one that is computed
// from a list of them.
func TestRecorder_oracle(t *testing.T) {
	for seed := range uint64(5) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := NewRecorder()
		begin := time.Unix(1_800_000_000, 0)
		r.start = stepOf(begin)
		now := begin.Add(time.Duration(random.Int64N(int64(2 * time.Hour))))
		type event struct {
			step    int64
			latency time.Duration
			route   string
		}
		var list []event
		var times []time.Time
		for range 3000 {
			times = append(times, begin.Add(time.Duration(random.Int64N(int64(now.Sub(begin))))))
		}
		slices.SortFunc(times, time.Time.Compare) // as in a service; an older event may be of a step that is let go
		for _, at := range times {
			e := event{step: stepOf(at), latency: time.Duration(math.Exp(random.Float64() * 25)), route: fmt.Sprint("route ", random.IntN(20))}
			list = append(list, e)
			r.LogService(t.Context(), basket.ServiceEvent{Time: at, Latency: e.latency, Method: "POST", Path: "/predict", Status: 200})
			r.LogModel(t.Context(), basket.ModelEvent{Time: at, Result: basket.Result{Prediction: basket.Prediction{Route: e.route}}})
			r.LogModel(t.Context(), basket.ModelEvent{Time: at, Shadow: true, Result: basket.Result{Prediction: basket.Prediction{Route: "shadow"}}})
		}
		o := r.overview(now, stepsKept)

		first := max(stepOf(begin), stepOf(now)-stepsKept)
		if len(o.Times) != int(stepOf(now)-first) {
			t.Fatalf("%d steps, want %d", len(o.Times), stepOf(now)-first)
		}
		var names []string // the first 16
		for _, e := range list {
			if !slices.Contains(names, e.route) && len(names) < maxRoutes {
				names = append(names, e.route)
			}
		}
		hour := map[string]uint64{}
		for i := range o.Times {
			var latencies []time.Duration
			routes := map[string]number{}
			for _, e := range list {
				if e.step == first+int64(i) {
					latencies = append(latencies, e.latency)
					name := e.route
					if !slices.Contains(names, name) {
						name = "other"
					}
					routes[name] += 1. / 5
					hour[name]++
				}
			}
			if o.Times[i] != (first+int64(i))*5 || o.Requests[i] != number(float64(len(latencies))/5) {
				t.Errorf("step %d: time %d, %v requests, want %d", i, o.Times[i], o.Requests[i], len(latencies))
			}
			slices.Sort(latencies)
			for _, q := range []struct {
				share float64
				got   number
			}{{.5, o.P50[i]}, {.95, o.P95[i]}, {.99, o.P99[i]}} {
				if len(latencies) == 0 {
					if !q.got.missing() {
						t.Errorf("step %d: P%v is %v, want none", i, q.share*100, q.got)
					}
					continue
				}
				want := latencies[int(math.Ceil(q.share*float64(len(latencies))))-1]
				want = min(max(want, 1<<leastPower), 1<<mostPower)
				if off := math.Abs(float64(q.got)/want.Seconds() - 1); off > 0.0626 {
					t.Errorf("step %d: P%v is %v, want %v", i, q.share*100, q.got, want)
				}
			}
			for _, s := range o.Routes {
				if math.Abs(float64(s.Values[i]-routes[s.Name])) > 1e-9 {
					t.Errorf("step %d: %s: %v, want %v", i, s.Name, s.Values[i], routes[s.Name])
				}
			}
		}
		got := map[string]uint64{}
		for _, c := range o.Hour.Routes {
			if c.Count > 0 {
				got[c.Name] = c.Count
			}
		}
		if diff := gocmp.Diff(hour, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestLatencyBucket: each latency is in the bucket whose middle is at most a sixteenth
// away, and buckets are in order.
func TestLatencyBucket(t *testing.T) {
	before := -1
	for d := time.Duration(1); d < 1<<mostPower; d += d/50 + 1 {
		b := latencyBucket(d)
		if b < before || b >= latencyBuckets {
			t.Fatalf("%v: bucket %d after %d", d, b, before)
		}
		before = b
		if off := math.Abs(latencyOf(b)/max(d, 1<<leastPower).Seconds() - 1); off > 0.0626 {
			t.Errorf("%v: bucket %d of %v s", d, b, latencyOf(b))
		}
	}
	for _, d := range []time.Duration{-1, 0, 1 << mostPower, math.MaxInt64} {
		if b := latencyBucket(d); b != 0 && b != latencyBuckets-1 {
			t.Errorf("%v: bucket %d", d, b)
		}
	}
}

// TestRecorder_errors: each failure is counted once, by its kind.
func TestRecorder_errors(t *testing.T) {
	r := NewRecorder()
	at := time.Now()
	r.start = stepOf(at)
	model := func(err error) {
		r.LogModel(t.Context(), basket.ModelEvent{Time: at, Result: basket.Result{Err: err}})
	}
	service := func(status int, path string, err error) {
		r.LogService(t.Context(), basket.ServiceEvent{Time: at, Method: "POST", Path: path, Status: status, Err: err})
	}
	wrap := func(err error) error { return fmt.Errorf("basket: %w: the cause", err) }
	for range 2 { // the prediction and its request
		model(wrap(basket.ErrUserNotFound))
	}
	service(404, "/predict", wrap(basket.ErrUserNotFound))
	service(400, "/predict", wrap(basket.ErrInvalidRequest))
	service(404, "/other", nil)
	service(500, "/predict", errors.New("a panic"))
	service(200, "/status", nil)
	model(errors.New("no kind"))
	r.LogService(t.Context(), basket.ServiceEvent{Time: at, Message: "an event"})
	o := r.overview(at.Add(stepLength), stepsKept)
	got := o.Hour.Errors
	slices.SortFunc(got, func(a, b count) int { return cmp.Compare(a.Name, b.Name) })
	if diff := gocmp.Diff([]count{{"invalid request", 1}, {"other", 2}, {"user not found", 2}}, got); diff != "" {
		t.Error(diff)
	}
	if o.Requests[0] != 4./5 {
		t.Errorf("%v requests a second, want 4 in 5 seconds", o.Requests[0])
	}
}

// TestRecorder_ring: an hour later the place of a step is that of another one, and what is
// older is dropped.
func TestRecorder_ring(t *testing.T) {
	r := NewRecorder()
	at := time.Unix(1_800_000_000, 0)
	r.start = stepOf(at)
	log := func(at time.Time) {
		r.LogService(t.Context(), basket.ServiceEvent{Time: at, Method: "GET", Path: "/x", Status: 200})
	}
	log(at)
	later := at.Add(ringSize * stepLength)
	log(later)
	log(at) // late by more than is kept
	o := r.overview(later.Add(stepLength), stepsKept)
	if len(o.Times) != stepsKept || o.Hour.Requests != 1./3600 || o.Requests[stepsKept-1] != 1./5 {
		t.Errorf("%d steps, %v requests, last %v", len(o.Times), o.Hour.Requests, o.Requests[stepsKept-1])
	}
}

// TestRecorder_ages: the age of a step is that of the newest order that was known when the
// step began, or the last one before it in which something happened.
func TestRecorder_ages(t *testing.T) {
	r := NewRecorder()
	at := time.Unix(1_800_000_000, 0)
	r.start = stepOf(at)
	var newest time.Time
	tell := func() time.Time { return newest }
	r.newest.Store(&tell)
	log := func(step int, before time.Duration) {
		now := at.Add(time.Duration(step) * stepLength)
		if newest = (time.Time{}); before > 0 {
			newest = now.Add(-before)
		}
		r.LogService(t.Context(), basket.ServiceEvent{Time: now, Method: "GET", Path: "/x", Status: 200})
	}
	log(1, 0) // not known yet
	log(2, time.Hour)
	log(5, time.Minute)
	o := r.overview(at.Add(7*stepLength), stepsKept)
	none := number(math.NaN())
	want := []number{none, none, 3605, 3610, 3615, 65, 70}
	if fmt.Sprint(o.Ages) != fmt.Sprint(want) { // NaN differs from itself
		t.Errorf("%v, want %v", o.Ages, want)
	}
	// An event of the stream has one step, and a step without requests has the memory of
	// when the page was told of the step before.
	last := r.overview(at.Add(8*stepLength), 1)
	if last.Ages[0] != 75 || last.Memory[0].missing() {
		t.Errorf("%+v", last)
	}
	body := overviewBody{o}
	if list := body.Past(); len(list) != 1 || list[0].Age != "1 min 10 s" || list[0].Memory != "not known" || !list[0].Time.Equal(at.Add(7*stepLength)) {
		t.Errorf("%+v", list)
	}
}

// TestRecorder_allocations: in a step that has begun, nothing is allocated.
func TestRecorder_allocations(t *testing.T) {
	r := NewRecorder()
	at := time.Now()
	service := basket.ServiceEvent{Time: at, Method: "POST", Path: "/predict", Status: 200, Latency: time.Millisecond}
	model := basket.ModelEvent{Time: at, Result: basket.Result{Prediction: basket.Prediction{Route: "default"}}}
	if n := testing.AllocsPerRun(100, func() {
		r.LogService(context.Background(), service)
		r.LogModel(context.Background(), model)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestRecorder_ConcurrentSafe: no event is lost while routes and steps begin.
func TestRecorder_ConcurrentSafe(t *testing.T) {
	r := NewRecorder()
	at := time.Unix(1_800_000_000, 0)
	r.start = stepOf(at)
	const goroutines, events = 8, 400
	done := make(chan bool)
	for g := range goroutines {
		go func() {
			for i := range events {
				r.LogModel(t.Context(), basket.ModelEvent{Time: at.Add(time.Duration(i) * time.Second), Result: basket.Result{Prediction: basket.Prediction{Route: fmt.Sprint((g + i) % 20)}}})
				if i%100 == 0 {
					r.overview(at.Add(time.Hour/2), 100)
				}
			}
			done <- true
		}()
	}
	for range goroutines {
		<-done
	}
	var n uint64
	for _, c := range r.overview(at.Add(time.Hour/2), stepsKept).Hour.Routes {
		n += c.Count
	}
	if n != goroutines*events {
		t.Errorf("%d predictions, want %d", n, goroutines*events)
	}
}
