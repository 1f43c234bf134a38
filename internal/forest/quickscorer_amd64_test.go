//go:build !purego

package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func needAVX512(t *testing.T) {
	t.Helper()
	if !hasAVX512 {
		t.Skip("this processor has no AVX-512")
	}
}

// TestQuickScorer_find512 compares with find, for search trees of one to four levels
// and for values at cut points, next to them, and of all other kinds.
func TestQuickScorer_find512(t *testing.T) {
	needAVX512(t)
	r := rand.New(rand.NewPCG(1, 2))
	ts := thresholds(r)
	q := &quickScorer[float64]{words: 8}
	for _, cuts := range []int{1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 1<<16 - 1} {
		iv := intervals{feature: q.features, offset: q.rows * q.words}
		for i := range cuts - 1 {
			switch {
			case cuts < 300 && r.IntN(2) == 0:
				iv.cuts = append(iv.cuts, ts[r.IntN(len(ts))])
			case i%2 == 0:
				iv.cuts = append(iv.cuts, r.NormFloat64())
			default:
				iv.cuts = append(iv.cuts, math.Float64frombits(r.Uint64()))
			}
		}
		iv.cuts = slices.DeleteFunc(iv.cuts, func(v float64) bool { return v != v })
		iv.index()
		q.rows += len(iv.cuts) + 1
		q.intervals = append(q.intervals, iv)
		q.features++
	}
	q.operands = len(q.intervals)
	q.avx512 = newIntervals512(q.intervals)
	odd := plant(r, 1, 1).values
	const n = 20000
	rows := make([]float64, 0, n*q.features)
	for range n {
		for j := range q.intervals {
			cuts := q.intervals[j].cuts
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
	got, want := make([]int, n*q.operands), make([]int, q.operands)
	q.find512(got, rows, n)
	for i := range n {
		q.find(want, rows[i*q.features:])
		for j, w := range want {
			if g := got[i*q.operands+j]; g != w {
				t.Fatalf("value %v with %d cut points: %d, want %d", rows[i*q.features+j], len(q.intervals[j].cuts), g, w)
			}
		}
	}
}

// TestQuickScorer_usesAVX512 checks that forests use AVX-512 where the other tests
// rely on it.
func TestQuickScorer_usesAVX512(t *testing.T) {
	needAVX512(t)
	for _, features := range []int{1, 4, stackOperands + 1, maxFeatures512, maxFeatures512 + 1} {
		for _, sum32 := range []bool{false, true} {
			g := plant(rand.New(rand.NewPCG(1, 1)), features, slices.Repeat([]int{60}, 100)...).threshold()
			g.model.Sum32 = sum32
			for _, e := range []engineKind{narrowEngine, wideEngine} {
				f, err := newForest(g.model, e)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := f.usesAVX512(), features <= maxFeatures512; got != want {
					t.Errorf("%d features, engine %d: AVX-512 %t, want %t", features, e, got, want)
				}
			}
		}
	}
}
