package forest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// BenchmarkMargin compares the engines on random forests. These record no covers, so
// truncated trees are not those that most rows stay in.
func BenchmarkMargin(b *testing.B) {
	const rows = 4096
	for _, size := range []struct{ trees, leaves, features int }{
		{5, 31, 4}, {10, 31, 4}, {20, 31, 4}, {20, 64, 4}, {100, 8, 4}, {100, 31, 4}, {100, 31, 30}, {100, 31, 60}, {100, 64, 8}, {500, 255, 8}, {100, 5000, 8},
	} {
		g := plant(rand.New(rand.NewPCG(1, 1)), size.features, slices.Repeat([]int{size.leaves}, size.trees)...).threshold()
		in, out := make([]float64, rows*size.features), make([]float64, rows)
		for i := range in {
			in[i] = g.NormFloat64() * 4
		}
		for _, e := range []string{"best", "narrow", "wide", "binned", "walk", "plain"} {
			f, err := newForest(g.model, engines[e])
			if err != nil {
				b.Fatal(err)
			}
			if e == "plain" { // the best one without AVX-512
				f = withoutAVX512(b, g.model, bestEngine)
			}
			name := fmt.Sprintf("trees=%d/leaves=%d/features=%d/engine=%s", size.trees, size.leaves, size.features, e)
			b.Run("rows=1/"+name, func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					r := i % rows
					f.Margin(out[r:r+1], in[r*size.features:][:size.features])
				}
			})
			b.Run(fmt.Sprintf("rows=%d/%s", rows, name), func(b *testing.B) {
				for b.Loop() {
					f.Margin(out, in)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
			})
		}
	}
}
