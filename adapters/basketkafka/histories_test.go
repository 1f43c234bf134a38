package basketkafka

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// TestHistories_memory: a feed needs at most 250 bytes for a user, whose ID has 128, and
// 32 for an order.
func TestHistories_memory(t *testing.T) {
	regulars := func(yield func(basket.Regular, error) bool) {}
	snapshot, err := NewSnapshot(regulars, basket.Values([]basket.Item{{VariantID: 1, Price: 2}}), basket.LastOrder)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct{ users, orders int }{{20_000, 1}, {30_000, 1}, {10_000, 3}, {1_000, 60}, {50, 500}} {
		t.Run(fmt.Sprintf("%d users of %d orders", test.users, test.orders), func(t *testing.T) {
			before := heap()
			p := newHistories(snapshot)
			sequence := int64(0)
			for k := range test.orders {
				for u := range test.users {
					sequence++
					at := start.Add(time.Duration(k)*37*time.Hour + time.Duration(u)*123_456*time.Microsecond)
					e := Event{basket.Order{UserID: fmt.Sprintf("%0128d", u), OrderedAt: at, Items: make([]int64, 12)}, sequence}
					if _, added, err := p.insert(e); err != nil || !added {
						t.Fatalf("insert: %v, %v", added, err)
					}
				}
			}
			used := heap() - before
			limit := 250*test.users + 32*test.users*test.orders
			t.Logf("%d bytes, %.0f a user; limit %d", used, float64(used)/float64(test.users), limit)
			if used > limit {
				t.Errorf("%d bytes: want at most %d", used, limit)
			}
			runtime.KeepAlive(p)
		})
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestSnapshot: a user's regulars are those of a map, sorted and without repeats.
func TestSnapshot(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var regulars []basket.Regular
	want := map[string][]int64{}
	for range 500 {
		r := basket.Regular{UserID: fmt.Sprint("user-", random.IntN(40)), VariantID: random.Int64N(12) - 3}
		regulars = append(regulars, r)
		if !slices.Contains(want[r.UserID], r.VariantID) {
			want[r.UserID] = append(want[r.UserID], r.VariantID)
		}
	}
	s, err := NewSnapshot(basket.Values(regulars), basket.Values([]basket.Item{{VariantID: 1, Price: 2}}), basket.NextOrder)
	if err != nil {
		t.Fatal(err)
	}
	want["nobody"] = nil
	for userID, variants := range want {
		slices.Sort(variants)
		if _, got := s.user(userID); !slices.Equal(got, variants) {
			t.Errorf("%s: %v: want %v", userID, got, variants)
		}
	}
}
