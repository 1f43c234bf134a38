package basket_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// at is a time n seconds into some day.
func at(n int) time.Time { return time.Date(2025, 6, 23, 14, 0, n, 0, time.UTC) }

// row is a feature row whose four values start with v.
func row(userID string, n int, v float64) basket.Row {
	return basket.Row{UserID: userID, OrderedAt: at(n), Number: 1, Values: []float64{v, v + 1, v + 2, v + 3}}
}

func mustStore(t testing.TB, rows ...basket.Row) *basket.MemoryStore {
	t.Helper()
	s, err := basket.NewMemoryStore(basket.Values(rows))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMemoryStore_keepsNewest(t *testing.T) {
	s := mustStore(t, row("a", 5, 10), row("b", 1, 20), row("a", 9, 30), row("a", 7, 40), row("b", 1, 50))
	want := map[string]basket.Row{"a": row("a", 9, 30), "b": row("b", 1, 50)}
	for userID, want := range want {
		got, err := s.Row(t.Context(), userID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("row of %s (-want +got):\n%s", userID, diff)
		}
	}
	if _, err := s.Row(t.Context(), "c"); !errors.Is(err, basket.ErrUserNotFound) {
		t.Errorf("row of c: %v, want ErrUserNotFound", err)
	}
	rows, err := s.Rows(t.Context(), []string{"b", "c", "a"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]basket.Row{want["b"], {}, want["a"]}, rows); diff != "" {
		t.Errorf("Rows (-want +got):\n%s", diff)
	}
	if s.Len() != 2 {
		t.Errorf("Len: %d, want 2", s.Len())
	}
}

func TestMemoryStore_Put(t *testing.T) {
	s := mustStore(t, row("a", 5, 10))
	held, _ := s.Row(t.Context(), "a")
	if err := s.Put(t.Context(), []basket.Row{row("a", 6, 20), row("b", 1, 30), row("b", 0, 40)}); err != nil {
		t.Fatal(err)
	}
	for userID, want := range map[string]float64{"a": 20, "b": 30} {
		if got, err := s.Row(t.Context(), userID); err != nil || got.Values[0] != want {
			t.Errorf("row of %s: %v, %v, want %v", userID, got, err, want)
		}
	}
	if diff := cmp.Diff(row("a", 5, 10), held); diff != "" {
		t.Errorf("a row read before Put changed (-want +got):\n%s", diff)
	}
	short := basket.Row{UserID: "c", Values: []float64{1}}
	err := s.Put(t.Context(), []basket.Row{row("a", 7, 50), short})
	if !errors.Is(err, basket.ErrData) || !strings.Contains(err.Error(), `"c" has 1 values: want 4`) {
		t.Errorf("Put of a short row: %v", err)
	}
	if got, _ := s.Row(t.Context(), "a"); got.Values[0] != 20 {
		t.Errorf("a failed Put was half applied: %v", got)
	}
	if err := s.Replace(basket.Values([]basket.Row{short})); !errors.Is(err, basket.ErrData) {
		t.Errorf("Replace by a short row: %v", err)
	}
	if got, _ := s.Row(t.Context(), "a"); got.Values[0] != 20 {
		t.Errorf("a failed Replace was applied: %v", got)
	}
}

func TestNewMemoryStore_refusesRepeatedNames(t *testing.T) {
	_, err := basket.NewMemoryStore(basket.Values[basket.Row](nil), "price", "count", "price")
	if !errors.Is(err, basket.ErrFeatureMismatch) || !strings.Contains(err.Error(), `"price"`) {
		t.Errorf("two features of one name: %v, want ErrFeatureMismatch that names it", err)
	}
}

func TestMemoryStore_contextDone(t *testing.T) {
	s := mustStore(t, row("a", 1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Row(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Row: %v", err)
	}
	if _, err := s.Rows(ctx, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Rows: %v", err)
	}
	if err := s.Put(ctx, []basket.Row{row("a", 2, 2)}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v", err)
	}
	if err := s.Delete(ctx, []string{"a"}); !errors.Is(err, context.Canceled) || s.Len() != 1 {
		t.Errorf("Delete: %v, %d users left", err, s.Len())
	}
}

func TestMemoryStore_Delete(t *testing.T) {
	s := mustStore(t, row("a", 5, 10), row("b", 1, 20), row("c", 1, 30))
	held, _ := s.Row(t.Context(), "a")
	if err := s.Delete(t.Context(), []string{"a", "nobody", "c", "a"}); err != nil {
		t.Fatal(err)
	}
	for _, userID := range []string{"a", "c"} {
		if got, err := s.Row(t.Context(), userID); !errors.Is(err, basket.ErrUserNotFound) {
			t.Errorf("row of %s: %v, %v, want ErrUserNotFound", userID, got, err)
		}
	}
	if got, err := s.Row(t.Context(), "b"); err != nil || !cmp.Equal(row("b", 1, 20), got) || s.Len() != 1 {
		t.Errorf("row of b: %v, %v; %d users, want 1", got, err, s.Len())
	}
	if diff := cmp.Diff(row("a", 5, 10), held); diff != "" {
		t.Errorf("a row read before Delete changed (-want +got):\n%s", diff)
	}
	// A deleted user may come again, and its old event time does not count.
	if err := s.Put(t.Context(), []basket.Row{row("a", 2, 40)}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Row(t.Context(), "a"); err != nil || got.Values[0] != 40 {
		t.Errorf("row of a after Put: %v, %v, want 40", got, err)
	}
	if err := s.Delete(t.Context(), []string{"a", "b"}); err != nil || s.Len() != 0 {
		t.Errorf("Delete of all: %v, %d users left", err, s.Len())
	}
}

// TestMemoryStore_equalsMap does random updates on a store and on a map.
func TestMemoryStore_equalsMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := mustStore(t)
	plain := map[string]basket.Row{}
	set := func(row basket.Row) {
		if old, ok := plain[row.UserID]; !ok || !row.OrderedAt.Before(old.OrderedAt) {
			plain[row.UserID] = row
		}
	}
	for step := range 300 {
		var rows []basket.Row
		for range r.IntN(40) {
			// IDs that are prefixes of each other, and the empty one.
			id := strings.Repeat("x", r.IntN(3)) + fmt.Sprint(r.IntN(500))
			rows = append(rows, row(id[:r.IntN(len(id)+1)], r.IntN(60), r.Float64()))
		}
		if r.IntN(5) == 0 {
			var ids []string
			for range r.IntN(40) {
				ids = append(ids, fmt.Sprint(r.IntN(500)))
				delete(plain, ids[len(ids)-1])
			}
			if err := s.Delete(t.Context(), ids); err != nil {
				t.Fatal(err)
			}
		}
		if r.IntN(20) == 0 {
			clear(plain)
			if err := s.Replace(basket.Values(rows)); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Put(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			set(row)
		}
		if s.Len() != len(plain) {
			t.Fatalf("step %d: %d users, want %d", step, s.Len(), len(plain))
		}
		for id, want := range plain {
			got, err := s.Row(t.Context(), id)
			if err != nil || !cmp.Equal(want, got) {
				t.Fatalf("step %d: row of %q: %v, %v, want %v", step, id, got, err, want)
			}
		}
	}
}

// TestMemoryStore_ConcurrentSafe reads while others write and delete: each row is
// whole, and a user never goes back in time.
func TestMemoryStore_ConcurrentSafe(t *testing.T) {
	s := mustStore(t, row("a", 0, 0))
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := -1.0
			for {
				select {
				case <-done:
					return
				default:
				}
				got, err := s.Row(context.Background(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				v := got.Values
				if v[1] != v[0]+1 || v[3] != v[0]+3 || v[0] < last {
					t.Errorf("torn or old row: %v after %v", got, last)
					return
				}
				last = v[0]
			}
		})
	}
	var mu sync.Mutex // orders the writers' numbers
	n := 0
	for w := range 2 {
		writers.Go(func() {
			for i := range 2000 {
				mu.Lock()
				n++
				err := s.Put(context.Background(), []basket.Row{row("a", n, float64(n)), row(fmt.Sprint(w, i), 0, 1)})
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if i%500 == 499 {
					if err := s.Delete(context.Background(), []string{fmt.Sprint(w, i), fmt.Sprint(w, i-1)}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	if want := 1 + 2*(2000-8); s.Len() != want {
		t.Errorf("%d users, want %d", s.Len(), want)
	}
	close(done)
	readers.Wait()
}

// BenchmarkMemoryStore_Delete deletes one of a million users, and puts it back.
func BenchmarkMemoryStore_Delete(b *testing.B) {
	s, err := basket.NewMemoryStore(func(yield func(basket.Row, error) bool) {
		for i := range 1_000_000 {
			if !yield(row(fmt.Sprintf("%0128x", uint64(i)*0x9e3779b1), 0, 1), nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := errors.Join(s.Delete(b.Context(), []string{"a"}), s.Put(b.Context(), []basket.Row{row("a", 0, 1)})); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMemoryStore_Row(b *testing.B) {
	for _, users := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			ids := make([]string, users)
			for i := range ids {
				ids[i] = fmt.Sprintf("%0128x", uint64(i)*0x9e3779b1)
			}
			s, err := basket.NewMemoryStore(func(yield func(basket.Row, error) bool) {
				for _, id := range ids {
					if !yield(row(id, 0, 1), nil) {
						return
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			order := rand.New(rand.NewPCG(1, 1)).Perm(users)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := s.Row(context.Background(), ids[order[i]]); err != nil {
					b.Fatal(err)
				}
				if i++; i == users {
					i = 0
				}
			}
		})
	}
}
