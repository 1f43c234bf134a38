package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestIntervals_find compares the search with counting.
func TestIntervals_find(t *testing.T) {
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
			iv := &intervals{}
			for len(iv.cuts) < n {
				if v := value(); v == v {
					iv.cuts = append(iv.cuts, v)
				}
			}
			values := []float64{math.NaN(), -math.NaN(), math.Float64frombits(1<<63 | 0x7ff8<<48), inf, -inf, 0, math.Copysign(0, -1)}
			for range 200 {
				values = append(values, value(), draw["bits"](), r.NormFloat64())
			}
			for _, c := range iv.cuts {
				values = append(values, around(c)...)
			}
			iv.index()
			if !slices.IsSorted(iv.cuts) || iv.cuts[len(iv.cuts)-1] != inf {
				t.Fatalf("%s: cuts %v", name, iv.cuts)
			}
			for _, v := range values {
				want := 0
				for want < len(iv.cuts) && !(v <= iv.cuts[want]) {
					want++
				}
				if got := iv.find(v); got != want {
					t.Fatalf("%s: %v (%x) is in interval %d of %v, want %d", name, v, math.Float64bits(v), got, iv.cuts, want)
				}
			}
		}
	}
}

// TestCategories_cuts checks that all values of an interval go to the same side.
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
		iv := &intervals{cuts: c.cuts(nil, 1000)}
		iv.index()
		for range 500 {
			v := math.Float64frombits(r.Uint64())
			switch r.IntN(4) {
			case 0:
				v = r.NormFloat64() * 50
			case 1:
				v = math.Round(r.NormFloat64() * 50)
			case 2:
				s := around(iv.cuts[r.IntN(len(iv.cuts))])
				v = s[r.IntN(len(s))]
			}
			if v == v && c.left(v) != c.left(iv.value(iv.find(v))) {
				t.Fatalf("%+v: %v goes left: %v, but its interval's %v: %v", c, v, c.left(v), iv.value(iv.find(v)), c.left(iv.value(iv.find(v))))
			}
		}
	}
}
