package outage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/cmd/basket/internal/outage"
	"github.com/google/go-cmp/cmp"
)

// TestBreaker: it opens after failures in a row, lets one call through after a while, and
// closes if that succeeds.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, "ann")
		var changes []string
		b := outage.NewBreaker(store, outage.BreakerSettings{Failures: 3, Open: time.Second, OnChange: func(from, to string) {
			changes = append(changes, from+" to "+to)
		}})
		ask := func(want error, asked int64) {
			t.Helper()
			before := store.asked.Load()
			_, err := b.Store().Row(t.Context(), "ann")
			if !errors.Is(err, want) || store.asked.Load()-before != asked {
				t.Errorf("Row: %v, and the store was asked %d times: want %v, %d", err, store.asked.Load()-before, want, asked)
			}
		}
		ask(nil, 1)
		store.fail(errRefused)
		for range 3 {
			ask(errRefused, 1)
		}
		ask(basket.ErrUnavailable, 0)
		if _, err := b.Store().(basket.BatchStore).Rows(t.Context(), []string{"ann"}); !errors.Is(err, basket.ErrUnavailable) || errors.Is(err, errRefused) {
			t.Errorf("Rows while it is open: %v", err)
		}
		time.Sleep(time.Second + 1)
		ask(errRefused, 1)
		ask(basket.ErrUnavailable, 0)
		store.fail(nil)
		ask(basket.ErrUnavailable, 0)
		time.Sleep(time.Second + 1)
		ask(nil, 1)
		ask(nil, 1)
		want := []string{"closed to open", "open to half-open", "half-open to open", "open to half-open", "half-open to closed"}
		if diff := cmp.Diff(want, changes); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

// TestBreaker_failures is the table of what counts as a failure.
func TestBreaker_failures(t *testing.T) {
	tests := []struct {
		name  string
		fault error
		opens bool
	}{
		{"connection refused", errRefused, true},
		{"unavailable", fmt.Errorf("my store: %w", basket.ErrUnavailable), true},
		{"too slow", fmt.Errorf("my store: %w", context.DeadlineExceeded), true},
		{"canceled by the store", fmt.Errorf("my store: %w", context.Canceled), true},
		{"unknown user", fmt.Errorf("my store: %w", basket.ErrUserNotFound), false},
		{"a bad row", fmt.Errorf("my store: %w", basket.ErrData), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := newStore(t, "ann")
			store.fail(test.fault)
			b := outage.NewBreaker(store, outage.BreakerSettings{})
			for range 30 {
				_, _ = b.Store().Row(t.Context(), "ann")
			}
			if opened := b.State() == "open"; opened != test.opens {
				t.Errorf("state %s", b.State())
			}
		})
	}
}

// TestBreaker_half: it opens if half of the calls fail, though never in a row.
func TestBreaker_half(t *testing.T) {
	store := newStore(t, "ann")
	b := outage.NewBreaker(store, outage.BreakerSettings{})
	for i := range 19 {
		store.fail([]error{nil, errRefused}[i%2])
		_, _ = b.Store().Row(t.Context(), "ann")
	}
	if b.State() != "closed" {
		t.Errorf("state %s after 19 calls, want closed", b.State())
	}
	_, _ = b.Store().Row(t.Context(), "ann")
	store.fail(errRefused)
	_, _ = b.Store().Row(t.Context(), "ann")
	_, _ = b.Store().Row(t.Context(), "ann")
	if b.State() != "open" {
		t.Errorf("state %s after 22 calls, want open", b.State())
	}
}

// A canceledStore waits until its caller is gone.
type canceledStore struct{ basket.Store }

func (canceledStore) Row(ctx context.Context, _ string) (basket.Row, error) {
	<-ctx.Done()
	return basket.Row{}, ctx.Err()
}

// TestBreaker_canceled: clients that close their connections do not open it.
func TestBreaker_canceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := outage.NewBreaker(canceledStore{newStore(t)}, outage.BreakerSettings{})
		for range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, err := b.Store().Row(ctx, "ann"); !errors.Is(err, context.Canceled) {
				t.Errorf("Row: %v", err)
			}
		}
		if b.State() != "closed" {
			t.Errorf("state %s, want closed", b.State())
		}
		for range 5 { // but a time limit does
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, _ = b.Store().Row(ctx, "ann")
			cancel()
		}
		if b.State() != "open" {
			t.Errorf("state %s, want open", b.State())
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, _ = b.Store().Row(ctx, "ann")
		if b.State() != "half-open" {
			t.Errorf("state %s after a canceled call, which tells nothing, want half-open", b.State())
		}
	})
}

// A panickyStore panics.
type panickyStore struct{ basket.Store }

func (panickyStore) Row(context.Context, string) (basket.Row, error) { panic("broken") }

// TestBreaker_panic: a panic is a failure, and remains one of the caller.
func TestBreaker_panic(t *testing.T) {
	b := outage.NewBreaker(panickyStore{newStore(t)}, outage.BreakerSettings{Failures: 1})
	func() {
		defer func() {
			if r := recover(); r != "broken" {
				t.Errorf("recovered %v, want the store's panic", r)
			}
		}()
		_, _ = b.Store().Row(t.Context(), "ann")
	}()
	if b.State() != "open" {
		t.Errorf("state %s, want open", b.State())
	}
}
