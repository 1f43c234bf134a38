//go:build !race

package baskettest

// Without the race detector, which finds some of the planted defects by itself.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// A mapStore is a correct store over a map, whose parts a defect replaces.
type mapStore struct {
	mu    sync.Mutex
	rows  map[string]basket.Row
	names []string

	key     func(userID string) string                                   // of the map
	store   func(row basket.Row) basket.Row                              // the row that is kept
	load    func(row basket.Row) basket.Row                              // the row that is returned
	newer   func(row, old basket.Row) bool                               // whether row replaces old
	check   func(ctx context.Context) error                              // before a read
	put     func(s *mapStore, ctx context.Context, r []basket.Row) error // instead of Put
	batch   func(s *mapStore, ids []string) ([]basket.Row, error)        // instead of Rows
	absence func(userID string) (basket.Row, error)                      // what Row returns for an absent user
	remove  func(s *mapStore, ctx context.Context, ids []string) error   // instead of Delete
	unsafe  bool                                                         // Put writes a row in two steps
}

func newMapStore() *mapStore {
	return &mapStore{
		rows: map[string]basket.Row{}, names: basket.FeatureNames(),
		key:   func(id string) string { return id },
		store: func(row basket.Row) basket.Row { row.Values = slices.Clone(row.Values); return row },
		load:  func(row basket.Row) basket.Row { return row },
		newer: func(row, old basket.Row) bool { return !row.OrderedAt.Before(old.OrderedAt) },
		check: func(ctx context.Context) error { return ctx.Err() },
		absence: func(id string) (basket.Row, error) {
			return basket.Row{}, fmt.Errorf("map store: %w: %q", basket.ErrUserNotFound, id)
		},
	}
}

func (s *mapStore) Features() []string { return slices.Clone(s.names) }

func (s *mapStore) Row(ctx context.Context, userID string) (basket.Row, error) {
	if err := s.check(ctx); err != nil {
		return basket.Row{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.rows[s.key(userID)]
	if !ok {
		return s.absence(userID)
	}
	return s.load(row), nil
}

func (s *mapStore) Rows(ctx context.Context, userIDs []string) ([]basket.Row, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch != nil {
		return s.batch(s, userIDs)
	}
	rows := make([]basket.Row, len(userIDs))
	for i, id := range userIDs {
		if row, ok := s.rows[s.key(id)]; ok {
			rows[i] = s.load(row)
		}
	}
	return rows, nil
}

func (s *mapStore) Put(ctx context.Context, rows []basket.Row) error {
	if s.put != nil {
		return s.put(s, ctx, rows)
	}
	return errors.Join(ctx.Err(), s.putAll(ctx, rows))
}

func (s *mapStore) putAll(ctx context.Context, rows []basket.Row) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, row := range rows {
		if len(row.Values) != len(s.names) {
			return fmt.Errorf("a row of %d values", len(row.Values))
		}
	}
	for _, row := range rows {
		if s.unsafe && row.UserID == "ann" {
			s.mu.Lock()
			half := s.store(row)
			half.Values = append(slices.Clone(row.Values[:2]), 0, 0)
			s.rows[row.UserID] = half
			s.mu.Unlock()
			time.Sleep(time.Millisecond)
		}
		s.mu.Lock()
		if old, ok := s.rows[s.key(row.UserID)]; !ok || s.newer(row, old) {
			s.rows[s.key(row.UserID)] = s.store(row)
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *mapStore) Delete(ctx context.Context, userIDs []string) error {
	if s.remove != nil {
		return s.remove(s, ctx, userIDs)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return s.deleteAll(ctx, userIDs)
}

func (s *mapStore) deleteAll(_ context.Context, userIDs []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range userIDs {
		delete(s.rows, s.key(id))
	}
	return nil
}

// plainStore hides that a store is a BatchStore and a Deleter.
type plainStore struct{ Store }

func TestStore_correct(t *testing.T) {
	TestStore(t, func(*testing.T) Store { return newMapStore() })
	TestStore(t, func(*testing.T) Store { return plainStore{newMapStore()} })
}

// TestStore_defects plants one defect in a correct store; the suite must find it.
func TestStore_defects(t *testing.T) {
	defects := map[string]func(s *mapStore){
		"absent user without error": func(s *mapStore) { s.absence = func(string) (basket.Row, error) { return basket.Row{}, nil } },
		"absent user, other error": func(s *mapStore) {
			s.absence = func(string) (basket.Row, error) { return basket.Row{}, errors.New("no") }
		},
		"case is ignored":  func(s *mapStore) { s.key = strings.ToLower },
		"space is trimmed": func(s *mapStore) { s.key = strings.TrimSpace },
		"IDs are cut":      func(s *mapStore) { s.key = func(id string) string { return id[:min(len(id), 255)] } },
		"non-ASCII is dropped": func(s *mapStore) {
			s.key = func(id string) string { return strings.Map(func(r rune) rune { return min(r, 0x80) }, id) }
		},
		"NaN becomes 0": func(s *mapStore) {
			s.store = eachValue(func(v float64) float64 {
				if v != v {
					return 0
				}
				return v
			})
		},
		"values become float32":   func(s *mapStore) { s.store = eachValue(func(v float64) float64 { return float64(float32(v)) }) },
		"minus zero becomes zero": func(s *mapStore) { s.store = eachValue(func(v float64) float64 { return v + 0 }) },
		"infinities become NaN": func(s *mapStore) {
			s.store = eachValue(func(v float64) float64 {
				if math.IsInf(v, 0) {
					return math.NaN()
				}
				return v
			})
		},
		"the number is lost":     func(s *mapStore) { s.load = func(r basket.Row) basket.Row { r.Number = 0; return r } },
		"the event time is lost": func(s *mapStore) { s.load = func(r basket.Row) basket.Row { r.OrderedAt = time.Time{}; return r } },
		"the event time is local": func(s *mapStore) {
			s.load = func(r basket.Row) basket.Row { r.OrderedAt = r.OrderedAt.In(time.FixedZone("", 3600)); return r }
		},
		"the last row wins":           func(s *mapStore) { s.newer = func(basket.Row, basket.Row) bool { return true } },
		"the first row wins":          func(s *mapStore) { s.newer = func(basket.Row, basket.Row) bool { return false } },
		"equal times keep the old":    func(s *mapStore) { s.newer = func(r, old basket.Row) bool { return r.OrderedAt.After(old.OrderedAt) } },
		"values are kept, not copied": func(s *mapStore) { s.store = func(r basket.Row) basket.Row { return r } },
		"a done context is ignored":   func(s *mapStore) { s.check = func(context.Context) error { return nil } },
		"a deadline is not told": func(s *mapStore) {
			s.check = func(ctx context.Context) error {
				if ctx.Err() != nil {
					return context.Canceled
				}
				return nil
			}
		},
		"a done context writes": func(s *mapStore) {
			s.put = func(s *mapStore, ctx context.Context, r []basket.Row) error {
				return errors.Join(s.putAll(context.Background(), r), ctx.Err())
			}
		},
		"a wide row is cut":             func(s *mapStore) { s.put = cutWide },
		"a bad row is half applied":     func(s *mapStore) { s.put = halfApplied },
		"rows are written in two steps": func(s *mapStore) { s.unsafe = true },
		"the batch drops absent users":  func(s *mapStore) { s.batch = dropAbsent },
		"the batch drops repeats":       func(s *mapStore) { s.batch = dropRepeats },
		"the batch is sorted":           func(s *mapStore) { s.batch = sortIDs },
		"the batch fails if one fails":  func(s *mapStore) { s.batch = failAbsent },
		"the batch ends at 1000": func(s *mapStore) {
			s.batch = func(s *mapStore, ids []string) ([]basket.Row, error) { return get(s, ids[:min(len(ids), 1000)]), nil }
		},
		"the empty batch fails": func(s *mapStore) {
			s.batch = func(s *mapStore, ids []string) ([]basket.Row, error) {
				if len(ids) == 0 {
					return nil, errors.New("ERR wrong number of arguments")
				}
				return get(s, ids), nil
			}
		},
		"Rows returns one slice for all": func(s *mapStore) {
			shared := make([]float64, 4)
			s.load = func(r basket.Row) basket.Row { copy(shared, r.Values); r.Values = shared; return r }
		},
	}
	findAll(t, defects, newMapStore, func(s *mapStore) Store { return s }, storeDuties)
}

// TestStore_defectsOfDelete plants defects in Delete.
func TestStore_defectsOfDelete(t *testing.T) {
	for name, remove := range map[string]func(s *mapStore, ctx context.Context, ids []string) error{
		"nobody is removed": func(*mapStore, context.Context, []string) error { return nil },
		"always fails":      func(*mapStore, context.Context, []string) error { return errors.New("not allowed") },
		"all are removed": func(s *mapStore, _ context.Context, _ []string) error {
			return s.deleteIf(func(string) bool { return true })
		},
		"one is removed": func(s *mapStore, ctx context.Context, ids []string) error {
			return s.deleteAll(ctx, ids[:min(1, len(ids))])
		},
		"1,000 are removed": func(s *mapStore, ctx context.Context, ids []string) error {
			return s.deleteAll(ctx, ids[:min(1000, len(ids))])
		},
		"a context is ignored": func(s *mapStore, ctx context.Context, ids []string) error { return s.deleteAll(ctx, ids) },
		"done, but removes": func(s *mapStore, ctx context.Context, ids []string) error {
			return errors.Join(s.deleteAll(ctx, ids), ctx.Err())
		},
		"absent users fail":     deleteStrictly,
		"no users fail":         deleteSome,
		"an ID is a prefix":     deleteMatches(strings.HasPrefix),
		"an ID is a pattern":    deleteMatches(func(id, of string) bool { ok, _ := path.Match(of, id); return ok }),
		"case is ignored":       deleteMatches(strings.EqualFold),
		"the row becomes zero":  deleteByZero,
		"the values are zeroed": deleteInPlace,
		"users stay away":       deleteForEver,
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range storeDuties {
				s := newMapStore()
				s.remove = remove
				if err := d.try(t, s); err != nil {
					t.Logf("found by %q: %v", d.name, err)
					return
				}
			}
			t.Error("the defect was not found")
		})
	}
}

func (s *mapStore) deleteIf(f func(id string) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.rows, func(id string, _ basket.Row) bool { return f(id) })
	return nil
}

func deleteMatches(match func(id, of string) bool) func(s *mapStore, ctx context.Context, ids []string) error {
	return func(s *mapStore, ctx context.Context, ids []string) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return s.deleteIf(func(id string) bool {
			return slices.ContainsFunc(ids, func(of string) bool { return match(id, of) })
		})
	}
}

func deleteStrictly(s *mapStore, ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := s.Row(ctx, id); err != nil {
			return err
		}
	}
	return s.deleteAll(ctx, ids)
}

func deleteSome(s *mapStore, ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return errors.New("syntax error at or near \")\"")
	}
	return s.deleteAll(ctx, ids)
}

func deleteByZero(s *mapStore, ctx context.Context, ids []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.rows[id] = basket.Row{UserID: id}
	}
	return ctx.Err()
}

// deleteInPlace overwrites rows that a reader may still have.
func deleteInPlace(s *mapStore, ctx context.Context, ids []string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	for _, id := range ids {
		clear(s.rows[id].Values)
	}
	s.mu.Unlock()
	return s.deleteAll(ctx, ids)
}

// deleteForEver keeps deleted users out.
func deleteForEver(s *mapStore, ctx context.Context, ids []string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	before := s.put
	s.put = func(s *mapStore, ctx context.Context, rows []basket.Row) error {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r basket.Row) bool { return slices.Contains(ids, r.UserID) })
		if before != nil {
			return before(s, ctx, rows)
		}
		return s.putAll(ctx, rows)
	}
	return s.deleteAll(ctx, ids)
}

// findAll plants each defect in a correct implementation and demands that a duty
// finds it.
func findAll[S, T any](t *testing.T, defects map[string]func(S), correct func() S, as func(S) T, duties []duty[T]) {
	t.Helper()
	if len(defects) < 20 {
		t.Errorf("%d defects, want 20 or more", len(defects))
	}
	for name, plant := range defects {
		t.Run(name, func(t *testing.T) {
			var found []string
			for _, d := range duties {
				impl := correct()
				plant(impl)
				if err := d.try(t, as(impl)); err != nil {
					found = append(found, d.name)
				}
			}
			if len(found) == 0 {
				t.Error("the defect was not found")
			}
			t.Logf("found by %q", found)
		})
	}
}

func eachValue(f func(float64) float64) func(basket.Row) basket.Row {
	return func(row basket.Row) basket.Row {
		row.Values = slices.Clone(row.Values)
		for i, v := range row.Values {
			row.Values[i] = f(v)
		}
		return row
	}
}

func cutWide(s *mapStore, ctx context.Context, rows []basket.Row) error {
	rows = slices.Clone(rows)
	for i := range rows {
		if len(rows[i].Values) > 4 {
			rows[i].Values = rows[i].Values[:4]
		}
	}
	return s.putAll(ctx, rows)
}

func halfApplied(s *mapStore, ctx context.Context, rows []basket.Row) error {
	for i := range rows {
		if err := s.putAll(ctx, rows[i:i+1]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func get(s *mapStore, ids []string) []basket.Row {
	rows := make([]basket.Row, len(ids))
	for i, id := range ids {
		if row, ok := s.rows[id]; ok {
			rows[i] = s.load(row)
		}
	}
	return rows
}

func dropAbsent(s *mapStore, ids []string) ([]basket.Row, error) {
	return slices.DeleteFunc(get(s, ids), func(r basket.Row) bool { return r.Values == nil }), nil
}

func dropRepeats(s *mapStore, ids []string) ([]basket.Row, error) {
	rows, seen := get(s, ids), map[string]bool{}
	for i, id := range ids {
		if seen[id] {
			rows[i] = basket.Row{}
		}
		seen[id] = true
	}
	return rows, nil
}

func sortIDs(s *mapStore, ids []string) ([]basket.Row, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return get(s, ids), nil
}

func failAbsent(s *mapStore, ids []string) ([]basket.Row, error) {
	for _, id := range ids {
		if _, ok := s.rows[id]; !ok {
			return nil, basket.ErrUserNotFound
		}
	}
	return get(s, ids), nil
}
