package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// A Concurrency limits how many requests are served at a time. Others wait in a queue,
// in the order of their arrival, and are refused at once when that is full. So under
// overload the requests that are served are served as fast as ever, and the others
// are answered soon. It is safe for concurrent use.
//
// The slots should be as many as the slowest part, such as the store, serves at a
// time without becoming slower. The queue is for requests that come together by
// chance. Under overload it is always full, and each served request waits for
// queue/slots times the time that one takes: a queue as long as the slots doubles the
// latency, one of half of that, a good choice, adds half, and none of them adds to the
// throughput. The time limit for waiting is for slots that do not become free, because
// the store is stuck.
//
// A request of a client that sends its body slowly holds its slot as long; see
// [ReadBody].
type Concurrency struct {
	slots   chan struct{} // a token for each request being served
	queue   int64
	wait    time.Duration
	queued  atomic.Int64
	refused atomic.Int64
}

// maxSlots bounds slots and queue: far more than a process can serve.
const maxSlots = 1_000_000

// NewConcurrency returns a limit of requests at a time, slots, and of requests that
// wait, queue, for at most the time wait. The error joins all faults of the settings.
func NewConcurrency(slots, queue int, wait time.Duration) (*Concurrency, error) {
	var faults []error
	if slots < 1 || slots > maxSlots {
		faults = append(faults, fmt.Errorf("serve: %d slots for requests: want 1 to %d", slots, maxSlots))
	}
	if queue < 0 || queue > maxSlots {
		faults = append(faults, fmt.Errorf("serve: a queue of %d requests: want 0 to %d", queue, maxSlots))
	}
	if wait < 0 || wait == 0 && queue > 0 {
		faults = append(faults, fmt.Errorf("serve: a queue of %d requests that wait %v: want a positive time", queue, wait))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return &Concurrency{slots: make(chan struct{}, slots), queue: int64(queue), wait: wait}, nil
}

// Wrap passes on requests within the limits, and answers others by 503 with
// Retry-After. A client that closes its connection leaves the queue. Requests that ask
// whether the service is alive should not be limited; see [Except].
func (c *Concurrency) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !c.enter(r.Context()) {
			if !errors.Is(r.Context().Err(), context.Canceled) { // else the client is gone
				c.refused.Add(1)
			}
			w.Header()["Retry-After"] = []string{"1"}
			refuse(w, r, http.StatusServiceUnavailable, "Service overloaded")
			return
		}
		defer func() { <-c.slots }()
		next.ServeHTTP(w, r)
	})
}

// enter takes a slot, and reports whether it has one.
func (c *Concurrency) enter(ctx context.Context) bool {
	select {
	case c.slots <- struct{}{}: // never before those who wait: they take a slot the moment it is free
		return true
	default:
	}
	defer c.queued.Add(-1)
	if c.queued.Add(1) > c.queue {
		return false
	}
	timer := time.NewTimer(c.wait)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// InFlight returns the number of requests being served.
func (c *Concurrency) InFlight() int { return len(c.slots) }

// Queued returns the number of requests that wait.
func (c *Concurrency) Queued() int { return int(min(c.queued.Load(), c.queue)) }

// Refused returns the number of requests that were answered by 503.
func (c *Concurrency) Refused() int64 { return c.refused.Load() }
