package serve_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

func mustConcurrency(t testing.TB, slots, queue int, wait time.Duration) *serve.Concurrency {
	t.Helper()
	c, err := serve.NewConcurrency(slots, queue, wait)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// slow returns a handler that takes a time.
func slow(d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		fmt.Fprint(w, "ok")
	})
}

// TestConcurrency_overload: of six requests that come at once, two are served, two
// wait their turn, and two are refused at once.
func TestConcurrency_overload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustConcurrency(t, 2, 2, time.Minute)
		h := c.Wrap(slow(time.Second))
		start := time.Now()
		var mu sync.Mutex
		var got []string
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", nil))
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprintf("%v: request %d: %d %s", time.Since(start), i, w.Code, w.Header().Get("Retry-After")))
				if w.Code != 200 && strings.TrimSpace(w.Body.String()) != `{"detail":"Service overloaded"}` {
					t.Errorf("body %s", w.Body)
				}
			})
			synctest.Wait()
			time.Sleep(time.Millisecond) // so that their order is known
		}
		if c.InFlight() != 2 || c.Queued() != 2 || c.Refused() != 2 {
			t.Errorf("%d in flight, %d queued, %d refused, want 2 of each", c.InFlight(), c.Queued(), c.Refused())
		}
		all.Wait()
		want := []string{
			"4ms: request 4: 503 1", "5ms: request 5: 503 1",
			"1s: request 0: 200 ", "1.001s: request 1: 200 ", "2s: request 2: 200 ", "2.001s: request 3: 200 ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if c.InFlight() != 0 || c.Queued() != 0 || c.Refused() != 2 {
			t.Errorf("at the end %d in flight, %d queued, %d refused", c.InFlight(), c.Queued(), c.Refused())
		}
	})
}

// TestConcurrency_leavesQueue: requests leave the queue when they have waited long
// enough, when the client is gone, and when the request's time is over.
func TestConcurrency_leavesQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := mustConcurrency(t, 1, 3, 3*time.Second)
		h := c.Wrap(slow(time.Hour))
		start := time.Now()
		go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/predict", nil))
		synctest.Wait()
		gone, leave := context.WithCancel(t.Context())
		late, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var all sync.WaitGroup
		for want, ctx := range map[time.Duration]context.Context{time.Second: gone, 2 * time.Second: late, 3 * time.Second: t.Context()} {
			all.Go(func() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/predict", nil))
				if w.Code != 503 || time.Since(start) != want {
					t.Errorf("%d after %v, want 503 after %v", w.Code, time.Since(start), want)
				}
			})
		}
		time.Sleep(time.Second)
		if c.Queued() != 3 {
			t.Errorf("%d queued, want 3", c.Queued())
		}
		leave()
		all.Wait()
		if c.Queued() != 0 || c.Refused() != 2 {
			t.Errorf("%d queued, %d refused, want 0 and 2", c.Queued(), c.Refused())
		}
		time.Sleep(time.Hour)
	})
}

// TestConcurrency_panic: a panic gives the slot back.
func TestConcurrency_panic(t *testing.T) {
	c := mustConcurrency(t, 1, 0, 0)
	h := c.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost, or the request refused")
				}
			}()
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/predict", nil))
		}()
	}
}

// TestConcurrency_ConcurrentSafe: never more than the slots are served at a time, and
// each request is served or refused.
func TestConcurrency_ConcurrentSafe(t *testing.T) {
	c := mustConcurrency(t, 3, 4, time.Minute)
	var now, served, refused atomic.Int64
	h := c.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := now.Add(1); n > 3 {
			t.Errorf("%d served at a time, want at most 3", n)
		}
		time.Sleep(10 * time.Microsecond)
		now.Add(-1)
		served.Add(1)
	}))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", nil)); w.Code == 503 {
					refused.Add(1)
				}
			}
		})
	}
	all.Wait()
	if served.Load()+refused.Load() != 16*50 || c.Refused() != refused.Load() || served.Load() == 0 {
		t.Errorf("%d served, %d refused, of which %d are counted", served.Load(), refused.Load(), c.Refused())
	}
	if c.InFlight() != 0 || c.Queued() != 0 {
		t.Errorf("%d in flight, %d queued", c.InFlight(), c.Queued())
	}
}

func TestNewConcurrency_refuses(t *testing.T) {
	for _, test := range []struct {
		slots, queue int
		wait         time.Duration
		want         string
	}{
		{0, 0, 0, "serve: 0 slots for requests: want 1 to 1000000"},
		{1, 5, 0, "serve: a queue of 5 requests that wait 0s: want a positive time"},
		{-1, -1, -1, "serve: -1 slots for requests: want 1 to 1000000\nserve: a queue of -1 requests: want 0 to 1000000\nserve: a queue of -1 requests that wait -1ns: want a positive time"},
		{1e9, 1e9, 1, "serve: 1000000000 slots for requests: want 1 to 1000000\nserve: a queue of 1000000000 requests: want 0 to 1000000"},
	} {
		if _, err := serve.NewConcurrency(test.slots, test.queue, test.wait); err == nil || err.Error() != test.want {
			t.Errorf("NewConcurrency(%d, %d, %v): %v, want %s", test.slots, test.queue, test.wait, err, test.want)
		}
	}
}

func BenchmarkConcurrency(b *testing.B) {
	for name, h := range map[string]http.Handler{"plain": okHandler, "limited": mustConcurrency(b, 8, 8, time.Second).Wrap(okHandler)} {
		b.Run(name, func(b *testing.B) {
			s := &sender{handler: h, request: requestFrom("192.0.2.1:1"), header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				s.handler.ServeHTTP(s, s.request)
			}
		})
	}
}
