//go:build amd64 && !purego

package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func needLanes(t *testing.T) {
	t.Helper()
	if !lanes {
		t.Skip("this processor has no AVX-512")
	}
}

// TestLanes_find compares with find, for axes of one to four levels and for values
// at cuts, next to them, and of all other kinds.
func TestLanes_find(t *testing.T) {
	needLanes(t)
	r := rand.New(rand.NewPCG(1, 2))
	ts := thresholds(r)
	f := &Forest{}
	table := &table[float64]{words: 8}
	for _, cuts := range []int{1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 1<<16 - 1} {
		a := axis{feature: f.features, base: table.rows * table.words}
		for i := range cuts - 1 {
			switch {
			case cuts < 300 && r.IntN(2) == 0:
				a.cuts = append(a.cuts, ts[r.IntN(len(ts))])
			case i%2 == 0:
				a.cuts = append(a.cuts, r.NormFloat64())
			default:
				a.cuts = append(a.cuts, math.Float64frombits(r.Uint64()))
			}
		}
		a.cuts = slices.DeleteFunc(a.cuts, func(v float64) bool { return v != v })
		a.index()
		table.rows += len(a.cuts) + 1
		table.axes = append(table.axes, a)
		f.features++
	}
	table.reads = len(table.axes)
	table.lanes = newLanes(table.axes)
	odd := plant(r, 1, 1).values
	const n = 20000
	rows := make([]float64, 0, n*f.features)
	for range n {
		for j := range table.axes {
			cuts := table.axes[j].cuts
			v := cuts[r.IntN(len(cuts))]
			switch r.IntN(5) {
			case 0:
				v = math.Nextafter(v, math.Inf(1))
			case 1:
				v = math.Nextafter(v, math.Inf(-1))
			case 2:
				v = odd[r.IntN(len(odd))]
			case 3:
				v = math.Float64frombits(r.Uint64())
			}
			rows = append(rows, v)
		}
	}
	got, want := make([]int, n*table.reads), make([]int, table.reads)
	table.laneFind(f, got, rows, n)
	for i := range n {
		table.find(want, rows[i*f.features:])
		for j, w := range want {
			if g := got[i*table.reads+j]; g != w {
				t.Fatalf("value %v on an axis of %d cuts: %d, want %d", rows[i*f.features+j], len(table.axes[j].cuts), g, w)
			}
		}
	}
}

// TestLanes_taken checks that forests are read by lanes wherever that is tested.
func TestLanes_taken(t *testing.T) {
	needLanes(t)
	for _, features := range []int{1, 4, stackReads + 1, laneReads, laneReads + 1} {
		for _, sum32 := range []bool{false, true} {
			g := plant(rand.New(rand.NewPCG(1, 1)), features, slices.Repeat([]int{60}, 100)...).threshold()
			g.model.Sum32 = sum32
			for _, e := range []engine{engineNarrow, engineWide} {
				f, err := newForest(g.model, e)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := f.laned(), features <= laneReads; got != want {
					t.Errorf("%d features, engine %d: lanes %t, want %t", features, e, got, want)
				}
			}
		}
	}
}
