package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAxis_find holds the search against counting.
func TestAxis_find(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	inf := math.Inf(1)
	draw := map[string]func() float64{
		"bits":     func() float64 { return math.Float64frombits(r.Uint64()) },
		"normal":   r.NormFloat64,
		"skewed":   func() float64 { return math.Exp(20 * r.NormFloat64()) },
		"integers": func() float64 { return float64(r.IntN(100)) + 0.5 },
		"awkward": func() float64 {
			return []float64{0, math.Copysign(0, -1), 5e-324, -5e-324, inf, -inf, math.MaxFloat64, -math.MaxFloat64, 1}[r.IntN(9)]
		},
	}
	for name, value := range draw {
		for _, n := range []int{0, 1, 2, 3, 7, 8, 100, 1000} {
			a := &axis{}
			for len(a.cuts) < n {
				if v := value(); v == v {
					a.cuts = append(a.cuts, v)
				}
			}
			values := []float64{math.NaN(), -math.NaN(), math.Float64frombits(1<<63 | 0x7ff8<<48), inf, -inf, 0, math.Copysign(0, -1)}
			for range 200 {
				values = append(values, value(), draw["bits"](), r.NormFloat64())
			}
			for _, c := range a.cuts {
				values = append(values, around(c)...)
			}
			a.index()
			if !slices.IsSorted(a.cuts) || a.cuts[len(a.cuts)-1] != inf {
				t.Fatalf("%s: cuts %v", name, a.cuts)
			}
			for _, v := range values {
				want := 0
				for want < len(a.cuts) && !(v <= a.cuts[want]) {
					want++
				}
				if got := a.find(v); got != want {
					t.Fatalf("%s: %v (%x) is in interval %d of %v, want %d", name, v, math.Float64bits(v), got, a.cuts, want)
				}
			}
		}
	}
}

// TestCategories_cuts holds sides between neighbouring cuts equal.
func TestCategories_cuts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		c := &Categories{RestLeft: r.IntN(2) == 0, NegativeLeft: r.IntN(2) == 0, BelowZero: r.IntN(2) == 0, Round32: r.IntN(2) == 0}
		for range r.IntN(4) {
			c.Left = append(c.Left, r.Uint32()&r.Uint32())
		}
		if r.IntN(2) == 0 {
			c.Left, c.Sparse = nil, []int32{0, r.Int32N(40) + 1, 1<<24 + 1, math.MaxInt32}[:2+r.IntN(3)]
		}
		a := &axis{cuts: c.cuts(nil, 1000)}
		a.index()
		for range 500 {
			v := math.Float64frombits(r.Uint64())
			switch r.IntN(4) {
			case 0:
				v = r.NormFloat64() * 50
			case 1:
				v = math.Round(r.NormFloat64() * 50)
			case 2:
				s := around(a.cuts[r.IntN(len(a.cuts))])
				v = s[r.IntN(len(s))]
			}
			if v == v && c.left(v) != c.left(a.at(a.find(v))) {
				t.Fatalf("%+v: %v goes left: %v, but its interval's %v: %v", c, v, c.left(v), a.at(a.find(v)), c.left(a.at(a.find(v))))
			}
		}
	}
}

// TestCrown checks that the exits under each split are those of its children, and
// those of the root all.
func TestCrown(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, leaves := range []int{1, 2, 31, 32, 33, 63, 64, 65, 300} {
		g := plant(r, 3, leaves)
		f, err := New(g.model)
		if err != nil {
			t.Fatal(err)
		}
		for _, most := range []int{32, 64} {
			c := f.crown(0, most)
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
