package outage_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/baskettest"
	"github.com/basket-go/basket/cmd/basket/internal/outage"
)

// A failingStore is a store in memory that fails as told.
type failingStore struct {
	*basket.MemoryStore
	fault atomic.Pointer[error]
	delay atomic.Int64 // of an answer; it heeds no context
	asked atomic.Int64
}

func newStore(t testing.TB, userIDs ...string) *failingStore {
	t.Helper()
	var rows []basket.Row
	for i, id := range userIDs {
		rows = append(rows, newRow(id, i))
	}
	s, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		t.Fatal(err)
	}
	return &failingStore{MemoryStore: s}
}

func newRow(userID string, second int) basket.Row {
	return basket.Row{UserID: userID, OrderedAt: time.Unix(int64(second), 0).UTC(), Number: 1, Values: []float64{float64(second), 2, 3, 4}}
}

func (s *failingStore) fail(err error) {
	if err == nil {
		s.fault.Store(nil)
	} else {
		s.fault.Store(&err)
	}
}

func (s *failingStore) outcome() error {
	s.asked.Add(1)
	time.Sleep(time.Duration(s.delay.Load()))
	if err := s.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *failingStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	if err := s.outcome(); err != nil {
		return basket.Row{}, err
	}
	return s.MemoryStore.Row(ctx, userID)
}

func (s *failingStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	if err := s.outcome(); err != nil {
		return nil, err
	}
	return s.MemoryStore.Rows(ctx, userIDs)
}

var errRefused = errors.New("dial tcp 127.0.0.1:6379: connection refused")

func mustCache(t testing.TB, s basket.Store, size int, maxAge time.Duration) *outage.Cache {
	t.Helper()
	c, err := outage.NewCache(s, size, maxAge)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// written is a wrapped store with the Put of the store inside.
type written struct {
	basket.BatchStore
	basket.Deleter
	memory *basket.MemoryStore
}

func (s written) Put(ctx context.Context, rows []basket.Row) error { return s.memory.Put(ctx, rows) }

// TestStore: a wrapped store has the duties of a store.
func TestStore(t *testing.T) {
	wrappers := map[string]func(*testing.T, basket.Store) basket.Store{
		"breaker": func(_ *testing.T, s basket.Store) basket.Store {
			return outage.NewBreaker(s, outage.BreakerSettings{}).Store()
		},
		"cache": func(t *testing.T, s basket.Store) basket.Store { return mustCache(t, s, 100, time.Minute).Store() },
		"both": func(t *testing.T, s basket.Store) basket.Store {
			return mustCache(t, outage.NewBreaker(s, outage.BreakerSettings{}).Store(), 100, time.Minute).Store()
		},
	}
	for name, wrap := range wrappers {
		t.Run(name, func(t *testing.T) {
			baskettest.TestStore(t, func(t *testing.T) baskettest.Store {
				memory := newStore(t).MemoryStore
				s := wrap(t, memory)
				return written{s.(basket.BatchStore), s.(basket.Deleter), memory}
			})
		})
	}
}

// TestStore_interfaces: a wrapper is a BatchStore or a Deleter if the store is.
func TestStore_interfaces(t *testing.T) {
	m := newStore(t)
	for _, inner := range []basket.Store{
		struct{ basket.Store }{m}, struct{ basket.BatchStore }{m}, m,
		struct {
			basket.Store
			basket.Deleter
		}{m, m},
	} {
		_, wantBatch := inner.(basket.BatchStore)
		_, wantDeleter := inner.(basket.Deleter)
		for _, s := range []basket.Store{outage.NewBreaker(inner, outage.BreakerSettings{}).Store(), mustCache(t, inner, 1, time.Second).Store()} {
			_, isBatch := s.(basket.BatchStore)
			_, isDeleter := s.(basket.Deleter)
			if isBatch != wantBatch || isDeleter != wantDeleter {
				t.Errorf("%T: BatchStore %v, Deleter %v, want %v, %v", inner, isBatch, isDeleter, wantBatch, wantDeleter)
			}
		}
	}
}

// TestOutage is the whole of it, under load: the store is stopped for ten seconds, and
// then answers after five. No call takes longer than the time limit, the last rows are
// served, the store is spared, and half a second after it is back all answers are its own.
func TestOutage(t *testing.T) {
	const limit = 250 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		users := []string{"ann", "bob", "cat"}
		store := newStore(t, users...)
		inner, err := basket.LimitStore(store, limit)
		if err != nil {
			t.Fatal(err)
		}
		breaker := outage.NewBreaker(inner, outage.BreakerSettings{})
		cache := mustCache(t, breaker.Store(), 100, time.Minute)

		var phase atomic.Pointer[string] // what each answer must be
		set := func(s string) { phase.Store(&s) }
		var answers sync.Map // of phase and age: *atomic.Int64
		count := func(p, kind string) *atomic.Int64 {
			n, _ := answers.LoadOrStore(p+", "+kind, new(atomic.Int64))
			return n.(*atomic.Int64)
		}
		set("up")
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		for i := range 20 {
			load.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				for n := 0; ctx.Err() == nil; n++ {
					p, start := *phase.Load(), time.Now()
					row, err := cache.Store().Row(context.Background(), users[n%len(users)])
					if took := time.Since(start); took > limit {
						t.Errorf("%s: a call took %v", p, took)
					}
					switch {
					case err != nil:
						count(p, "error").Add(1)
					case row.Age > 0:
						count(p, "last known").Add(1)
					default:
						count(p, "own").Add(1)
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second + 500*time.Microsecond) // calls begin and end with a millisecond: none while the phase changes
		asked := store.asked.Load()
		set("stopped")
		store.fail(errRefused)
		time.Sleep(10 * time.Second)
		if n := store.asked.Load() - asked; n > 5+20+10*2 {
			t.Errorf("the store was asked %d times while it was stopped", n)
		}
		if s := breaker.State(); s != "open" && s != "half-open" {
			t.Errorf("state %q while the store is stopped", s)
		}
		asked = store.asked.Load()
		set("slow")
		store.delay.Store(int64(5 * time.Second))
		store.fail(nil)
		time.Sleep(10 * time.Second)
		if n := store.asked.Load() - asked; n > 20 {
			t.Errorf("the store was asked %d times while it was slow", n)
		}
		store.delay.Store(0)
		set("coming back")
		time.Sleep(800 * time.Millisecond)
		set("back")
		time.Sleep(2 * time.Second)
		if s := breaker.State(); s != "closed" {
			t.Errorf("state %q after the store is back", s)
		}
		stop()
		load.Wait()
		time.Sleep(5 * time.Second) // the last slow call ends
		for _, p := range []string{"up", "back"} {
			if count(p, "own").Load() == 0 || count(p, "last known").Load() != 0 {
				t.Errorf("%s: %d own rows and %d last known ones", p, count(p, "own").Load(), count(p, "last known").Load())
			}
		}
		for _, p := range []string{"stopped", "slow"} {
			if count(p, "last known").Load() < 4000 {
				t.Errorf("%s: only %d last known rows", p, count(p, "last known").Load())
			}
		}
		for _, p := range []string{"up", "stopped", "slow", "coming back", "back"} {
			if n := count(p, "error").Load(); n != 0 {
				t.Errorf("%s: %d errors", p, n)
			}
		}
	}) // which fails if a goroutine is left
}

// TestOutage_ConcurrentSafe reads, fails and deletes at once.
func TestOutage_ConcurrentSafe(t *testing.T) {
	store := newStore(t, "ann")
	breaker := outage.NewBreaker(store, outage.BreakerSettings{Open: time.Nanosecond})
	cache := mustCache(t, breaker.Store(), 10, time.Minute)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := fmt.Sprint("user-", i)
			for n := range 50 {
				if err := store.Put(t.Context(), []basket.Row{newRow(own, n)}); err != nil {
					t.Error(err)
				}
				row, err := cache.Store().Row(t.Context(), own)
				if err == nil && row.Age == 0 && row.Values[0] != float64(n) {
					t.Errorf("row %v of second %d", row, n)
				}
				if n%20 == i {
					store.fail(errRefused)
				}
				_, _ = cache.Store().(basket.BatchStore).Rows(t.Context(), []string{"ann", own})
				store.fail(nil)
				if err := cache.Store().(basket.Deleter).Delete(t.Context(), []string{own}); err != nil {
					t.Error(err)
				}
				if row, err := cache.Store().Row(t.Context(), own); err == nil {
					t.Errorf("a deleted user has the row %v", row)
				}
			}
		})
	}
	wg.Wait()
}
