package baskettest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// Faults are what a test can do to a store. Duties that need a function that is nil are
// not tested.
type Faults struct {
	// Close closes the store, or the client that it was given.
	Close func()

	// Down makes what the store works with unreachable, a server say, and Up reachable
	// again, with the rows that it had. Both return when that is so.
	Down, Up func()

	// Slow makes each answer to Row and Rows take at least d from now on; after Slow(0),
	// answers take as long as they did at first. It may be called while calls of the store
	// are under way.
	Slow func(d time.Duration)
}

// TestStoreFaults tests what a store does when it is closed, cannot reach its server or is
// slow. NewStore returns an empty store and what can be done to it, and is called once per
// subtest; for the rest see [TestStore], which does not test this.
func TestStoreFaults(t *testing.T, newStore func(t *testing.T) (Store, Faults)) {
	t.Helper()
	run(t, faultDuties, func(t *testing.T) faultyStore {
		s, f := newStore(t)
		if (f.Down == nil) != (f.Up == nil) {
			t.Fatal("Faults has one of Down and Up: want both or none")
		}
		return faultyStore{s, f}
	})
}

// A faultyStore is a store and what can be done to it.
type faultyStore struct {
	Store
	Faults
}

// slowness is how long a slow store takes: longer than the patience of a test.
const slowness = 3 * patience

// faultDuties are the duties of a store when something fails.
var faultDuties = []duty[faultyStore]{
	{"use after close", "After the store is closed, calls must return an error that wraps ErrUnavailable.", func(t *testing.T, s faultyStore) error {
		if s.Close == nil {
			t.Skip("nothing can be closed")
		}
		if err := put(t, s.Store, newRow("ann", 1, 1)); err != nil {
			return err
		}
		s.Close()
		for name, call := range s.calls("ann") {
			if err := promptly(name+" after the store was closed", basket.ErrUnavailable, func() error { return call(t.Context()) }); err != nil {
				return err
			}
		}
		return nil
	}},
	{"down", "While the server cannot be reached, calls must return an error that wraps ErrUnavailable or the context's, and never that a user is absent.", func(t *testing.T, s faultyStore) error {
		if s.Down == nil {
			t.Skip("nothing can be down")
		}
		if err := firstError(put(t, s.Store, newRow("ann", 1, 1)), has(t, s.Store, newRow("ann", 1, 1))); err != nil {
			return err
		}
		s.Down()
		defer s.Up()
		for range 3 { // not only the calls that notice it
			for name, call := range s.calls("ann") {
				if err := unreachable(t, name, call); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{"down and back", "When the server can be reached again, the store must work again by itself, with the rows stored before.", func(t *testing.T, s faultyStore) error {
		if s.Down == nil {
			t.Skip("nothing can be down")
		}
		if err := put(t, s.Store, newRow("ann", 1, 1), newRow("bob", 2, 2)); err != nil {
			return err
		}
		s.Down()
		for name, call := range s.calls("ann") { // so that the store notices it
			if err := unreachable(t, name, call); err != nil {
				s.Up()
				return err
			}
		}
		s.Up()
		if err := recovers(t, s, "bob"); err != nil {
			return err
		}
		// The calls that failed said so: they have stored and removed nothing.
		return firstError(has(t, s.Store, newRow("ann", 1, 1)), hasRows(t, s.Store, []string{"bob", "cat", "ann"}, newRow("bob", 2, 2), basket.Row{}, newRow("ann", 1, 1)),
			put(t, s.Store, newRow("ann", 3, 3)), has(t, s.Store, newRow("ann", 3, 3)))
	}},
	{"deadline of a slow store", "Row and Rows must return soon after the deadline of their context, or its cancellation, with an error that wraps the context's.", func(t *testing.T, s faultyStore) error {
		if s.Slow == nil {
			t.Skip("nothing can be slow")
		}
		if err := put(t, s.Store, newRow("ann", 1, 1)); err != nil {
			return err
		}
		s.Slow(slowness)
		defer s.Slow(0)
		for name, call := range s.reads("ann") {
			for want, begin := range endingContexts {
				ctx := begin(t)
				if err := promptly(name, want, func() error { return call(ctx) }); err != nil {
					return err
				}
			}
		}
		return nil
	}},
	{"late answers", "An answer that comes after its call has returned must not be that of another call.", func(t *testing.T, s faultyStore) error {
		if s.Slow == nil {
			t.Skip("nothing can be slow")
		}
		if err := put(t, s.Store, newRow("ann", 1, 1), newRow("bob", 2, 2)); err != nil {
			return err
		}
		s.Slow(200 * time.Millisecond)
		for range 3 {
			for _, call := range s.reads("ann") {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				_ = call(ctx) // if it succeeds, a machine was busy: the test of deadlines is another
				cancel()
			}
		}
		s.Slow(0)
		if err := recovers(t, s, "bob"); err != nil {
			return err
		}
		for range 5 {
			if err := firstError(has(t, s.Store, newRow("bob", 2, 2)), absent(t, s.Store, "cat"), has(t, s.Store, newRow("ann", 1, 1))); err != nil {
				return err
			}
		}
		return nil
	}},
}

// reads are the reading calls of a store by name.
func (s faultyStore) reads(userID string) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"Row": func(ctx context.Context) error { _, err := s.Store.Row(ctx, userID); return err },
	}
	if batch, ok := s.Store.(basket.BatchStore); ok {
		calls["Rows"] = func(ctx context.Context) error { _, err := batch.Rows(ctx, []string{userID, "cat"}); return err }
	}
	return calls
}

// calls are all calls of a store by name. Put puts a row of the user cat.
func (s faultyStore) calls(userID string) map[string]func(context.Context) error {
	calls := s.reads(userID)
	calls["Put"] = func(ctx context.Context) error { return s.Store.Put(ctx, []basket.Row{newRow("cat", 1, 1)}) }
	if deleter, ok := s.Store.(basket.Deleter); ok {
		calls["Delete"] = func(ctx context.Context) error { return deleter.Delete(ctx, []string{userID}) }
	}
	return calls
}

// unreachable returns nil if call fails as it must without a server.
func unreachable(t *testing.T, name string, call func(context.Context) error) error {
	name += " while the server could not be reached"
	ctx, cancel := context.WithTimeout(t.Context(), patience/10)
	defer cancel()
	return promptly(name, basket.ErrUnavailable, func() error {
		err := call(ctx)
		if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, basket.ErrUserNotFound) {
			return basket.ErrUnavailable // as good
		}
		if errors.Is(err, basket.ErrUserNotFound) {
			return violation("%s said that the user is absent: %v", name, err)
		}
		return err
	})
}

// recovers waits until each call has worked with a user who is in the store. The first
// ones may meet connections that were lost.
func recovers(t *testing.T, s faultyStore, userID string) error {
	for name, call := range s.reads(userID) {
		var err error
		for start := time.Now(); time.Since(start) < patience; time.Sleep(10 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err = call(ctx)
			cancel()
			if err == nil || errors.Is(err, basket.ErrUserNotFound) {
				break
			}
		}
		if err != nil {
			return violation("%s did not work again within %v: %w", name, patience, err)
		}
	}
	return nil
}

// endingContexts begin contexts that end soon, by the error that they end with.
var endingContexts = map[error]func(t *testing.T) context.Context{
	context.DeadlineExceeded: func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	},
	context.Canceled: func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		stop := time.AfterFunc(50*time.Millisecond, cancel)
		t.Cleanup(func() { stop.Stop(); cancel() })
		return ctx
	},
}
