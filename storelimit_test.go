package basket_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
)

// A stuckStore ignores its context: a call returns when free is closed.
type stuckStore struct {
	*basket.MemoryStore
	free chan struct{}
}

func (s stuckStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	<-s.free
	return s.MemoryStore.Row(context.WithoutCancel(ctx), userID)
}

func (s stuckStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	<-s.free
	return s.MemoryStore.Rows(context.WithoutCancel(ctx), userIDs)
}

func mustLimit(t *testing.T, s basket.Store, d time.Duration) basket.BatchStore {
	t.Helper()
	limited, err := basket.LimitStore(s, d)
	if err != nil {
		t.Fatal(err)
	}
	batch, ok := limited.(basket.BatchStore)
	if !ok {
		t.Fatalf("%T is no BatchStore", limited)
	}
	return batch
}

// TestLimitStore_stuck: a store that ignores its context does not hold the caller,
// and calls that never end do not pile up.
func TestLimitStore_stuck(t *testing.T) {
	memory := mustStore(t, row("ann", 1, 1))
	synctest.Test(t, func(t *testing.T) {
		stuck := stuckStore{memory, make(chan struct{})}
		s := mustLimit(t, stuck, time.Second)
		start := time.Now()
		if _, err := s.Row(t.Context(), "ann"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Row: %v after %v", err, time.Since(start))
		}
		if _, err := s.Rows(t.Context(), []string{"ann"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("Rows: %v after %v", err, time.Since(start))
		}
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range 998 {
			if _, err := s.Row(short, "ann"); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("the caller's own limit: %v", err)
			}
		}
		if _, err := s.Row(t.Context(), "ann"); !errors.Is(err, basket.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Row while 1,000 calls are under way: %v, want ErrUnavailable at once", err)
		}
		close(stuck.free)
		synctest.Wait()
		if got, err := s.Row(t.Context(), "ann"); err != nil || got.Values[0] != 1 {
			t.Errorf("Row after the store works again: %v, %v", got, err)
		}
	})
}

// A panickyStore panics.
type panickyStore struct{ *basket.MemoryStore }

func (panickyStore) Row(context.Context, string) (basket.Row, error) { panic("broken") }

// TestLimitStore_panic: a panic of the store is one of the caller, not the end of the
// process.
func TestLimitStore_panic(t *testing.T) {
	s := mustLimit(t, panickyStore{mustStore(t)}, time.Minute)
	defer func() {
		if r := recover(); r != "broken" {
			t.Errorf("panic %v", r)
		}
	}()
	_, err := s.Row(t.Context(), "ann")
	t.Errorf("Row returned %v, want a panic", err)
}

// TestLimitStore_keepsInterfaces: what a store can do besides, the limited one can.
func TestLimitStore_keepsInterfaces(t *testing.T) {
	memory := mustStore(t)
	type deleter interface {
		basket.Store
		basket.Deleter
	}
	for name, test := range map[string]struct {
		store          basket.Store
		batch, deletes bool
	}{
		"neither": {struct{ basket.Store }{memory}, false, false},
		"batch":   {struct{ basket.BatchStore }{memory}, true, false},
		"deleter": {struct{ deleter }{memory}, false, true},
		"both":    {stuckStore{MemoryStore: memory}, true, true},
	} {
		s, err := basket.LimitStore(test.store, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_, batch := s.(basket.BatchStore)
		_, deletes := s.(basket.Deleter)
		if batch != test.batch || deletes != test.deletes {
			t.Errorf("%s: BatchStore %t, Deleter %t", name, batch, deletes)
		}
	}
	if s, err := basket.LimitStore(memory, time.Second); err != nil || s != basket.Store(memory) {
		t.Errorf("a MemoryStore became %T, %v", s, err)
	}
	for _, d := range []time.Duration{0, -1} {
		if _, err := basket.LimitStore(memory, d); !errors.Is(err, basket.ErrInvalidConfig) {
			t.Errorf("limit %v: %v, want ErrInvalidConfig", d, err)
		}
	}
}

// BenchmarkLimitStore is the cost of the limit.
func BenchmarkLimitStore(b *testing.B) {
	memory := mustStore(b, row("ann", 1, 1))
	s, err := basket.LimitStore(struct{ basket.Store }{memory}, time.Second)
	if err != nil {
		b.Fatal(err)
	}
	for name, s := range map[string]basket.Store{"plain": memory, "limited": s} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Row(b.Context(), "ann"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
