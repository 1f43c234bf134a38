package basket

import (
	"math/rand/v2"
	"testing"
)

// TestRegularSet counts as a map does, for sets of all sizes.
func TestRegularSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 6, 7, 8, 100, 1024, 1025, 5000} {
		for range 50 {
			owned := map[int64]bool{}
			var variants []int64
			for len(variants) < size {
				if v := r.Int64N(int64(2*size)) - int64(size)/2; !owned[v] {
					owned[v] = true
					variants = append(variants, v)
				}
			}
			items := make([]int64, r.IntN(40))
			want := map[int64]bool{}
			for i := range items {
				if items[i] = r.Int64N(int64(2*size)+10) - int64(size)/2; items[i]%9 == 0 {
					items[i] = NoVariant
				}
				if owned[items[i]] {
					want[items[i]] = true
				}
			}
			s := newRegularSet(variants)
			if got := s.count(items); int(got) != len(want) || s.n != size {
				t.Fatalf("%d variants, n %d, items %v: %d, want %d", size, s.n, items, got, len(want))
			}
		}
	}
}
