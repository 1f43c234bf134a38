package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/basket-go/basket"
	"github.com/sony/gobreaker/v2"
)

// A Breaker spares a store that fails: while it is open, calls fail at once, with an
// error that wraps basket.ErrUnavailable. It opens after some failures in a row, or if at
// least half of 20 or more calls within ten seconds fail. After a while it lets a single
// call through, and closes if that one does not fail.
//
// Only what says that the store cannot be read is a failure: not an unknown user, nor a
// call that the caller has canceled. Deletions are always let through, and do not count.
type Breaker struct {
	inner   basket.Store
	open    time.Duration
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
}

// BreakerSettings are those of a [Breaker].
type BreakerSettings struct {
	Failures int           // in a row, after which it opens; 5 if it is 0
	Open     time.Duration // how long it is open before it asks the store again; 500 ms if it is 0

	// OnChange, if it is not nil, is called when the state changes, see State. The calls
	// do not overlap. Calls of the store wait for it, so it must not make any, nor ask
	// for the state.
	OnChange func(from, to string)
}

// The outcomes of a call that are not successes.
var (
	errDown     = errors.New("down")
	errCanceled = errors.New("canceled")
)

// NewBreaker returns a closed Breaker for a store.
func NewBreaker(s basket.Store, set BreakerSettings) *Breaker {
	if set.Failures <= 0 {
		set.Failures = 5
	}
	if set.Open <= 0 {
		set.Open = 500 * time.Millisecond
	}
	settings := gobreaker.Settings{
		MaxRequests: 1, // while it is half open
		Interval:    10 * time.Second,
		Timeout:     set.Open,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return int64(c.ConsecutiveFailures) >= int64(set.Failures) || c.Requests >= 20 && 2*c.TotalFailures >= c.Requests
		},
		IsExcluded: func(err error) bool { return err == errCanceled },
	}
	if set.OnChange != nil {
		settings.OnStateChange = func(_ string, from, to gobreaker.State) { set.OnChange(from.String(), to.String()) }
	}
	return &Breaker{inner: s, open: set.Open, circuit: gobreaker.NewTwoStepCircuitBreaker[struct{}](settings)}
}

// Store returns the store with the breaker.
func (b *Breaker) Store() basket.Store { return like(b.inner, brokenStore{b}) }

// State returns "closed", "open" or "half-open", which is after the time of being open,
// until a call has succeeded or failed.
func (b *Breaker) State() string { return b.circuit.State().String() }

// do calls f, if the breaker lets it.
func (b *Breaker) do(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done, err := b.circuit.Allow()
	if err != nil {
		return fmt.Errorf("basket: %w: the store has failed, and is asked again every %v", basket.ErrUnavailable, b.open)
	}
	outcome := errDown // of a panic, too
	defer func() { done(outcome) }()
	err = f()
	switch {
	case isCanceled(ctx, err):
		outcome = errCanceled
	case !isDown(ctx, err):
		outcome = nil
	}
	return err
}

// A brokenStore is the store of a Breaker.
type brokenStore struct{ b *Breaker }

func (s brokenStore) Features() []string { return s.b.inner.Features() }

func (s brokenStore) Row(ctx context.Context, userID string) (row basket.Row, err error) {
	err = s.b.do(ctx, func() error {
		row, err = s.b.inner.Row(ctx, userID)
		return err
	})
	return row, err
}

func (s brokenStore) Rows(ctx context.Context, userIDs []string) (rows []basket.Row, err error) {
	err = s.b.do(ctx, func() error {
		rows, err = s.b.inner.(basket.BatchStore).Rows(ctx, userIDs)
		return err
	})
	return rows, err
}

func (s brokenStore) Delete(ctx context.Context, userIDs []string) error {
	return s.b.inner.(basket.Deleter).Delete(ctx, userIDs)
}
