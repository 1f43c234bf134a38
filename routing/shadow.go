package routing

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
)

// ShadowStats tells how far the predictions of the shadows of a [File] are from the
// answers. It is a [basket.ModelLogger] that takes no lock, allocates nothing and has
// 30 KiB for each shadow, and an http.Handler. It is safe for concurrent use.
//
// A shadow counts from when its route got its model on, so that a new model starts at
// zero. All answers count, whichever route they are from.
type ShadowStats struct {
	threshold float64
	now       atomic.Pointer[following] // the routes of the File
}

// following is what the routes have for models; immutable but for the counters.
type following struct {
	models  map[string]string // the model's ID by route
	shadows []*shadowCounter  // in the order of the routes
	byRoute map[string]*shadowCounter
}

func newShadowStats() *ShadowStats {
	s := &ShadowStats{threshold: 0.1}
	s.now.Store(&following{})
	return s
}

// follow counts the shadows of these routes from now on. Those whose model stays keep
// their counts. It is not called by two goroutines at once.
func (s *ShadowStats) follow(list []basket.Route) {
	old := s.now.Load()
	next := &following{models: map[string]string{}, byRoute: map[string]*shadowCounter{}}
	for _, r := range list {
		next.models[r.Name] = modelID(r)
		if !r.Shadow {
			continue
		}
		c := old.byRoute[r.Name]
		if text := r.Model.(*basket.FileModel).String(); c == nil || c.model != text {
			c = &shadowCounter{route: r.Name, model: text, id: modelID(r), since: time.Now()}
		}
		next.byRoute[r.Name] = c
		next.shadows = append(next.shadows, c)
	}
	s.now.Store(next)
}

// modelID returns what names the model of a route in logs and answers.
func modelID(r basket.Route) string {
	m := r.Model.(*basket.FileModel)
	return cmp.Or(m.Info().ID, m.String())
}

// LogModel counts the event of a shadow, and ignores others.
func (s *ShadowStats) LogModel(_ context.Context, e basket.ModelEvent) {
	if !e.Shadow {
		return
	}
	c := s.now.Load().byRoute[e.Route]
	if c == nil || c.model != e.Model { // of routes that have been replaced meanwhile
		return
	}
	switch {
	case errors.Is(e.Err, basket.ErrCanceled):
	case e.Err != nil:
		c.failures.Add(1)
	case !math.IsNaN(e.Value - e.Answer):
		c.add(e.Value, e.Answer, s.threshold)
	}
}

// A Shadow is how far the predictions of a shadow are from the answers: its
// prediction minus the answer, in currency. A difference beyond 2^40 counts as 2^40.
// While predictions are counted, the fields may be of slightly different moments.
type Shadow struct {
	Route string    `json:"route"`
	Model string    `json:"model"` // NAME@VERSION
	Since time.Time `json:"since"` // when the route got the model

	Count    uint64 `json:"count"`    // predictions that were compared with an answer
	Failures uint64 `json:"failures"` // predictions that failed, which are not in Count

	// These are 0 if Count is 0.
	Mean         float64 `json:"mean_difference"`
	MeanAbsolute float64 `json:"mean_absolute_difference"`

	// P95 is the 95th percentile (nearest rank) of the differences regardless of the
	// sign, or up to 1/64 (1.6 %) more, because they are counted in buckets. Below 2^-20,
	// about a millionth, it is 0.
	P95 float64 `json:"p95_absolute_difference"`

	// ShareOver is the share, of 0 to 1, of the predictions whose difference is over
	// the threshold of [WithThreshold] times the answer, regardless of the sign.
	ShareOver float64 `json:"share_over_threshold"`
}

// Shadows returns the shadows in the order of the routes. The caller owns the slice.
func (s *ShadowStats) Shadows() []Shadow {
	list := []Shadow{}
	for _, c := range s.now.Load().shadows {
		list = append(list, c.summary())
	}
	return list
}

// ServeHTTP answers GET by the models that the routes have now, the threshold and the
// [Shadow] of each shadow, as in
//
//	{"models":{"current":"price@3","next":"price@4"},"threshold":0.1,
//	 "shadows":[{"route":"next","model":"price@4","since":"2025-06-23T14:18:07Z",
//	 "count":1000,"failures":0,"mean_difference":-0.2,"mean_absolute_difference":0.7,
//	 "p95_absolute_difference":2.5,"share_over_threshold":0.01}]}
func (s *ShadowStats) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"detail": "Method Not Allowed"})
		return
	}
	writeJSON(w, http.StatusOK, struct {
		Models    map[string]string `json:"models"`
		Threshold float64           `json:"threshold"`
		Shadows   []Shadow          `json:"shadows"`
	}{s.now.Load().models, s.threshold, s.Shadows()})
}

// The absolute differences are counted in buckets that are fixed: bucket 0 for those
// under 2^-20, 64 buckets of equal width for each power of two from there, and one
// for 2^40. A bucket's index is the float's exponent and the first six bits of its
// fraction, less those of 2^-20.
const (
	fractionBits = 6
	dropBits     = 52 - fractionBits
	leastPower   = -20
	mostPower    = 40
	most         = 1 << mostPower
	firstIndex   = (1023+leastPower)<<fractionBits - 1
	buckets      = (mostPower-leastPower)<<fractionBits + 2
)

// bucketOf returns the bucket of a difference of 0 to 2^40.
func bucketOf(d float64) int {
	return max(0, int(math.Float64bits(d)>>dropBits)-firstIndex)
}

// bucketTop returns the upper end of a bucket, or what it stands for.
func bucketTop(i int) float64 {
	switch i {
	case 0:
		return 0
	case buckets - 1:
		return most
	}
	return math.Float64frombits(uint64(i+1+firstIndex) << dropBits)
}

// A shadowCounter counts for one shadow.
type shadowCounter struct {
	route, model, id string
	since            time.Time

	failures, over atomic.Uint64
	sum, absolute  atomicFloat
	histogram      [buckets]atomic.Uint64
}

func (c *shadowCounter) add(value, answer, threshold float64) {
	difference := min(max(value-answer, -most), most)
	absolute := math.Abs(difference)
	if absolute > threshold*math.Abs(answer) {
		c.over.Add(1)
	}
	c.sum.add(difference)
	c.absolute.add(absolute)
	c.histogram[bucketOf(absolute)].Add(1)
}

func (c *shadowCounter) summary() Shadow {
	s := Shadow{Route: c.route, Model: c.id, Since: c.since, Failures: c.failures.Load()}
	counts := make([]uint64, buckets)
	for i := range c.histogram {
		counts[i] = c.histogram[i].Load()
		s.Count += counts[i]
	}
	if s.Count == 0 {
		return s
	}
	n := float64(s.Count)
	s.Mean, s.MeanAbsolute = c.sum.load()/n, c.absolute.load()/n
	s.ShareOver = min(1, float64(c.over.Load())/n)
	rank := s.Count - s.Count/20 // 95 %, rounded up
	s.P95 = bucketTop(slices.IndexFunc(counts, func(k uint64) bool {
		if k >= rank {
			return true
		}
		rank -= k
		return false
	}))
	return s
}

// An atomicFloat is a sum to which goroutines add at once.
type atomicFloat struct{ bits atomic.Uint64 }

func (f *atomicFloat) add(v float64) {
	for {
		old := f.bits.Load()
		if f.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func (f *atomicFloat) load() float64 { return math.Float64frombits(f.bits.Load()) }
