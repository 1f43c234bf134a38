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
	var scratch []orderFact
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
		if scratch = sortByTime(facts, scratch); !slices.Equal(facts, want) {
			t.Fatalf("%d facts: %v, want %v", n, facts, want)
		}
	}
}
