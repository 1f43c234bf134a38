package dash

import (
	"context"
	"errors"
	"math"
	"math/bits"
	"net/http"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
)

// The ring has an hour of steps, and the one that is not over.
const (
	stepLength = 5 * time.Second
	stepsKept  = 720
	ringSize   = stepsKept + 1
)

// maxRoutes is how many routes are counted on their own; further ones are "other".
const maxRoutes = 16

// A Recorder counts what a service does in steps of 5 seconds, of which it keeps those of
// an hour, for the Overview. It is a basket.ServiceLogger and a basket.ModelLogger: give it
// to [basket.New] as both, and to [NewHandler] by [WithRecorder].
//
// It is safe for concurrent use, takes no lock and, in a step that has begun, does not
// allocate. It starts no goroutine, and has about a megabyte at most: 16 routes are counted
// on their own, all further ones as the route "other". Requests for /status, which load
// balancers send, are not counted. When a step begins, it notes the memory and, if
// [WithNewest] tells it, the time of the newest order.
type Recorder struct {
	start int64 // the step in which it was made
	ring  [ringSize]atomic.Pointer[counts]
	names atomic.Pointer[[]string] // of the routes that were seen; never changed, but replaced

	newest atomic.Pointer[func() time.Time] // of WithNewest
}

// NewRecorder returns a Recorder that has counted nothing.
func NewRecorder() *Recorder {
	r := &Recorder{start: stepOf(time.Now())}
	r.names.Store(&[]string{})
	return r
}

// counts are those of one step.
type counts struct {
	step     int64
	memory   uint64 // bytes, at the beginning of the step
	newest   int64  // time of the newest order at the beginning of the step, in nanoseconds since 1970; 0 if it is not known
	requests [latencyBuckets]atomic.Uint32
	routes   [maxRoutes + 1]atomic.Uint32  // predictions; the last one are those of other routes
	errors   [len(kinds) + 1]atomic.Uint32 // failures; the last one are those of no kind
}

// kinds are the kinds of failures, in the order of their counts.
var kinds = [...]basket.Error{
	basket.ErrInvalidRequest, basket.ErrUserNotFound, basket.ErrStale, basket.ErrPrediction, basket.ErrUnavailable,
	basket.ErrCanceled, basket.ErrFeatureMismatch, basket.ErrModelFormat, basket.ErrData, basket.ErrInvalidConfig,
}

// kindOf returns the position of an error's kind.
func kindOf(err error) int {
	kind, _ := errors.AsType[basket.Error](err)
	if i := slices.Index(kinds[:], kind); i >= 0 {
		return i
	}
	return len(kinds)
}

// kindName returns the name of a kind by its position.
func kindName(i int) string {
	if i == len(kinds) {
		return "other"
	}
	return string(kinds[i])
}

func stepOf(t time.Time) int64 { return t.UnixNano() / int64(stepLength) }

// at returns the counts of the step of a time, or nil if they are not kept.
func (r *Recorder) at(t time.Time) *counts {
	step := stepOf(t)
	place := &r.ring[uint64(step)%ringSize]
	for {
		c := place.Load()
		if c != nil && c.step == step {
			return c
		}
		if c != nil && c.step > step {
			return nil
		}
		if place.CompareAndSwap(c, r.newCounts(step)) {
			return place.Load() // of this step, or of a later one in the same place, an hour on
		}
	}
}

// newCounts returns the counts of a step that begins.
func (r *Recorder) newCounts(step int64) *counts {
	c := &counts{step: step, memory: usedMemory()}
	if newest := r.newest.Load(); newest != nil {
		if t := (*newest)(); !t.IsZero() {
			c.newest = t.UnixNano()
		}
	}
	return c
}

// stepCounts returns the counts of a step, or nil if nothing was noted in it.
func (r *Recorder) stepCounts(step int64) *counts {
	if c := r.ring[uint64(step)%ringSize].Load(); c != nil && c.step == step {
		return c
	}
	return nil
}

// newestBefore returns the newest order that was known when the last step before step began
// in which something was noted, or 0.
func (r *Recorder) newestBefore(step int64) int64 {
	for before := step - 1; before >= max(r.start, step-stepsKept); before-- {
		if c := r.stepCounts(before); c != nil {
			return c.newest
		}
	}
	return 0
}

// LogService counts a request. Failures are counted here only if no prediction tells of
// them: invalid requests, and those of another kind or of none.
func (r *Recorder) LogService(_ context.Context, e basket.ServiceEvent) {
	if e.Method == "" || e.Path == "/status" {
		return
	}
	c := r.at(e.Time)
	if c == nil {
		return
	}
	c.requests[latencyBucket(e.Latency)].Add(1)
	if e.Err == nil && e.Status < http.StatusInternalServerError {
		return
	}
	if i := kindOf(e.Err); i == len(kinds) || kinds[i] == basket.ErrInvalidRequest || kinds[i] == basket.ErrInvalidConfig {
		c.errors[i].Add(1)
	}
}

// LogModel counts a prediction, or the failure of one. Those of shadows are not counted.
func (r *Recorder) LogModel(_ context.Context, e basket.ModelEvent) {
	if e.Shadow {
		return
	}
	c := r.at(e.Time)
	if c == nil {
		return
	}
	if e.Err != nil {
		c.errors[kindOf(e.Err)].Add(1)
		return
	}
	c.routes[r.route(e.Route)].Add(1)
}

// route returns the position of a route in the counts.
func (r *Recorder) route(name string) int {
	for {
		names := r.names.Load()
		if i := slices.Index(*names, name); i >= 0 {
			return i
		}
		if len(*names) == maxRoutes {
			return maxRoutes
		}
		more := append(slices.Clone(*names), name)
		if r.names.CompareAndSwap(names, &more) {
			return len(*names)
		}
	}
}

// usedMemory returns how many bytes the Go runtime has from the system and not returned.
func usedMemory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// Latencies are counted in buckets: eight for each power of two of nanoseconds from 2^10,
// about a microsecond, to 2^36, about a minute.
const (
	bucketBits     = 3
	leastPower     = 10
	mostPower      = 36
	latencyBuckets = (mostPower - leastPower) << bucketBits
)

// latencyBucket returns the bucket of a latency.
func latencyBucket(d time.Duration) int {
	if d < 1<<leastPower {
		return 0
	}
	power := bits.Len64(uint64(d)) - 1
	if power >= mostPower {
		return latencyBuckets - 1
	}
	return (power-leastPower)<<bucketBits + int(uint64(d)>>(power-bucketBits))&(1<<bucketBits-1)
}

// latencyOf returns the middle of a bucket, in seconds: up to 1/16 off.
func latencyOf(bucket int) float64 {
	power, part := leastPower+bucket>>bucketBits, bucket&(1<<bucketBits-1)
	return math.Ldexp(1+(float64(part)+0.5)/(1<<bucketBits), power) / 1e9
}
