package outage_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/cmd/basket/internal/outage"
)

// TestCache: the last row, with the time since it was read, and only while the store
// cannot be read.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, "ann", "bob")
		c := mustCache(t, store, 10, time.Minute)
		ask := func(userID string, second float64, age time.Duration, wantErr error) {
			t.Helper()
			row, err := c.Store().Row(t.Context(), userID)
			if !errors.Is(err, wantErr) || row.Age != age || err == nil && (row.Values[0] != second || row.UserID != userID) {
				t.Errorf("Row of %s: %v, %v, want second %v of age %v, %v", userID, row, err, second, age, wantErr)
			}
		}
		ask("ann", 0, 0, nil)
		time.Sleep(10 * time.Second)
		store.fail(errRefused)
		ask("ann", 0, 10*time.Second, nil)
		ask("bob", 0, 0, errRefused) // never read
		store.fail(nil)
		ask("ann", 0, 0, nil)
		store.fail(errRefused)
		ask("ann", 0, 1, nil) // just read
		time.Sleep(time.Minute)
		ask("ann", 0, time.Minute, nil)
		time.Sleep(time.Nanosecond)
		ask("ann", 0, 0, errRefused) // too long ago
		if c.Served() != 3 {
			t.Errorf("served %d, want 3", c.Served())
		}

		store.fail(nil)
		if err := store.Put(t.Context(), []basket.Row{newRow("ann", 7)}); err != nil {
			t.Fatal(err)
		}
		ask("ann", 7, 0, nil)
		store.fail(fmt.Errorf("my store: %w", basket.ErrUserNotFound))
		ask("ann", 0, 0, basket.ErrUserNotFound) // forgotten
		store.fail(errRefused)
		ask("ann", 0, 0, errRefused)
	})
}

// TestCache_errors: other errors than those of an outage are not hidden.
func TestCache_errors(t *testing.T) {
	store := newStore(t, "ann")
	c := mustCache(t, store, 10, time.Minute)
	if _, err := c.Store().Row(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	store.fail(basket.ErrData)
	if _, err := c.Store().Row(t.Context(), "ann"); !errors.Is(err, basket.ErrData) {
		t.Errorf("a bad row: %v", err)
	}
	store.fail(context.Canceled)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Store().Row(ctx, "ann"); !errors.Is(err, context.Canceled) {
		t.Errorf("a canceled call: %v", err)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	store.fail(context.DeadlineExceeded)
	if _, err := c.Store().Row(late, "ann"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call after its time: %v", err)
	}
	if _, err := c.Store().(basket.BatchStore).Rows(late, []string{"ann"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a batch after its time: %v", err)
	}
	if c.Served() != 0 {
		t.Errorf("served %d", c.Served())
	}
	for _, bad := range []func() (*outage.Cache, error){
		func() (*outage.Cache, error) { return outage.NewCache(store, 0, time.Second) },
		func() (*outage.Cache, error) { return outage.NewCache(store, 1, 0) },
	} {
		if c, err := bad(); !errors.Is(err, basket.ErrInvalidConfig) || c != nil {
			t.Errorf("NewCache: %v", err)
		}
	}
}

// TestCache_batch: users who are not known have the error of the store, and none is told
// to be absent.
func TestCache_batch(t *testing.T) {
	store := newStore(t, "ann", "bob", "cat")
	c := mustCache(t, store, 10, time.Minute)
	rows := c.Store().(basket.BatchStore).Rows
	if got, err := rows(t.Context(), []string{"ann", "nobody", "bob"}); err != nil || got[0].Values == nil || got[1].Values != nil {
		t.Fatalf("Rows: %v, %v", got, err)
	}
	store.fail(errRefused)
	got, err := rows(t.Context(), []string{"bob", "ann", "bob"})
	if err != nil || len(got) != 3 || got[0].UserID != "bob" || got[1].UserID != "ann" || got[2].Values[0] != 1 || got[0].Age == 0 {
		t.Errorf("known users: %v, %v", got, err)
	}
	got, err = rows(t.Context(), []string{"ann", "cat", "nobody"})
	if !errors.Is(err, errRefused) || len(got) != 3 || got[0].Values == nil || got[1].Values != nil || got[2].Values != nil {
		t.Errorf("unknown users: %v, %v", got, err)
	}
	p, err := basket.New(basket.WithStore(c.Store()), basket.WithModel(sum{}))
	if err != nil {
		t.Fatal(err)
	}
	results := p.PredictBatch(t.Context(), []string{"ann", "cat"})
	if results[0].Err != nil || results[0].Row.Age == 0 || !errors.Is(results[1].Err, basket.ErrUnavailable) {
		t.Errorf("results %v", results)
	}
}

// sum is a model that adds the features.
type sum struct{}

func (sum) Features() []string { return basket.FeatureNames() }

func (sum) Predict(_ context.Context, dst, rows []float64) error {
	for i := range dst {
		for _, v := range rows[4*i:][:4] {
			dst[i] += v
		}
	}
	return nil
}

// A pausingStore waits in Row after it has read, until it may go on.
type pausingStore struct {
	*failingStore
	read, goOn chan struct{}
}

func (s pausingStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	row, err := s.failingStore.Row(ctx, userID)
	if userID == "ann" {
		s.read <- struct{}{}
		<-s.goOn
	}
	return row, err
}

// TestCache_delete: a user who is deleted is in the cache no more, also if the deletion
// fails, and also if a call had read the row before.
func TestCache_delete(t *testing.T) {
	store := newStore(t, "ann", "bob")
	paused := pausingStore{store, make(chan struct{}), make(chan struct{})}
	c := mustCache(t, paused, 10, time.Minute)
	done := make(chan error)
	go func() {
		_, err := c.Store().Row(t.Context(), "ann")
		done <- err
	}()
	<-paused.read
	if err := c.Store().(basket.Deleter).Delete(t.Context(), []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	paused.goOn <- struct{}{}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if c.Len() != 0 {
		t.Error("a row that was read before the deletion was kept after it")
	}
	if _, err := c.Store().Row(t.Context(), "bob"); err != nil || c.Len() != 1 {
		t.Fatalf("%d rows, %v", c.Len(), err)
	}
	failing := mustCache(t, failingDeleter{store}, 10, time.Minute)
	if _, err := failing.Store().Row(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	if err := failing.Store().(basket.Deleter).Delete(t.Context(), []string{"bob"}); !errors.Is(err, errRefused) || failing.Len() != 0 {
		t.Errorf("a deletion that fails: %v, %d rows left", err, failing.Len())
	}
}

// TestCache_order: a row that was read earlier does not replace one that was read later.
func TestCache_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, "ann")
		paused := pausingStore{store, make(chan struct{}), make(chan struct{})}
		c := mustCache(t, paused, 10, time.Minute)
		done := make(chan error)
		go func() {
			_, err := c.Store().Row(t.Context(), "ann")
			done <- err
		}()
		<-paused.read
		time.Sleep(time.Second)
		if err := store.Put(t.Context(), []basket.Row{newRow("ann", 7)}); err != nil {
			t.Fatal(err)
		}
		rows := c.Store().(basket.BatchStore).Rows
		if _, err := rows(t.Context(), []string{"ann"}); err != nil {
			t.Fatal(err)
		}
		paused.goOn <- struct{}{}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		store.fail(errRefused)
		if got, err := rows(t.Context(), []string{"ann"}); err != nil || got[0].Values[0] != 7 {
			t.Errorf("the last row: %v, %v, want that of second 7", got, err)
		}
	})
}

type failingDeleter struct{ *failingStore }

func (failingDeleter) Delete(context.Context, []string) error { return errRefused }

// TestCache_bounded: no more rows than its size, and rows of its own memory.
func TestCache_bounded(t *testing.T) {
	store := newStore(t)
	c := mustCache(t, store, 50, time.Minute)
	for i := range 2000 {
		row := newRow(fmt.Sprint("user-", i), i)
		row.Values[1] = math.NaN()
		if err := store.Put(t.Context(), []basket.Row{row}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := c.Store().Row(t.Context(), row.UserID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := c.Len(); n < 25 || n > 50 {
		t.Errorf("%d rows, want about 50", n)
	}
}

// BenchmarkCache_Row is the cost of a read whose row the cache has already.
func BenchmarkCache_Row(b *testing.B) {
	store := newStore(b, "ann")
	s := mustCache(b, outage.NewBreaker(store.MemoryStore, outage.BreakerSettings{}).Store(), 100, time.Minute).Store()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Row(b.Context(), "ann"); err != nil {
			b.Fatal(err)
		}
	}
}
