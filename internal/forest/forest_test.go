package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A grower makes random trees and collects the values around their cut points.
type grower struct {
	*rand.Rand
	model  *Model
	values []float64
	wrap   int // the feature whose splits are all by categories that wrap, or -1
}

func newGrower(r *rand.Rand) *grower {
	g := &grower{Rand: r, model: &Model{Features: 1 + r.IntN(6), Base: make([]float64, 1+r.IntN(3)), Sum32: r.IntN(2) == 0}}
	for k := range g.model.Base {
		g.model.Base[k] = float64(float32(r.NormFloat64()))
	}
	g.wrap = r.IntN(12) - 6
	g.values = []float64{
		0, math.Copysign(0, -1), ZeroBound, -ZeroBound, math.NaN(), math.Inf(1), math.Inf(-1),
		-1, -0.5, 31, 32, 64, 255, 256, 300, 1e10, 2.9999999999, math.MaxInt32, -math.MaxInt32 - 1,
	}
	linear := r.IntN(4) == 0
	for range 1 + r.IntN(12) {
		g.tree(1+r.IntN(40), linear && r.IntN(2) == 0)
	}
	return g
}

func (g *grower) tree(leaves int, linear bool) {
	t := Tree{Output: g.IntN(len(g.model.Base))}
	g.grow(&t, leaves)
	if linear {
		for range leaves {
			l := Linear{Const: g.NormFloat64()}
			for j := range g.model.Features {
				if g.IntN(2) == 0 {
					l.Features = append(l.Features, int32(j))
					l.Coeff = append(l.Coeff, g.NormFloat64())
				}
			}
			t.Linear = append(t.Linear, l)
		}
	}
	g.model.Trees = append(g.model.Trees, t)
}

// grow appends a subtree and returns its number as its parent's child.
func (g *grower) grow(t *Tree, leaves int) int32 {
	if leaves == 1 {
		t.Leaves = append(t.Leaves, float64(float32(g.NormFloat64())))
		return int32(^(len(t.Leaves) - 1))
	}
	i := len(t.Nodes)
	n := Node{
		Feature: int32(g.IntN(g.model.Features)), Threshold: math.Round(g.NormFloat64() * 4),
		MissingLeft: g.IntN(2) == 0, ZeroMissing: g.IntN(4) == 0,
	}
	g.values = append(g.values, n.Threshold, math.Nextafter(n.Threshold, 99), math.Nextafter(n.Threshold, -99))
	if g.IntN(4) == 0 {
		n.Categories = &Categories{
			RestLeft: g.IntN(2) == 0, NegativeLeft: g.IntN(2) == 0, BelowZero: g.IntN(2) == 0, Round32: g.IntN(2) == 0,
		}
		for range g.IntN(4) {
			n.Categories.Left = append(n.Categories.Left, g.Uint32())
		}
		if g.IntN(4) == 0 {
			n.Categories.Left, n.Categories.Sparse = nil, []int32{}
			for range g.IntN(4) {
				n.Categories.Sparse = append(n.Categories.Sparse, g.Int32N(70), g.Int32())
			}
			slices.Sort(n.Categories.Sparse)
			n.Categories.Sparse = slices.Compact(n.Categories.Sparse)
			for _, c := range n.Categories.Sparse {
				g.values = append(g.values, float64(c), float64(float32(c)), math.Nextafter(float64(c), 0), float64(c)+1)
			}
		}
	}
	if int(n.Feature) == g.wrap {
		n.ZeroMissing = false
		n.Categories = &Categories{RestLeft: g.IntN(2) == 0, NegativeLeft: g.IntN(2) == 0, BelowZero: g.IntN(2) == 0, Wrap: true}
		for range 8 {
			n.Categories.Left = append(n.Categories.Left, g.Uint32())
		}
	}
	t.Nodes = append(t.Nodes, n)
	left := 1 + g.IntN(leaves-1)
	l, r := g.grow(t, left), g.grow(t, leaves-left)
	t.Nodes[i].Left, t.Nodes[i].Right = l, r
	return int32(i)
}

func (g *grower) row() []float64 {
	row := make([]float64, g.model.Features)
	for j := range row {
		row[j] = g.values[g.IntN(len(g.values))]
		if g.IntN(3) == 0 {
			row[j] = g.NormFloat64() * 10
		}
	}
	return row
}

// oracle computes margins as the comments of Model define them, rule by rule.
func oracle(m *Model, row []float64) []float64 {
	sums := append([]float64(nil), m.Base...)
	zero := func(v float64) bool { return v >= -ZeroBound && v <= ZeroBound }
	for _, t := range m.Trees {
		at := int32(-1)
		if len(t.Nodes) > 0 {
			at = 0
		}
		for at >= 0 {
			n := t.Nodes[at]
			v := row[n.Feature]
			left := false
			switch c := n.Categories; {
			case math.IsNaN(v):
				left = n.MissingLeft
			case c != nil:
				if c.Round32 {
					v = float64(float32(v))
				}
				category := math.Trunc(v)
				if c.Wrap && category >= 0 && category < 1<<31 {
					category = float64(int(category) % 256)
				}
				switch {
				case category < 0 || c.BelowZero && v < 0:
					left = c.NegativeLeft
				case len(c.Sparse) > 0 && category < float64(c.Sparse[len(c.Sparse)-1]/32*32)+32:
					left = !slices.Contains(c.Sparse, int32(category))
				case category >= float64(32*len(c.Left)):
					left = c.RestLeft
				default:
					left = c.Left[int(category)/32]&(1<<(int(category)%32)) != 0
				}
			case n.ZeroMissing && zero(v):
				left = n.MissingLeft
			default:
				left = v <= n.Threshold
			}
			at = n.Right
			if left {
				at = n.Left
			}
		}
		value := t.Leaves[^at]
		if t.Linear != nil {
			l := t.Linear[^at]
			sum := l.Const
			for i, j := range l.Features {
				v := row[j]
				if zero(v) {
					v = 0
				}
				sum += float64(l.Coeff[i] * v)
				if math.IsNaN(v) {
					sum = math.NaN()
				}
			}
			nan := false
			for _, j := range l.Features {
				nan = nan || math.IsNaN(row[j])
			}
			if !nan {
				value = sum
			}
		}
		if m.Sum32 {
			sums[t.Output] = float64(float32(sums[t.Output]) + float32(value))
		} else {
			sums[t.Output] += value
		}
	}
	return sums
}

// TestForest_equalsOracle compares random forests with the oracle, to the last bit.
func TestForest_equalsOracle(t *testing.T) {
	for seed := range uint64(300) {
		g := newGrower(rand.New(rand.NewPCG(seed, 7)))
		f, err := New(g.model)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		const n = 50
		var rows []float64
		for range n {
			rows = append(rows, g.row()...)
		}
		got := make([]float64, n*f.Margins())
		f.Margin(got, rows)
		for i := range n {
			row := rows[i*f.trees.features:][:f.trees.features]
			for k, want := range oracle(g.model, row) {
				if math.Float64bits(got[i*f.Margins()+k]) != math.Float64bits(want) {
					t.Fatalf("seed %d: row %v: margin %d is %v, want %v", seed, row, k, got[i*f.Margins()+k], want)
				}
			}
		}
	}
}

// stump is a tree of two leaves.
func stump() Tree {
	return Tree{Nodes: []Node{{Feature: 0, Left: ^0, Right: ^1, Threshold: 1}}, Leaves: []float64{1, 2}}
}

func TestNew_refuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(m *Model)
		want string
	}{
		{"no features", func(m *Model) { m.Features = 0 }, "0 features"},
		{"no outputs", func(m *Model) { m.Base = nil }, "0 outputs"},
		{"unknown link", func(m *Model) { m.Link = linkEnd }, "link"},
		{"feature out of range", func(m *Model) { m.Trees[1].Nodes[0].Feature = 9 }, "tree 1: node 0: feature 9: model has 2 features"},
		{"negative feature", func(m *Model) { m.Trees[1].Nodes[0].Feature = -1 }, "feature -1"},
		{"child out of range", func(m *Model) { m.Trees[1].Nodes[0].Left = 5 }, "tree 1: child 5"},
		{"leaf out of range", func(m *Model) { m.Trees[1].Nodes[0].Left = ^7 }, "child -8"},
		{"own parent", func(m *Model) { m.Trees[1].Nodes[0].Left = 0 }, "node 0 has two parents"},
		{"leaf twice", func(m *Model) { m.Trees[1].Nodes[0].Left = ^1 }, "leaf 1 has two parents"},
		{"NaN threshold", func(m *Model) { m.Trees[1].Nodes[0].Threshold = math.NaN() }, "threshold NaN"},
		{"output out of range", func(m *Model) { m.Trees[1].Output = 1 }, "output 1"},
		{"no leaves", func(m *Model) { m.Trees[1].Leaves = nil }, "no leaves"},
		{"leaves left over", func(m *Model) { m.Trees[1].Leaves = []float64{1, 2, 3} }, "want one split fewer"},
		{"linear functions missing", func(m *Model) { m.Trees[1].Linear = make([]Linear, 1) }, "1 linear functions for 2 leaves"},
		{"linear feature out of range", func(m *Model) {
			m.Trees[1].Linear = []Linear{{}, {Features: []int32{2}, Coeff: []float64{1}}}
		}, "leaf 1: feature 2"},
		{"linear lengths", func(m *Model) {
			m.Trees[1].Linear = []Linear{{}, {Features: []int32{1}}}
		}, "1 features and 0 coefficients"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &Model{Features: 2, Base: []float64{0}, Trees: []Tree{stump(), stump()}}
			test.edit(m)
			_, err := New(m)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New: %v, want %q", err, test.want)
			}
		})
	}
}

// TestNew_refusesUnreachable has the right number of nodes, but a cycle that the root
// does not reach.
func TestNew_refusesUnreachable(t *testing.T) {
	tree := Tree{Leaves: []float64{1, 2, 3}, Nodes: []Node{{Left: ^0, Right: ^1}, {Left: 1, Right: ^2}}}
	_, err := New(&Model{Features: 1, Base: []float64{0}, Trees: []Tree{tree}})
	if err == nil || !strings.Contains(err.Error(), "2 of 5 nodes and leaves are unreachable from the root") {
		t.Errorf("New: %v", err)
	}
}

// TestLinks checks each link at simple margins; the readers' tests compare its bits
// with the libraries' predictions.
func TestLinks(t *testing.T) {
	tests := []struct {
		link    Link
		margins []float64
		want    []float64
	}{
		{LinkIdentity, []float64{-3}, []float64{-3}},
		{LinkSignedSquare, []float64{-3, 2, 0, math.Copysign(0, -1)}, []float64{-9, 4, 0, 0}},
		{LinkExp, []float64{0, math.Inf(-1)}, []float64{1, 0}},
		{LinkSigmoid, []float64{0, math.Inf(1), math.Inf(-1)}, []float64{0.5, 1, 0}},
		{LinkLog1pExp, []float64{math.Inf(-1)}, []float64{0}},
		{LinkSoftmax, []float64{7, 7}, []float64{0.5, 0.5}},
		{LinkArgmax, []float64{1, 3, 3}, []float64{1}},
		{LinkPositive, []float64{-1, 0, 1e-300}, []float64{0, 0, 1}},
	}
	for _, test := range tests {
		m := &Model{Features: 1, Base: test.margins, Link: test.link, Sigmoid: 1}
		f, err := New(m)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float64, f.Outputs())
		f.Predict(got, []float64{0})
		for k := range test.want {
			if math.Float64bits(got[k]) != math.Float64bits(test.want[k]) {
				t.Errorf("link %d of %v: %v, want %v", test.link, test.margins, got, test.want)
			}
		}
	}
}
