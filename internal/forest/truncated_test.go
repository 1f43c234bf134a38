package forest

import (
	"math/rand/v2"
	"testing"
)

// TestTrees_truncate checks that the exits below each split are those of its
// children, and that those of the root are all exits.
func TestTrees_truncate(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, leaves := range []int{1, 2, 31, 32, 33, 63, 64, 65, 300} {
		g := plant(r, 3, leaves)
		f, err := New(g.model)
		if err != nil {
			t.Fatal(err)
		}
		for _, most := range []int{32, 64} {
			all, _, _ := f.trees.truncate(most, f.trees.shares())
			c := all[0]
			exits := uint64(0)
			for i, n := range c {
				if n.child == 0 {
					if exits&n.exits != 0 || n.exits&(n.exits-1) != 0 {
						t.Fatalf("%d leaves: exit %d has bits %b", leaves, i, n.exits)
					}
					exits |= n.exits
				} else if l, r := c[n.child].exits, c[n.child+1].exits; l|r != n.exits || l&r != 0 {
					t.Fatalf("%d leaves: split %d has %b, its children %b and %b", leaves, i, n.exits, l, r)
				}
			}
			want := uint64(1)<<min(leaves, most) - 1
			if exits != want || c[0].exits != want {
				t.Errorf("%d leaves: exits %b, want %b", leaves, exits, want)
			}
		}
	}
}
