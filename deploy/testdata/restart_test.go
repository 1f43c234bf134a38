package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"
)

// A load is requests for predictions at a constant rate, whatever time the answers take.
type load struct {
	url     string
	users   []string
	wants   map[string]string // the answer for each user
	rate    int               // requests a second
	client  *http.Client
	waiting sync.WaitGroup

	mu      sync.Mutex
	answers int
	faults  []string
	slowest time.Duration
}

func newLoad(url string, users []string, wants map[string]string, rate int) *load {
	return &load{url: url, users: users, wants: wants, rate: rate, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000},
	}}
}

// run sends requests until ctx is done, and waits for their answers.
func (l *load) run(ctx context.Context, t *testing.T) {
	start := time.Now()
	for i := 0; ctx.Err() == nil; i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(l.rate))))
		l.waiting.Go(func() { l.ask(l.users[i%len(l.users)]) })
	}
	l.waiting.Wait()
	t.Logf("%d requests in %.1f s, %.0f a second; %d failed; the slowest took %v", l.answers, time.Since(start).Seconds(),
		float64(l.answers)/time.Since(start).Seconds(), len(l.faults), l.slowest.Round(time.Millisecond))
}

func (l *load) ask(user string) {
	start := time.Now()
	status, answer := predict(l.client, l.url, user)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	l.slowest = max(l.slowest, time.Since(start))
	if status != http.StatusOK || answer != l.wants[user] {
		l.faults = append(l.faults, fmt.Sprintf("%d %.200s, want 200 %s", status, answer, l.wants[user]))
	}
}

// TestProxy_rollingRestart: while each of three servers is stopped and started anew in
// turn, every request is answered, and right: as by one server that has read the orders.
// With BASKET_LONG=1 the rate is 1,000 requests a second, three times round.
func TestProxy_rollingRestart(t *testing.T) {
	rate, rounds := 200, 1
	if os.Getenv("BASKET_LONG") != "" {
		rate, rounds = 1000, 3
	}
	eachProxy(t, func(t *testing.T, start proxy) {
		f := newFleet(t)
		one := startServer(t)
		wants := map[string]string{}
		for _, user := range f.users {
			status, answer := predict(http.DefaultClient, one, user)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			wants[user] = answer
		}
		l := newLoad(start(t, f.addrs()), f.users, wants, rate)
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		defer running.Wait()
		defer end()
		running.Go(func() { l.run(ctx, t) })
		restarts := 0
		for range rounds {
			for _, r := range f.replicas {
				until(t, "the server takes part", func() bool { return r.predictions(t) > 0 })
				r.stop(t)
				r.start(t)
				restarts++
				until(t, "the new server takes part", func() bool { return r.predictions(t) > 0 })
			}
		}
		end()
		running.Wait()
		t.Logf("%d restarts", restarts)
		for _, fault := range l.faults[:min(len(l.faults), 10)] {
			t.Error(fault)
		}
		if l.answers == 0 {
			t.Error("no request was sent")
		}
	})
}
