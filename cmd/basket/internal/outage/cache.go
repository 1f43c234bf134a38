package outage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/maypok86/otter/v2"
)

// A Cache keeps the rows that were read last, and returns them if the store cannot be
// read. A row from it has its Age, the time since it was read. It never answers before
// the store has been asked, nor for a user whom the store does not know, and forgets
// users who are deleted through it or not found.
//
// If only some of the users of a batch are known, Rows returns their rows and the error
// of the store, as a basket.BatchStore may.
type Cache struct {
	inner     basket.Store
	rows      *otter.Cache[string, *known]
	maxAge    time.Duration
	start     time.Time     // from which times are counted
	deletions atomic.Uint64 // calls of Delete that have ended
	served    atomic.Int64
}

// known is a row that was read.
type known struct {
	row    basket.Row
	readAt atomic.Int64 // when the call that read it began, in nanoseconds since start
}

// NewCache returns a Cache of at most size rows, which keeps those that are asked for
// often or lately, and returns none that was read longer ago than maxAge. A row takes its
// values, the user ID and some 300 bytes.
func NewCache(s basket.Store, size int, maxAge time.Duration) (*Cache, error) {
	if size <= 0 || maxAge <= 0 {
		return nil, fmt.Errorf("basket: %w: a cache of %d rows for %v: want a positive number and a positive time", basket.ErrInvalidConfig, size, maxAge)
	}
	rows, err := otter.New(&otter.Options[string, *known]{
		MaximumSize: size,
		Executor:    func(f func()) { f() }, // so that no goroutine is left
	})
	if err != nil {
		return nil, fmt.Errorf("basket: %w: a cache of %d rows: %w", basket.ErrInvalidConfig, size, err)
	}
	return &Cache{inner: s, rows: rows, maxAge: maxAge, start: time.Now()}, nil
}

// Store returns the store with the cache.
func (c *Cache) Store() basket.Store { return like(c.inner, cachedStore{c}) }

// Served returns how many rows the cache has returned in place of the store.
func (c *Cache) Served() int64 { return c.served.Load() }

// Len returns about how many rows are kept.
func (c *Cache) Len() int { return c.rows.EstimatedSize() }

func (c *Cache) now() int64 { return int64(time.Since(c.start)) }

// A reading is a call of the store, as it was when it began.
type reading struct {
	at        int64
	deletions uint64
}

func (c *Cache) begin() reading { return reading{at: c.now(), deletions: c.deletions.Load()} }

// keep keeps a row of a reading, unless a later one has kept another, or users were
// deleted meanwhile, who may be in it.
func (c *Cache) keep(r reading, userID string, row basket.Row) {
	if old, ok := c.rows.GetIfPresent(userID); ok && sameRow(old.row, row) {
		for at := old.readAt.Load(); at < r.at && !old.readAt.CompareAndSwap(at, r.at); at = old.readAt.Load() {
		}
		return
	}
	row.Values = slices.Clone(row.Values) // which may be a part of many rows
	row.UserID = strings.Clone(userID)
	fresh := &known{row: row}
	fresh.readAt.Store(r.at)
	// Delete counts before it removes a user, and a row is kept while its user cannot be
	// removed: so it is not kept after it was removed.
	c.rows.Compute(row.UserID, func(old *known, found bool) (*known, otter.ComputeOp) {
		if c.deletions.Load() != r.deletions || found && old.readAt.Load() > r.at {
			return old, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
}

func sameRow(a, b basket.Row) bool {
	return a.OrderedAt.Equal(b.OrderedAt) && a.Number == b.Number && a.Age == b.Age &&
		slices.EqualFunc(a.Values, b.Values, func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) })
}

// last returns the last row that is known of a user.
func (c *Cache) last(userID string) (basket.Row, bool) {
	k, ok := c.rows.GetIfPresent(userID)
	if !ok {
		return basket.Row{}, false
	}
	age := time.Duration(c.now() - k.readAt.Load())
	if age > c.maxAge {
		return basket.Row{}, false
	}
	c.served.Add(1)
	row := k.row
	row.UserID = userID
	row.Age += max(age, 1) // a row from here has an age, be it as small as it may
	return row, true
}

// A cachedStore is the store of a Cache.
type cachedStore struct{ c *Cache }

func (s cachedStore) Features() []string { return s.c.inner.Features() }

func (s cachedStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	r := s.c.begin()
	row, err := s.c.inner.Row(ctx, userID)
	switch {
	case err == nil:
		s.c.keep(r, userID, row)
	case errors.Is(err, basket.ErrUserNotFound):
		s.c.rows.Invalidate(userID)
	case isDown(ctx, err) && ctx.Err() == nil:
		if last, ok := s.c.last(userID); ok {
			return last, nil
		}
	}
	return row, err
}

func (s cachedStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	r := s.c.begin()
	rows, err := s.c.inner.(basket.BatchStore).Rows(ctx, userIDs)
	if err != nil {
		if isDown(ctx, err) && ctx.Err() == nil {
			return s.lastRows(userIDs, rows, err)
		}
		return rows, err
	}
	for i := range min(len(rows), len(userIDs)) {
		if rows[i].Values == nil {
			s.c.rows.Invalidate(userIDs[i])
		} else {
			s.c.keep(r, userIDs[i], rows[i])
		}
	}
	return rows, nil
}

// lastRows returns the last rows that are known, and err if some are not. The store may
// have returned some rows together with err.
func (s cachedStore) lastRows(userIDs []string, got []basket.Row, err error) ([]basket.Row, error) {
	rows := make([]basket.Row, len(userIDs))
	if len(got) == len(rows) {
		copy(rows, got)
	}
	all := true
	for i, userID := range userIDs {
		if rows[i].Values == nil {
			var ok bool
			rows[i], ok = s.c.last(userID)
			all = all && ok
		}
	}
	if all {
		return rows, nil
	}
	return rows, err
}

// Delete removes the users from the store, and whatever becomes of that, from the cache.
func (s cachedStore) Delete(ctx context.Context, userIDs []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.c.inner.(basket.Deleter).Delete(ctx, userIDs)
	s.c.deletions.Add(1)
	for _, userID := range userIDs {
		s.c.rows.Invalidate(userID)
	}
	return err
}
