package baskettest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/baskettest"
)

// A failingStore is a store in memory that can fail, and ignores its context while it is
// slow.
type failingStore struct {
	*basket.MemoryStore
	failed atomic.Bool
	delay  atomic.Int64
}

func (s *failingStore) faults() baskettest.Faults {
	return baskettest.Faults{
		Close: func() { s.failed.Store(true) },
		Down:  func() { s.failed.Store(true) },
		Up:    func() { s.failed.Store(false) },
		Slow:  func(d time.Duration) { s.delay.Store(int64(d)) },
	}
}

func (s *failingStore) check() error {
	time.Sleep(time.Duration(s.delay.Load()))
	if s.failed.Load() {
		return fmt.Errorf("failing store: %w", basket.ErrUnavailable)
	}
	return nil
}

func (s *failingStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	if err := s.check(); err != nil {
		return basket.Row{}, err
	}
	return s.MemoryStore.Row(ctx, userID)
}

func (s *failingStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return s.MemoryStore.Rows(ctx, userIDs)
}

func (s *failingStore) Put(ctx context.Context, rows []basket.Row) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.MemoryStore.Put(ctx, rows)
}

func (s *failingStore) Delete(ctx context.Context, userIDs []string) error {
	if err := s.check(); err != nil {
		return err
	}
	return s.MemoryStore.Delete(ctx, userIDs)
}

// A lockedWriter makes a writer safe for concurrent use.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return lines(string(text))
}
