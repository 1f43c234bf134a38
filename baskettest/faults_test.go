//go:build !race

package baskettest

// Without the race detector, as in store_test.go.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/basket-go/basket"
)

var (
	errClosed = fmt.Errorf("map store: %w: closed", basket.ErrUnavailable)
	errDown   = fmt.Errorf("map store: %w: connection refused", basket.ErrUnavailable)
)

// A remoteStore is a correct store over a mapStore that can fail, whose parts a defect
// replaces.
type remoteStore struct {
	*mapStore
	closed, down bool
	delay        time.Duration

	fail  func(method string, err error) error                            // what a call returns that fails
	empty bool                                                            // Rows returns zero rows in place of an error
	wait  func(ctx context.Context, method string, d time.Duration) error // for a slow answer
	up    func()                                                          // when the server is back
	late  []basket.Row                                                    // answers of calls that have returned; nil if they are dropped
}

func newRemoteStore() *remoteStore {
	return &remoteStore{
		mapStore: newMapStore(),
		fail:     func(_ string, err error) error { return err },
		up:       func() {},
		wait: func(ctx context.Context, _ string, d time.Duration) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(d):
				return nil
			}
		},
	}
}

func (s *remoteStore) faults() Faults {
	return Faults{
		Close: func() { s.closed = true },
		Down:  func() { s.down = true },
		Up:    func() { s.down = false; s.up() },
		Slow:  func(d time.Duration) { s.delay = d },
	}
}

func (s *remoteStore) call(ctx context.Context, method string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case s.closed:
		return s.fail(method, errClosed)
	case s.down:
		return s.fail(method, errDown)
	case s.delay > 0:
		return s.wait(ctx, method, s.delay)
	}
	return nil
}

func (s *remoteStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	err := s.call(ctx, "Row")
	if err != nil {
		if s.late != nil && ctx.Err() != nil {
			row, _ := s.mapStore.Row(context.Background(), userID)
			s.late = append(s.late, row)
		}
		return basket.Row{}, err
	}
	if len(s.late) > 0 {
		row := s.late[0]
		s.late = s.late[1:]
		return row, nil
	}
	return s.mapStore.Row(ctx, userID)
}

func (s *remoteStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	if err := s.call(ctx, "Rows"); err != nil {
		if s.empty {
			return make([]basket.Row, len(userIDs)), nil
		}
		return nil, err
	}
	return s.mapStore.Rows(ctx, userIDs)
}

func (s *remoteStore) Put(ctx context.Context, rows []basket.Row) error {
	if err := s.call(ctx, "Put"); err != nil {
		return err
	}
	return s.mapStore.Put(ctx, rows)
}

func (s *remoteStore) Delete(ctx context.Context, userIDs []string) error {
	if err := s.call(ctx, "Delete"); err != nil {
		return err
	}
	return s.mapStore.Delete(ctx, userIDs)
}

func TestStoreFaults_correct(t *testing.T) {
	TestStoreFaults(t, func(*testing.T) (Store, Faults) { s := newRemoteStore(); return s, s.faults() })
	TestStoreFaults(t, func(*testing.T) (Store, Faults) { s := newRemoteStore(); return plainStore{s}, s.faults() })
	TestStoreFaults(t, func(*testing.T) (Store, Faults) { return newRemoteStore(), Faults{} })
}

// failing replaces the error of some methods, or of all if there are none.
func failing(f func(err error) error, methods ...string) func(*remoteStore) {
	return func(s *remoteStore) {
		s.fail = func(method string, err error) error {
			if len(methods) > 0 && !slices.Contains(methods, method) {
				return err
			}
			return f(err)
		}
	}
}

// waiting replaces the wait for a slow answer of some methods, or of all.
func waiting(f func(ctx context.Context, d time.Duration) error, methods ...string) func(*remoteStore) {
	return func(s *remoteStore) {
		correct := s.wait
		s.wait = func(ctx context.Context, method string, d time.Duration) error {
			if len(methods) > 0 && !slices.Contains(methods, method) {
				return correct(ctx, method, d)
			}
			return f(ctx, d)
		}
	}
}

func sleep(_ context.Context, d time.Duration) error { time.Sleep(d); return nil }

// when keeps an error unless it is of.
func when(of error, f func() error) func(error) error {
	return func(err error) error {
		if errors.Is(err, of) {
			return f()
		}
		return err
	}
}

// TestStoreFaults_defects plants one defect in a correct store; the suite must find it.
func TestStoreFaults_defects(t *testing.T) {
	defects := map[string]func(s *remoteStore){
		"closed: panics":         failing(when(errClosed, func() error { panic("send on closed channel") })),
		"closed: Put panics":     failing(when(errClosed, func() error { panic("nil pointer") }), "Put"),
		"closed: reads go on":    failing(when(errClosed, func() error { return nil }), "Row", "Rows"),
		"closed: Put goes on":    failing(when(errClosed, func() error { return nil }), "Put"),
		"closed: Delete goes on": failing(when(errClosed, func() error { return nil }), "Delete"),
		"closed: of no kind":     failing(when(errClosed, func() error { return errors.New("closed pool") })),
		"closed: absent":         failing(when(errClosed, func() error { return basket.ErrUserNotFound }), "Row"),
		"closed: never returns":  failing(when(errClosed, func() error { time.Sleep(time.Hour); return errClosed })),
		"closed: Rows are empty": func(s *remoteStore) { s.empty = true },

		"down: absent":            failing(when(errDown, func() error { return basket.ErrUserNotFound }), "Row"),
		"down: absent, wrapped":   failing(when(errDown, func() error { return errors.Join(errDown, basket.ErrUserNotFound) }), "Row"),
		"down: of no kind":        failing(when(errDown, func() error { return errors.New("EOF") })),
		"down: panics":            failing(when(errDown, func() error { panic("nil connection") }), "Rows"),
		"down: never returns":     failing(when(errDown, func() error { time.Sleep(time.Hour); return errDown })),
		"down: Put is lost":       func(s *remoteStore) { s.fail = lost(s, "Put") },
		"down: Delete is lost":    func(s *remoteStore) { s.fail = lost(s, "Delete") },
		"down: absent from third": absentFromThird,
		"down: reads of a cache":  failing(when(errDown, func() error { return nil }), "Row"),
		"back: not noticed":       func(s *remoteStore) { s.up = func() { s.down = true } },
		"back: without rows":      func(s *remoteStore) { s.up = func() { clear(s.rows) } },
		"back: of a later Put":    func(s *remoteStore) { s.up = func() { s.rows["cat"] = newRow("cat", 1, 1) } },
		"back: of a later Delete": func(s *remoteStore) { s.up = func() { delete(s.rows, "ann") } },
		"back: Put is broken": func(s *remoteStore) {
			s.up = func() {
				s.put = func(*mapStore, context.Context, []basket.Row) error { return errors.New("bad connection") }
			}
		},

		"slow: Row is late":         waiting(sleep, "Row"),
		"slow: Rows are late":       waiting(sleep, "Rows"),
		"slow: of no kind":          waiting(func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return errDown }),
		"slow: always a deadline":   waiting(func(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return context.DeadlineExceeded }),
		"slow: a cancel is ignored": waiting(ignoreCancel),
		"slow: answers shift":       func(s *remoteStore) { s.late = []basket.Row{} },
		"slow: a limit of its own":  waiting(func(_ context.Context, d time.Duration) error { time.Sleep(d / 2); return context.DeadlineExceeded }),
	}
	for name, plant := range defects {
		t.Run(name, func(t *testing.T) {
			var found []string
			for _, d := range faultDuties {
				synctest.Test(t, func(t *testing.T) { // the time of what never returns is not real
					s := newRemoteStore()
					plant(s)
					if err := d.try(t, faultyStore{s, s.faults()}); err != nil {
						found = append(found, d.name)
					}
					time.Sleep(100 * time.Hour) // until the calls that nobody waits for have ended
				})
			}
			if len(found) == 0 {
				t.Error("the defect was not found")
			}
			t.Logf("found by %q", found)
		})
	}
}

// lost makes a method that fails return nil.
func lost(s *remoteStore, lost string) func(string, error) error {
	return func(method string, err error) error {
		if method == lost && s.down {
			return nil
		}
		return err
	}
}

func absentFromThird(s *remoteStore) {
	n := 0
	s.fail = func(method string, err error) error {
		if n++; method == "Row" && n > 8 {
			return basket.ErrUserNotFound
		}
		return err
	}
}

// ignoreCancel waits for the answer or the deadline.
func ignoreCancel(ctx context.Context, d time.Duration) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		time.Sleep(d)
		return ctx.Err()
	}
	time.Sleep(min(d, time.Until(deadline)))
	return ctx.Err()
}

// TestStore_staleDefects plants defects in what Put does with a stale row.
func TestStore_staleDefects(t *testing.T) {
	for name, put := range map[string]func(s *mapStore, ctx context.Context, rows []basket.Row) error{
		"a stale row fails": func(s *mapStore, ctx context.Context, rows []basket.Row) error {
			if slices.ContainsFunc(rows, s.stale) {
				return errors.New("stale")
			}
			return s.putAll(ctx, rows)
		},
		"a stale row stops the others": func(s *mapStore, ctx context.Context, rows []basket.Row) error {
			if i := slices.IndexFunc(rows, s.stale); i >= 0 {
				rows = rows[:i]
			}
			return s.putAll(ctx, rows)
		},
		"a stale row fills missing values": func(s *mapStore, ctx context.Context, rows []basket.Row) error {
			for _, row := range rows {
				if s.stale(row) {
					for j, v := range s.rows[row.UserID].Values {
						if math.IsNaN(v) {
							s.rows[row.UserID].Values[j] = row.Values[j]
						}
					}
				}
			}
			return s.putAll(ctx, rows)
		},
		"a stale row's number is kept": func(s *mapStore, ctx context.Context, rows []basket.Row) error {
			for _, row := range rows {
				if old := s.rows[row.UserID]; s.stale(row) {
					old.Number = row.Number
					s.rows[row.UserID] = old
				}
			}
			return s.putAll(ctx, rows)
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := false
			for _, d := range storeDuties {
				if d.name != "stale rows" {
					continue
				}
				s := newMapStore()
				s.put = put
				found = d.try(t, s) != nil
			}
			if !found {
				t.Error("the defect was not found")
			}
		})
	}
}

func (s *mapStore) stale(row basket.Row) bool {
	old, ok := s.rows[row.UserID]
	return ok && row.OrderedAt.Before(old.OrderedAt)
}
