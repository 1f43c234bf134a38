package basket

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSortByTime compares with the standard library's stable sort.
func TestSortByTime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var room []orderFact
	for n := range 200 {
		facts := make([]orderFact, n)
		for i := range facts {
			facts[i] = orderFact{sec: int64(r.IntN(1 + n/2)), nsec: int32(r.IntN(3)), items: int32(i)}
		}
		if n%5 == 0 {
			slices.SortFunc(facts, func(a, b orderFact) int { return cmp.Compare(a.sec, b.sec) }) // nearly sorted
		}
		want := slices.Clone(facts)
		slices.SortStableFunc(want, func(a, b orderFact) int {
			return cmp.Or(cmp.Compare(a.sec, b.sec), cmp.Compare(a.nsec, b.nsec))
		})
		if room = sortByTime(facts, room); !slices.Equal(facts, want) {
			t.Fatalf("%d facts: %v, want %v", n, facts, want)
		}
	}
}

// TestRegularSet compares with a map, for few users and variants and thus many
// pairs of equal prints.
func TestRegularSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	set, want := regularSet{seed: r.Uint64()}, map[[2]int64]bool{}
	for range 300_000 {
		user, variant := int32(r.IntN(300)), int64(r.IntN(600))
		pair := [2]int64{int64(user), variant}
		if r.IntN(3) == 0 {
			if added := set.add(user, variant); added == want[pair] {
				t.Fatalf("add(%v): %t", pair, added)
			}
			want[pair] = true
		}
		if found := set.find(user, variant); (found != nil) != want[pair] || found != nil && (found.user != user || found.variant != variant) {
			t.Fatalf("find(%v): %v, want %t", pair, found, want[pair])
		}
	}
	if set.n != len(want) {
		t.Errorf("%d pairs, want %d", set.n, len(want))
	}
}
