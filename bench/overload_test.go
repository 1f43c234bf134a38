package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/basket-go/basket/serve"
)

// TestOffer: refusals are outcomes, other failures are errors.
func TestOffer(t *testing.T) {
	var n atomic.Int64
	address := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%4 == 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		bareHandler("}").ServeHTTP(w, r)
	}))
	outcomes, took, err := offer(t.Context(), address, 4, 200, time.Second, predictRequests(address, []string{"a"}, ""))
	if err != nil || len(outcomes) != 200 || took < 995*time.Millisecond { // when the last is due
		t.Fatalf("%d outcomes in %v, %v", len(outcomes), took, err)
	}
	statuses := map[int]int{}
	for _, o := range outcomes {
		statuses[o.status]++
		if o.sinceSent <= 0 || o.sinceDue < o.sinceSent {
			t.Fatalf("outcome %+v: want times that include each other", o)
		}
	}
	if statuses[200] != 150 || statuses[503] != 50 {
		t.Errorf("statuses %v, want 150 of 200 and 50 of 503", statuses)
	}
	for _, handler := range []http.HandlerFunc{
		http.NotFound,
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, // no Retry-After
		func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			fmt.Fprint(w, "chunk")
		},
	} {
		address := startServer(t, handler)
		if _, _, err := offer(t.Context(), address, 1, 10, time.Second, predictRequests(address, []string{"a"}, "")); err == nil {
			t.Error("an answer that is neither: no error")
		}
	}
}

// TestRecoveryTime waits until a server refuses no more.
func TestRecoveryTime(t *testing.T) {
	limit, err := serve.NewConcurrency(overloadSlots/2, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var full atomic.Int64 // requests until the limit is gone
	full.Store(100)
	plain := bareHandler("}")
	limited := limit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond)
		plain.ServeHTTP(w, r)
	}))
	address := startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if full.Add(-1) > 0 {
			limited.ServeHTTP(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	}))
	took, err := recoveryTime(t.Context(), address, 10, predictRequests(address, []string{"a"}, ""))
	if err != nil || took <= 0 || full.Load() > 0 {
		t.Errorf("%v, %v; %d requests too early", took, err, full.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := recoveryTime(ctx, address, 10, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
