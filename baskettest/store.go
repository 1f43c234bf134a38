package baskettest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// A Store is a [basket.Store] that can be written. A store that has no Put of its
// own needs one in its test.
type Store interface {
	basket.Store

	// Put stores the newest rows of some users. A row older than the user's present
	// one is ignored. If a row cannot be stored, none of them is.
	Put(ctx context.Context, rows []basket.Row) error
}

// TestStore tests a store. NewStore returns an empty one whose features are
// [basket.FeatureNames], and is called once per subtest. If the store is a
// [basket.BatchStore] or a [basket.Deleter], Rows or Delete is tested too. Event times in
// the tests are whole seconds. [TestStoreFaults] tests a store that is closed or whose
// server fails.
func TestStore(t *testing.T, newStore func(t *testing.T) Store) {
	t.Helper()
	run(t, storeDuties, newStore)
}

// storeDuties are the duties of basket.Store, of basket.BatchStore, of basket.Deleter
// and of Put.
var storeDuties = []duty[Store]{
	{"features", "Features must return the same names at each call, whatever callers do to the slice.", func(t *testing.T, s Store) error {
		for range 2 {
			got := s.Features()
			if !slices.Equal(got, basket.FeatureNames()) {
				return violation("Features returned %q: want %q", got, basket.FeatureNames())
			}
			got[0] = "changed by the caller"
		}
		return nil
	}},
	{"found", "Row must return the stored row: user ID, event time in UTC, number and values.", func(t *testing.T, s Store) error {
		return firstError(put(t, s, newRow("ann", 1, 1)), has(t, s, newRow("ann", 1, 1)))
	}},
	{"absent", "Row must return an error that wraps ErrUserNotFound for a user without a row.", func(t *testing.T, s Store) error {
		return firstError(absent(t, s, "ann"), put(t, s, newRow("ann", 1, 1)), absent(t, s, "bob"), absent(t, s, "an"), absent(t, s, "ANN"))
	}},
	{"missing values", "A missing value, NaN, must be returned as NaN.", func(t *testing.T, s Store) error {
		row := newRow("ann", 1, 1)
		row.Values[0], row.Values[2] = math.NaN(), math.NaN()
		return firstError(put(t, s, row), has(t, s, row))
	}},
	{"exact values", "Values must be returned with all their bits.", func(t *testing.T, s Store) error {
		one, two := newRow("ann", 1, 1), newRow("bob", 1, 1)
		one.Values = []float64{0.1 + 0.2, math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64}
		two.Values = []float64{math.Inf(1), math.Inf(-1), 1<<53 + 2, -1e-300}
		return firstError(put(t, s, one, two), has(t, s, one), has(t, s, two))
	}},
	{"batch order", "Rows must return rows in the order of the user IDs, for repeated and absent ones too.", func(t *testing.T, s Store) error {
		a, b := newRow("ann", 1, 1), newRow("bob", 2, 2)
		return firstError(put(t, s, a, b), hasRows(t, s, []string{"bob", "ann", "nobody", "ann", "bob", "bob"}, b, a, basket.Row{}, a, b, b))
	}},
	{"batch of absent", "Rows must return the zero Row, not an error, for users without a row.", func(t *testing.T, s Store) error {
		return hasRows(t, s, []string{"ann", "bob"}, basket.Row{}, basket.Row{})
	}},
	{"empty batch", "Rows must return no rows and no error for no user IDs, and Put must accept no rows.", func(t *testing.T, s Store) error {
		return firstError(hasRows(t, s, nil), put(t, s))
	}},
	{"large batch", "Put and Rows must work for thousands of users.", func(t *testing.T, s Store) error {
		var rows []basket.Row
		var ids []string
		for i := range 5000 {
			ids = append(ids, fmt.Sprintf("user-%d", i))
			rows = append(rows, newRow(ids[i], i, float64(i)))
		}
		return firstError(put(t, s, rows...), hasRows(t, s, ids, rows...), has(t, s, rows[4999]))
	}},
	{"user IDs", "All valid user IDs must work: long ones, text of any language, characters with a meaning elsewhere.", func(t *testing.T, s Store) error {
		long := strings.Repeat("0123456789abcdef", basket.MaxUserID/16)
		ids := []string{
			long[:128], long[:127] + "x", long, long[:basket.MaxUserID-1] + "x", "a", "A", " a", "a ", "0", "00", "null",
			"αβγ", "αβδ", "日本語", "e\u0301", "\u00e9", "🛒", "a:b", "a{b}", "a%62", "a*", "a?", "a'b", `a"b`, `a\b`, "a/b", "../a", "$1", ";--", "a|b", "[a]", "%s",
		}
		var rows []basket.Row
		for i, id := range ids {
			rows = append(rows, newRow(id, 1, float64(i)))
		}
		if err := put(t, s, rows...); err != nil {
			return err
		}
		for _, row := range rows {
			if err := has(t, s, row); err != nil {
				return err
			}
		}
		return hasRows(t, s, ids, rows...)
	}},
	{"canceled read", "Row and Rows must return an error that wraps the context's, soon after it is done.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 1, 1)); err != nil {
			return err
		}
		for want, ctx := range doneContexts(t) {
			err := promptly("Row", want, func() error { _, err := s.Row(ctx, "ann"); return err })
			if batch, ok := s.(basket.BatchStore); ok && err == nil {
				err = promptly("Rows", want, func() error { _, err := batch.Rows(ctx, []string{"ann"}); return err })
			}
			if err != nil {
				return err
			}
		}
		return nil
	}},
	{"canceled write", "Put must return an error that wraps the context's, and store nothing, if the context is done.", func(t *testing.T, s Store) error {
		for want, ctx := range doneContexts(t) {
			if err := promptly("Put", want, func() error { return s.Put(ctx, []basket.Row{newRow("ann", 1, 1)}) }); err != nil {
				return err
			}
		}
		return absent(t, s, "ann")
	}},
	{"newest of several calls", "The newest row by event time must win, whatever the order of Put.", func(t *testing.T, s Store) error {
		for _, second := range []int{5, 9, 7, 3, 8} {
			if err := put(t, s, newRow("ann", second, float64(second))); err != nil {
				return err
			}
		}
		return has(t, s, newRow("ann", 9, 9))
	}},
	{"newest of one call", "The newest row by event time must win, whatever the order of the rows of one Put.", func(t *testing.T, s Store) error {
		return firstError(put(t, s, newRow("ann", 5, 5), newRow("bob", 1, 1), newRow("ann", 9, 9), newRow("ann", 7, 7)), has(t, s, newRow("ann", 9, 9)), has(t, s, newRow("bob", 1, 1)))
	}},
	{"equal times", "Of rows of equal event time the last one put must win.", func(t *testing.T, s Store) error {
		return firstError(put(t, s, newRow("ann", 5, 1), newRow("ann", 5, 2)), has(t, s, newRow("ann", 5, 2)), put(t, s, newRow("ann", 5, 3)), has(t, s, newRow("ann", 5, 3)))
	}},
	{"stale rows", "A row older than the user's present one must be ignored as a whole, without an error, and the other rows of its Put stored.", func(t *testing.T, s Store) error {
		fresh := newRow("ann", 9, 9)
		fresh.Values[1] = math.NaN()
		if err := firstError(put(t, s, fresh, newRow("bob", 5, 5)), put(t, s, newRow("ann", 8, 1), newRow("bob", 6, 6), newRow("cat", 1, 1), newRow("bob", 4, 4))); err != nil {
			return err
		}
		return firstError(has(t, s, fresh), hasRows(t, s, []string{"cat", "bob", "ann"}, newRow("cat", 1, 1), newRow("bob", 6, 6), fresh))
	}},
	{"early times", "Event times before 1970 must order rows too.", func(t *testing.T, s Store) error {
		return firstError(put(t, s, newRow("ann", -2_000_000_000, 1)), put(t, s, newRow("ann", -2_000_000_100, 2)), has(t, s, newRow("ann", -2_000_000_000, 1)))
	}},
	{"rows given", "Put must not keep or change the slices that it is given.", func(t *testing.T, s Store) error {
		rows := []basket.Row{newRow("ann", 1, 1), newRow("bob", 2, 2)}
		if err := put(t, s, rows...); err != nil {
			return err
		}
		for i, want := range []basket.Row{newRow("ann", 1, 1), newRow("bob", 2, 2)} {
			if err := sameRow(rows[i], want); err != nil {
				return violation("Put changed a row that it was given: %w", err)
			}
			for j := range rows[i].Values {
				rows[i].Values[j] = -1
			}
			rows[i].UserID = "changed by the caller"
		}
		return firstError(has(t, s, newRow("ann", 1, 1)), hasRows(t, s, []string{"bob"}, newRow("bob", 2, 2)))
	}},
	{"rows returned", "A row must not change after it was returned.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 1, 1), newRow("bob", 1, 1)); err != nil {
			return err
		}
		held, err := s.Row(t.Context(), "ann")
		if err != nil {
			return err
		}
		var batch []basket.Row
		if b, ok := s.(basket.BatchStore); ok {
			if batch, err = b.Rows(t.Context(), []string{"ann", "bob"}); err != nil {
				return err
			}
		}
		for second := 2; second < 200; second++ {
			if err := put(t, s, newRow("ann", second, float64(second)), newRow("bob", second, 7)); err != nil {
				return err
			}
		}
		if _, err := s.Row(t.Context(), "bob"); err != nil {
			return err
		}
		if err := sameRow(held, newRow("ann", 1, 1)); err != nil {
			return fmt.Errorf("a row of Row changed: %w", err)
		}
		for i, row := range batch {
			if err := sameRow(row, newRow([]string{"ann", "bob"}[i], 1, 1)); err != nil {
				return fmt.Errorf("a row of Rows changed: %w", err)
			}
		}
		return nil
	}},
	{"wrong width", "Put must refuse a row with another number of values, and store none of the rows.", func(t *testing.T, s Store) error {
		for _, n := range []int{0, 3, 5} {
			bad := basket.Row{UserID: "bob", OrderedAt: time.Unix(1, 0).UTC(), Number: 1, Values: make([]float64, n)}
			if err := s.Put(t.Context(), []basket.Row{newRow("ann", 1, 1), bad, newRow("cat", 1, 1)}); err == nil {
				return violation("Put stored a row of %d values: want an error", n)
			}
		}
		return firstError(absent(t, s, "ann"), absent(t, s, "bob"), absent(t, s, "cat"))
	}},
	{"concurrent use", "A store must be safe for concurrent use: rows are read whole, and never go back in time.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 0, 0)); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		return together(100, func(i int) error {
			own := fmt.Sprintf("user-%d", i)
			last := -1.0
			for n := range 20 {
				second := i%10*20 + n
				if i < 10 { // these write
					if err := s.Put(ctx, []basket.Row{newRow("ann", second, float64(second)), newRow(own, n, float64(n))}); err != nil {
						return violation("Put: %w", err)
					}
					if err := has(t, s, newRow(own, n, float64(n))); err != nil {
						return err
					}
					continue
				}
				got, err := s.Row(ctx, "ann")
				if err != nil {
					return violation("Row: %w", err)
				}
				if len(got.Values) != 4 || sameRow(got, newRow("ann", int(got.Values[0]), got.Values[0])) != nil {
					return violation("Row returned parts of several rows: %v", got)
				}
				if got.Values[0] < last {
					return violation("Row returned the row of second %v after that of second %v", got.Values[0], last)
				}
				last = got.Values[0]
			}
			return nil
		})
	}},
	{"delete", "Delete must remove all of the users, and no others.", func(t *testing.T, s Store) error {
		rows := []basket.Row{newRow("ann", 1, 1), newRow("bob", 1, 2), newRow("an", 1, 3), newRow("ANN", 1, 4), newRow("a*", 1, 5), newRow("cat", 1, 6)}
		if err := firstError(put(t, s, rows...), put(t, s, newRow("ann", 2, 7)), remove(t, s, "ann", "a*", "cat")); err != nil || !canDelete(s) {
			return err
		}
		return firstError(absent(t, s, "ann"), absent(t, s, "a*"), absent(t, s, "cat"), has(t, s, rows[1]), has(t, s, rows[2]), has(t, s, rows[3]))
	}},
	{"delete of absent", "Delete must accept absent and repeated users, and none.", func(t *testing.T, s Store) error {
		if err := firstError(put(t, s, newRow("ann", 1, 1), newRow("bob", 1, 2)), remove(t, s), remove(t, s, "nobody"), remove(t, s, "nobody", "ann", "ann")); err != nil || !canDelete(s) {
			return err
		}
		return firstError(remove(t, s, "ann"), absent(t, s, "ann"), has(t, s, newRow("bob", 1, 2)))
	}},
	{"large delete", "Delete must work for thousands of users.", func(t *testing.T, s Store) error {
		var rows []basket.Row
		var ids []string
		for i := range 5000 {
			ids = append(ids, fmt.Sprintf("user-%d", i))
			rows = append(rows, newRow(ids[i], i, float64(i)))
		}
		if err := firstError(put(t, s, rows...), remove(t, s, ids[:4990]...)); err != nil || !canDelete(s) {
			return err
		}
		return firstError(absent(t, s, ids[0]), absent(t, s, ids[2000]), absent(t, s, ids[4989]), has(t, s, rows[4990]), has(t, s, rows[4999]))
	}},
	{"put after delete", "A row that is put after Delete must be stored, whatever its event time.", func(t *testing.T, s Store) error {
		for _, second := range []int{5, 3, 9} {
			if err := firstError(put(t, s, newRow("ann", second, float64(second))), has(t, s, newRow("ann", second, float64(second))), remove(t, s, "ann")); err != nil || !canDelete(s) {
				return err
			}
		}
		return absent(t, s, "ann")
	}},
	{"canceled delete", "Delete must return an error that wraps the context's, and remove nobody, if the context is done.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 1, 1)); err != nil || !canDelete(s) {
			return err
		}
		for want, ctx := range doneContexts(t) {
			if err := promptly("Delete", want, func() error { return s.(basket.Deleter).Delete(ctx, []string{"ann"}) }); err != nil {
				return err
			}
		}
		return has(t, s, newRow("ann", 1, 1))
	}},
	{"rows returned before delete", "A row must not change when its user is deleted.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 1, 1), newRow("bob", 1, 1)); err != nil {
			return err
		}
		held, err := s.Row(t.Context(), "ann")
		if err != nil {
			return err
		}
		return firstError(remove(t, s, "ann"), put(t, s, newRow("cat", 1, 9)), sameRow(held, newRow("ann", 1, 1)))
	}},
	{"concurrent delete", "While users are deleted, others must be read, each row whole.", func(t *testing.T, s Store) error {
		if err := put(t, s, newRow("ann", 1, 1)); err != nil {
			return err
		}
		return together(20, func(i int) error {
			own := fmt.Sprintf("user-%d", i)
			for n := range 20 {
				if err := firstError(put(t, s, newRow(own, n, float64(n))), has(t, s, newRow(own, n, float64(n))), remove(t, s, own), has(t, s, newRow("ann", 1, 1))); err != nil {
					return err
				}
				if canDelete(s) {
					if err := absent(t, s, own); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}},
}

func canDelete(s Store) bool { _, ok := s.(basket.Deleter); return ok }

// remove deletes users, if s is a Deleter.
func remove(t *testing.T, s Store, userIDs ...string) error {
	d, ok := s.(basket.Deleter)
	if !ok {
		return nil
	}
	if err := d.Delete(t.Context(), userIDs); err != nil {
		return violation("Delete of %d users: %w", len(userIDs), err)
	}
	return nil
}

// newRow is a row whose fields follow from second and v.
func newRow(userID string, second int, v float64) basket.Row {
	return basket.Row{
		UserID: userID, OrderedAt: time.Unix(int64(second), 0).UTC(), Number: 1 + int(math.Abs(v)),
		Values: []float64{v, v + 1, v + 2, v + 3},
	}
}

func put(t *testing.T, s Store, rows ...basket.Row) error {
	if err := s.Put(t.Context(), rows); err != nil {
		return violation("Put of %d rows: %w", len(rows), err)
	}
	return nil
}

// has checks that s has the row, by Row and, if it is a BatchStore, by Rows.
func has(t *testing.T, s Store, want basket.Row) error {
	got, err := s.Row(t.Context(), want.UserID)
	if err != nil {
		return violation("Row of %.40q: %w", want.UserID, err)
	}
	if err := sameRow(got, want); err != nil {
		return violation("Row of %.40q: %w", want.UserID, err)
	}
	return hasRows(t, s, []string{want.UserID}, want)
}

// hasRows checks what Rows returns, if s is a BatchStore.
func hasRows(t *testing.T, s Store, ids []string, want ...basket.Row) error {
	batch, ok := s.(basket.BatchStore)
	if !ok {
		return nil
	}
	got, err := batch.Rows(t.Context(), ids)
	if err != nil {
		return violation("Rows: %w", err)
	}
	if len(got) != len(want) {
		return violation("Rows returned %d rows for %d user IDs", len(got), len(ids))
	}
	for i := range want {
		if err := sameRow(got[i], want[i]); err != nil {
			return violation("Rows, user ID %d, %.40q: %w", i, ids[i], err)
		}
	}
	return nil
}

func absent(t *testing.T, s Store, userID string) error {
	if row, err := s.Row(t.Context(), userID); !errors.Is(err, basket.ErrUserNotFound) {
		return violation("Row of the absent user %q: %v, %v: want ErrUserNotFound", userID, row, err)
	}
	return hasRows(t, s, []string{userID}, basket.Row{})
}

// sameRow compares values by their bits, NaN being equal to NaN.
func sameRow(got, want basket.Row) error {
	equal := got.UserID == want.UserID && got.Number == want.Number && got.OrderedAt.Equal(want.OrderedAt) && (got.Values == nil) == (want.Values == nil)
	equal = equal && slices.EqualFunc(got.Values, want.Values, sameBits)
	if equal && got.Values != nil && got.OrderedAt.Location() != time.UTC {
		return fmt.Errorf("the event time is in the location %v: want UTC", got.OrderedAt.Location())
	}
	if !equal {
		return fmt.Errorf("got %v: want %v", got, want)
	}
	return nil
}

func sameBits(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

// firstError returns the first error. All arguments are evaluated, in order.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
