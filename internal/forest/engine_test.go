package forest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

var engines = map[string]engineKind{
	"best": bestEngine, "narrow": narrowEngine, "wide": wideEngine, "binned": binnedEngine, "walk": walkEngine,
}

// kind returns the key of f's engine in engines.
func (f *Forest) kind() string {
	wide := false
	switch e := f.engine.(type) {
	case *quickScorer[float64]:
		wide = e.wide
	case *quickScorer[float32]:
		wide = e.wide
	default:
		return e.name()
	}
	if wide {
		return "wide"
	}
	return "narrow"
}

// truncated reports whether f's engine covers trees in part.
func (f *Forest) truncated() bool {
	switch e := f.engine.(type) {
	case *quickScorer[float64]:
		return e.resume != nil
	case *quickScorer[float32]:
		return e.resume != nil
	}
	return false
}

// plant makes a model of trees with the given numbers of leaves.
func plant(r *rand.Rand, features int, sizes ...int) *grower {
	g := &grower{Rand: r, model: &Model{Features: features, Base: []float64{float64(float32(r.NormFloat64()))}}, wrap: -1}
	g.values = []float64{
		0, math.Copysign(0, -1), ZeroBound, -ZeroBound, math.NaN(), math.Float64frombits(1<<63 | 0x7ff8<<48),
		math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, -5e-324,
	}
	for _, n := range sizes {
		g.tree(n, false)
	}
	return g
}

// threshold makes all splits of g plain.
func (g *grower) threshold() *grower {
	for i := range g.model.Trees {
		for j := range g.model.Trees[i].Nodes {
			n := &g.model.Trees[i].Nodes[j]
			n.Categories, n.ZeroMissing = nil, false
		}
	}
	return g
}

// rows makes n rows.
func (g *grower) rows(n int) []float64 {
	var rows []float64
	for range n {
		rows = append(rows, g.row()...)
	}
	return rows
}

// checkEngines compares all engines, with AVX-512 and without, with the oracle.
func checkEngines(t *testing.T, m *Model, rows []float64) {
	t.Helper()
	var want []float64
	for i := 0; i < len(rows); i += m.Features {
		want = append(want, oracle(m, rows[i:][:m.Features])...)
	}
	for name, e := range engines {
		f, err := newForest(m, e)
		if err != nil {
			t.Fatal(err)
		}
		checkEngine(t, name, f, rows, want)
		if f.usesAVX512() {
			checkEngine(t, name, withoutAVX512(t, m, e), rows, want)
		}
	}
}

func (f *Forest) usesAVX512() bool { return f.Engine() == "quickscorer-avx512" }

// withoutAVX512 is newForest as on a processor without AVX-512.
func withoutAVX512(t testing.TB, m *Model, e engineKind) *Forest {
	t.Helper()
	defer func(has bool) { hasAVX512 = has }(hasAVX512)
	hasAVX512 = false
	f, err := newForest(m, e)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkEngine compares f's margins for all numbers of rows that engines treat
// differently.
func checkEngine(t *testing.T, name string, f *Forest, rows, want []float64) {
	t.Helper()
	n, features, margins := len(rows)/f.Features(), f.Features(), f.Margins()
	for _, count := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 22, 23, 63, 64, 65, 127, 128, 129, n} {
		count = min(count, n)
		for first := 0; first == 0 || first < n && first < 50 && count > 0 && count < 10; first += max(count, 1) {
			count := min(count, n-first)
			got := make([]float64, count*margins)
			f.Margin(got, rows[first*features:][:count*features])
			for i, v := range got {
				w := want[first*margins+i]
				if math.Float64bits(v) != math.Float64bits(w) && !(v != v && w != w) {
					t.Fatalf("%s (%s), row %d of %d, %v: margin %d is %v, want %v", name, f.Engine(), i/margins, count,
						rows[(first+i/margins)*features:][:features], i%margins, v, w)
				}
			}
		}
	}
}

// TestEngines_sizes has trees with fewer leaves than a bitvector has bits, as many,
// and more, in forests with fewer trees than are walked at a time, as many, and more.
func TestEngines_sizes(t *testing.T) {
	for i, leaves := range []int{1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257} {
		t.Run(fmt.Sprintf("leaves=%d", leaves), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(leaves), 1))
			for _, trees := range []int{1, 2, 7, 8, 9, 17, 70} {
				if trees == 70 && leaves > 65 { // more than AVX-512 takes at a time
					continue
				}
				for _, sum32 := range []bool{false, true} {
					g := plant(r, 1+(i+trees)%6, slices.Repeat([]int{leaves}, trees)...)
					if trees%2 == 1 {
						g.threshold()
					}
					g.model.Sum32 = sum32
					checkEngines(t, g.model, g.rows(min(130, 1000/trees)))
				}
			}
		})
	}
}

// TestEngines_mixed has trees of many sizes, several outputs, more features than
// stackOperands, and more words than chunkWords.
func TestEngines_mixed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, features := range []int{1, 5, 31, 33, 40} {
		for _, outputs := range []int{1, 3} {
			var sizes []int
			for range 150 {
				sizes = append(sizes, 1+r.IntN(1+r.IntN(80)))
			}
			g := plant(r, features, sizes...)
			g.model.Base = make([]float64, outputs)
			g.model.Base[outputs-1] = math.Copysign(0, -1)
			for i := range g.model.Trees {
				g.model.Trees[i].Output = r.IntN(1 + r.IntN(outputs))
			}
			checkEngines(t, g.threshold().model, g.rows(130))
		}
	}
}

// TestEngines_random has all kinds of splits and leaves, including linear ones.
func TestEngines_random(t *testing.T) {
	for seed := range uint64(60) {
		g := newGrower(rand.New(rand.NewPCG(seed, 11)))
		checkEngines(t, g.model, g.rows(70))
	}
}

// TestEngines_cuts has values at each threshold and around it.
func TestEngines_cuts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	ts := thresholds(r)
	g := plant(r, 1, slices.Repeat([]int{33}, 20)...)
	rows := slices.Clone(g.values)
	for i := range g.model.Trees {
		for j := range g.model.Trees[i].Nodes {
			n := &g.model.Trees[i].Nodes[j]
			n.Threshold = ts[r.IntN(40)] // the special ones, many times
			if i%2 == 0 {
				n.Threshold = ts[r.IntN(len(ts))]
			}
			if math.IsNaN(n.Threshold) {
				n.Threshold = math.Inf(1)
			}
			if n.Categories == nil {
				rows = append(rows, around(n.Threshold)...)
			}
		}
	}
	checkEngines(t, g.model, rows)
	checkEngines(t, g.threshold().model, rows)
}

// TestEngines_odd has sums of zeros, infinities and NaN.
func TestEngines_odd(t *testing.T) {
	zero := math.Copysign(0, -1)
	for _, leaves := range [][]float64{{zero, zero}, {math.NaN(), 1}, {math.Inf(1), math.Inf(-1)}, {1e300, -1e300}} {
		for _, base := range []float64{zero, 0, 1e300, math.Inf(-1)} {
			for _, sum32 := range []bool{false, true} {
				a, b := stump(), stump()
				a.Leaves, b.Leaves = leaves, leaves
				b.Nodes = []Node{{Feature: 0, Left: ^0, Right: ^1, Threshold: 2}}
				m := &Model{Features: 1, Base: []float64{base}, Trees: []Tree{a, b, {Leaves: []float64{zero}}}, Sum32: sum32}
				checkEngines(t, m, []float64{0, 1, 1.5, 2, 3, math.NaN()})
			}
		}
	}
}

// TestEngines_chosen checks that newForest makes the engine that is asked for, and
// that the choice is the expected one.
func TestEngines_chosen(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	small := plant(r, 4, slices.Repeat([]int{31}, 100)...).threshold().model
	for name, e := range engines {
		f, err := newForest(small, e)
		if err != nil {
			t.Fatal(err)
		}
		if name == "best" {
			name = "narrow"
		}
		if f.kind() != name {
			t.Errorf("engine %d: %s", e, f.kind())
		}
	}
	scorer := "quickscorer"
	if hasAVX512 {
		scorer = "quickscorer-avx512"
	}
	tests := []struct {
		model *Model
		want  string
		bytes int
	}{
		{small, scorer, 0},
		{plant(r, 4, 40, 60, 64).threshold().model, scorer, 0},
		{plant(r, 2000, slices.Repeat([]int{40}, 100)...).threshold().model, "walk", 16 * 79 * 100},
		{plant(r, 20, slices.Repeat([]int{3000}, 100)...).threshold().model, "binned", 0},
		{plant(r, 4, 1, 1).model, "walk", 32},
	}
	for _, test := range tests {
		f, err := New(test.model)
		if err != nil {
			t.Fatal(err)
		}
		if f.Engine() != test.want || f.truncated() {
			t.Errorf("engine %q, truncated %t, want %q", f.Engine(), f.truncated(), test.want)
		}
		nodes := int(unsafe.Sizeof(node{})) * len(f.trees.nodes)
		if b := f.EngineBytes(); b < nodes/4 || b > 100*nodes || test.bytes > 0 && b != test.bytes {
			t.Errorf("%s: %d bytes for %d bytes of nodes, want %d", test.want, b, nodes, test.bytes)
		}
	}
}

// TestNew_bounded makes forests for which tables would be large, and checks time and
// memory of New.
func TestNew_bounded(t *testing.T) {
	wide := plant(rand.New(rand.NewPCG(1, 1)), 1, slices.Repeat([]int{64}, 2000)...).threshold().model
	for i := range wide.Trees {
		for j := range wide.Trees[i].Nodes {
			wide.Trees[i].Nodes[j].Threshold = float64(i*64 + j)
		}
	}
	categories := plant(rand.New(rand.NewPCG(1, 1)), 1, slices.Repeat([]int{2}, 1000)...).model
	set := make([]uint32, 1<<20)
	for i := range set {
		set[i] = 0x55555555
	}
	for i := range categories.Trees {
		categories.Trees[i].Nodes[0].Categories = &Categories{Left: set}
	}
	stumps := plant(rand.New(rand.NewPCG(1, 1)), 1<<20, slices.Repeat([]int{2}, 200_000)...).threshold().model
	sets := plant(rand.New(rand.NewPCG(1, 1)), 1, append(slices.Repeat([]int{2}, 1000), 100_000)...).threshold().model
	for i := range sets.Trees[:1000] {
		sets.Trees[i].Nodes[0].Categories = &Categories{Left: []uint32{uint32(i)}}
	}
	for j := range sets.Trees[1000].Nodes {
		sets.Trees[1000].Nodes[j].Threshold = float64(j)
	}
	for name, m := range map[string]*Model{"cuts": wide, "categories": categories, "features": stumps, "sets": sets} {
		nodes := 0
		for i := range m.Trees {
			nodes += 2*len(m.Trees[i].Leaves) - 1
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		f, err := New(m)
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		took, bytes := time.Since(start), after.TotalAlloc-before.TotalAlloc
		t.Logf("%s: %s, %v, %d KB for %d nodes", name, f.Engine(), took.Round(time.Millisecond), bytes>>10, nodes)
		if bytes > 64<<20+400*uint64(nodes) {
			t.Errorf("%s: New allocates %d bytes for %d nodes", name, bytes, nodes)
		}
		if took > 20*time.Second { // a fifth of a second on an idle machine
			t.Errorf("%s: New takes %v", name, took)
		}
	}
}

// TestPredict_allocates checks that prediction allocates nothing except what a pool
// may have dropped, which the race detector makes it do.
func TestPredict_allocates(t *testing.T) {
	g := plant(rand.New(rand.NewPCG(1, 1)), 5, slices.Repeat([]int{100}, 50)...).threshold()
	rows := g.rows(100)
	dst := make([]float64, 100)
	for name, e := range engines {
		f, err := newForest(g.model, e)
		if err != nil {
			t.Fatal(err)
		}
		one := testing.AllocsPerRun(100, func() { f.Predict(dst[:1], rows[:5]) })
		all := testing.AllocsPerRun(100, func() { f.Predict(dst, rows) })
		if one > 2 || all > 2 {
			t.Errorf("%s: %v allocations for a row, %v for many rows", name, one, all)
		}
	}
}

// TestPredict_doesNotEscape checks that dst and rows stay on the caller's stack, with
// engines that need no pool.
func TestPredict_doesNotEscape(t *testing.T) {
	g := plant(rand.New(rand.NewPCG(1, 1)), 5, slices.Repeat([]int{30}, 50)...).threshold()
	for _, sum32 := range []bool{false, true} {
		g.model.Sum32 = sum32
		for _, name := range []string{"best", "narrow", "wide", "walk"} {
			f, err := newForest(g.model, engines[name])
			if err != nil {
				t.Fatal(err)
			}
			if n := testing.AllocsPerRun(100, func() {
				var dst [8]float64
				var rows [8 * 5]float64
				f.Predict(dst[:1], rows[:5])
				f.Margin(dst[:], rows[:])
			}); n != 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	}
}

// FuzzWalk compares the bits of all engines, for a random forest and rows of any
// bits.
func FuzzWalk(f *testing.F) {
	f.Add(uint64(1), []byte("\x00\x00\x00\x00\x00\x00\xf8\x7f01234567"))
	f.Add(uint64(2), []byte("\x00\x00\x00\x00\x00\x00\xf0\xff\x00\x00\x00\x00\x00\x00\x00\x80"))
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		g := newGrower(rand.New(rand.NewPCG(seed, 9)))
		rows := g.rows(20)
		for i := range min(len(data)/8, len(rows)) {
			bits := uint64(0)
			for _, b := range data[8*i:][:8] {
				bits = bits<<8 | uint64(b)
			}
			rows[i] = math.Float64frombits(bits)
		}
		checkEngines(t, g.model, rows)
	})
}
