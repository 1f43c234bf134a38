package basket

import (
	"math/rand/v2"
	"testing"
)

// TestRegularSet compares with a map, for few users and variants and so many pairs
// of equal fingerprints.
func TestRegularSet(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	set, want := newRegularSet(), map[[2]int64]bool{}
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
