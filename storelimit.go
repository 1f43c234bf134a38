package basket

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// maxAbandoned is how many calls of a store may be under way that nobody waits for
// any more.
const maxAbandoned = 1000

// LimitStore returns s with a time limit: Row and Rows return at the latest after d,
// with an error that wraps context.DeadlineExceeded, even if s ignores its context.
// The result is a [BatchStore] or a [Deleter] if s is; Delete has no time limit. It is
// safe for concurrent use.
//
// A call runs in a goroutine of its own, which costs a few microseconds. One that
// is late goes on by itself; while 1,000 of these have not ended, further calls fail
// at once, so that a store that never answers does not fill the memory. A
// [MemoryStore], which waits for nothing, is returned as it is. A limit that is not
// positive is an ErrInvalidConfig.
func LimitStore(s Store, d time.Duration) (Store, error) {
	if d <= 0 {
		return nil, fmt.Errorf("basket: %w: time limit of the store %v: want a positive time", ErrInvalidConfig, d)
	}
	if m, ok := s.(*MemoryStore); ok {
		return m, nil
	}
	one := &limitedStore{store: s, limit: d}
	batch, isBatch := s.(BatchStore)
	deleter, isDeleter := s.(Deleter)
	many := &limitedBatchStore{one, batch}
	switch {
	case isBatch && isDeleter:
		return struct {
			*limitedBatchStore
			Deleter
		}{many, deleter}, nil
	case isBatch:
		return many, nil
	case isDeleter:
		return struct {
			*limitedStore
			Deleter
		}{one, deleter}, nil
	}
	return one, nil
}

type limitedStore struct {
	store     Store
	limit     time.Duration
	abandoned atomic.Int64
}

type limitedBatchStore struct {
	*limitedStore
	batch BatchStore
}

func (l *limitedStore) Features() []string { return l.store.Features() }

func (l *limitedStore) Row(ctx context.Context, userID string) (Row, error) {
	return limited(ctx, l, func(ctx context.Context) (Row, error) { return l.store.Row(ctx, userID) })
}

func (l *limitedBatchStore) Rows(ctx context.Context, userIDs []string) ([]Row, error) {
	userIDs = slices.Clone(userIDs) // a late call still reads them when the caller may change them
	return limited(ctx, l.limitedStore, func(ctx context.Context) ([]Row, error) { return l.batch.Rows(ctx, userIDs) })
}

// limited returns what call returns, or the context's error. A panic of call is one
// of limited, unless nobody waits for it.
func limited[T any](ctx context.Context, l *limitedStore, call func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		result   T
		err      error
		panicked any
	}
	var none T
	if l.abandoned.Load() >= maxAbandoned {
		return none, fmt.Errorf("basket: %w: %d calls of the store that took over %v have not ended", ErrUnavailable, maxAbandoned, l.limit)
	}
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	done := make(chan outcome, 1)
	var left atomic.Bool // set by the first of: call has ended, nobody waits
	go func() {
		o := outcome{panicked: "the store ended the goroutine"} // by runtime.Goexit
		defer func() {
			if r := recover(); r != nil {
				o.panicked = r
			}
			done <- o
			if left.Swap(true) {
				l.abandoned.Add(-1)
			}
		}()
		o.result, o.err = call(ctx)
		o.panicked = nil
	}()
	select {
	case o := <-done:
		if o.panicked != nil {
			panic(o.panicked)
		}
		return o.result, o.err
	case <-ctx.Done():
		l.abandoned.Add(1)
		if left.Swap(true) {
			l.abandoned.Add(-1)
		}
		return none, fmt.Errorf("basket: the store did not answer in time: %w", ctx.Err())
	}
}
