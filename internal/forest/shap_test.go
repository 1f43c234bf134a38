package forest

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// cover gives a tree's nodes and leaves random numbers of training rows.
func cover(r *rand.Rand, t *Tree) {
	t.NodeCover, t.LeafCover = make([]float64, len(t.Nodes)), make([]float64, len(t.Leaves))
	var rows func(at int32) float64
	rows = func(at int32) float64 {
		if at < 0 {
			t.LeafCover[^at] = float64(r.IntN(20)) // 0 as well
			return t.LeafCover[^at]
		}
		t.NodeCover[at] = rows(t.Nodes[at].Left) + rows(t.Nodes[at].Right)
		return t.NodeCover[at]
	}
	if len(t.Nodes) == 0 {
		t.LeafCover[0] = 1
	} else {
		rows(0)
	}
}

// shapley is the definition of the contributions: the mean, over all orders in which
// features become known, of what each adds to the expected value.
func shapley(m *Model, row []float64) (bias float64, phi []float64) {
	n := m.Features
	known := make([]float64, 1<<n) // by set of features
	for set := range known {
		known[set] = m.Base[0]
		for i := range m.Trees {
			t := &m.Trees[i]
			single := &Model{Features: n, Base: []float64{0}}
			var mean func(at int32) float64
			mean = func(at int32) float64 {
				if at < 0 {
					return t.Leaves[^at]
				}
				s := t.Nodes[at]
				if set>>s.Feature&1 != 0 {
					// The oracle decides which way row goes.
					stump := Tree{Nodes: []Node{s}, Leaves: []float64{0, 1}}
					stump.Nodes[0].Left, stump.Nodes[0].Right = ^0, ^1
					single.Trees = []Tree{stump}
					if oracle(single, row)[0] == 0 {
						return mean(s.Left)
					}
					return mean(s.Right)
				}
				l, r := coverOf(t, s.Left), coverOf(t, s.Right)
				v := 0.0
				if l > 0 {
					v += l / (l + r) * mean(s.Left)
				}
				if r > 0 {
					v += r / (l + r) * mean(s.Right)
				}
				return v
			}
			if len(t.Nodes) == 0 {
				known[set] += t.Leaves[0]
			} else {
				known[set] += mean(0)
			}
		}
	}
	factorial := func(k int) float64 { return math.Round(math.Gamma(float64(k) + 1)) }
	phi = make([]float64, n)
	for set := range known {
		size := 0
		for j := range n {
			size += set >> j & 1
		}
		for j := range n {
			if set>>j&1 == 0 {
				phi[j] += factorial(size) * factorial(n-size-1) / factorial(n) * (known[set|1<<j] - known[set])
			}
		}
	}
	return known[0], phi
}

func coverOf(t *Tree, at int32) float64 {
	if at < 0 {
		return t.LeafCover[^at]
	}
	return t.NodeCover[at]
}

// TestForest_Explain_equalsShapley compares TreeSHAP with the definition, on random
// forests.
func TestForest_Explain_equalsShapley(t *testing.T) {
	explained := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 11))
		g := newGrower(r)
		m := g.model
		m.Sum32 = false
		m.Base = m.Base[:1]
		for i := range m.Trees {
			m.Trees[i].Output, m.Trees[i].Linear = 0, nil
			cover(r, &m.Trees[i])
		}
		f, err := New(m)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			row := g.row()
			got := make([]float64, m.Features)
			bias, err := f.Explain(context.Background(), got, row)
			if err != nil {
				if !strings.Contains(err.Error(), "not both zero") {
					t.Fatal(err)
				}
				continue
			}
			explained++
			wantBias, want := shapley(m, row)
			sum := bias
			for j := range want {
				if math.Abs(got[j]-want[j]) > 1e-9 {
					t.Fatalf("seed %d: row %v: contributions %v, want %v", seed, row, got, want)
				}
				sum += got[j]
			}
			if math.Abs(bias-wantBias) > 1e-9 || math.Abs(sum-oracle(m, row)[0]) > 1e-9 {
				t.Fatalf("seed %d: row %v: bias %v, want %v; sum %v, want %v", seed, row, bias, wantBias, sum, oracle(m, row)[0])
			}
		}
	}
	if explained < 1000 {
		t.Errorf("only %d rows were explained", explained)
	}
}

func TestForest_Explain_refuses(t *testing.T) {
	tests := []struct {
		name string
		edit func(m *Model)
		want string
	}{
		{"two margins", func(m *Model) { m.Base = []float64{0, 0} }, "2 margins"},
		{"no cover", func(m *Model) { m.Trees[0].LeafCover = nil }, "does not record"},
		{"linear leaves", func(m *Model) { m.Trees[0].Linear = make([]Linear, 2) }, "linear leaves"},
		{"no rows", func(m *Model) { m.Trees[0].LeafCover = []float64{0, 0} }, "covers 0 and 0"},
		{"negative rows", func(m *Model) { m.Trees[0].LeafCover = []float64{-1, 2} }, "covers -1 and 2"},
		{"NaN rows", func(m *Model) { m.Trees[0].LeafCover = []float64{math.NaN(), 2} }, "covers NaN and 2"},
	}
	for _, test := range tests {
		tree := stump()
		tree.NodeCover, tree.LeafCover = []float64{3}, []float64{1, 2}
		m := &Model{Features: 1, Base: []float64{0}, Trees: []Tree{tree}}
		test.edit(m)
		f, err := New(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Explain(context.Background(), make([]float64, 1), make([]float64, 1)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
