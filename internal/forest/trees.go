package forest

import (
	"errors"
	"fmt"
	"math"
)

// Flags of a node, above its feature.
const (
	flagLeaf uint32 = 1 << (24 + iota)
	flagMissingLeft
	flagZeroMissing
	flagCategories

	featureMask = 1<<24 - 1
	flagsRare   = flagZeroMissing | flagCategories

	nodeBytes = 16
)

// A node is a split or a leaf; the package comment shows its fields.
type node struct {
	threshold float64 // of a categorical split, an index of trees.categories
	left      int32
	meta      uint32
}

// trees is the node array of a forest and what its margins start from. It is
// immutable, and shared by the Forest and its engine.
type trees struct {
	features int
	base     []float64 // by output
	sum32    bool

	nodes      []node
	roots      []int32
	outputs    []int32 // by tree; nil if all are 0
	categories []Categories
	linear     []linearLeaf // by leaf number; nil if no leaf is linear
	coeff      []float64    // of all linear leaves
	coeffOf    []int32      // the features of coeff
	cover      []float64    // by node; nil if the file does not record it
	gain       []float64    // by node, 0 for a leaf; nil if the file does not record it
	leaves     int
	depth      int

	plain bool // no linear leaf, no NaN leaf, and no split with one of flagsRare
}

type linearLeaf struct {
	constant   float64
	start, end int32 // in coeff; start is -1 if the leaf is not linear
}

// output is the output of a tree.
func (t *trees) output(tree int) int {
	if t.outputs == nil {
		return 0
	}
	return int(t.outputs[tree])
}

// end is the position after a tree's last node.
func (t *trees) end(tree int) int {
	if tree+1 < len(t.roots) {
		return int(t.roots[tree+1])
	}
	return len(t.nodes)
}

// add adds a leaf's value to the sum dst[k].
func (t *trees) add(dst []float64, k int, v float64) {
	if t.sum32 {
		dst[k] = float64(float32(dst[k]) + float32(v))
	} else {
		dst[k] += v
	}
}

// sum returns a+b, in float32 if the forest adds in float32.
func (t *trees) sum(a, b float64) float64 {
	if t.sum32 {
		return float64(float32(a) + float32(b))
	}
	return a + b
}

// newTrees checks m and returns its node array.
func newTrees(m *Model) (*trees, error) {
	switch {
	case m.Features < 1 || m.Features > MaxFeatures:
		return nil, fmt.Errorf("%d features: want 1 to %d", m.Features, MaxFeatures)
	case len(m.Base) < 1 || len(m.Base) > MaxOutputs:
		return nil, fmt.Errorf("%d outputs: want 1 to %d", len(m.Base), MaxOutputs)
	}
	t := &trees{features: m.Features, base: m.Base, sum32: m.Sum32}
	total := 0
	covered, gained, linear := len(m.Trees) > 0, len(m.Trees) > 0, false
	for i := range m.Trees {
		from := &m.Trees[i]
		total += len(from.Nodes) + len(from.Leaves)
		covered = covered && len(from.NodeCover) == len(from.Nodes) && len(from.LeafCover) == len(from.Leaves)
		gained = gained && len(from.NodeGain) == len(from.Nodes)
		linear = linear || from.Linear != nil
		if total > maxNodes {
			return nil, fmt.Errorf("tree %d: more than %d nodes in all trees up to it", i, maxNodes)
		}
	}
	t.nodes = make([]node, 0, total)
	t.roots = make([]int32, 0, len(m.Trees))
	if covered {
		t.cover = make([]float64, 0, total)
	}
	if gained {
		t.gain = make([]float64, 0, total)
	}
	if linear {
		t.linear = []linearLeaf{}
	}
	if len(m.Base) > 1 {
		t.outputs = make([]int32, 0, len(m.Trees))
	}
	for i := range m.Trees {
		if err := t.appendTree(&m.Trees[i]); err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	t.plain = t.linear == nil
	for i := range t.nodes {
		n := &t.nodes[i]
		t.plain = t.plain && n.meta&flagsRare == 0 && n.threshold == n.threshold
	}
	return t, nil
}

// appendTree appends a tree to the node array, breadth first. It reaches each node
// and each leaf exactly once, or fails. That excludes cycles, shared nodes and
// unreachable nodes, so that prediction needs no checks.
func (t *trees) appendTree(from *Tree) error {
	if err := t.check(from); err != nil {
		return err
	}
	base := len(t.nodes)
	t.roots = append(t.roots, int32(base))
	if t.outputs != nil {
		t.outputs = append(t.outputs, int32(from.Output))
	}
	// queue[i] is the file's number of the node at position base+i.
	queue := make([]int32, 1, len(from.Nodes)+len(from.Leaves))
	if len(from.Nodes) == 0 {
		queue[0] = ^0
	}
	seen := make([]bool, len(from.Nodes)+len(from.Leaves))
	level, levelEnd := 0, 1
	for i := 0; i < len(queue); i++ {
		if i == levelEnd {
			level, levelEnd = level+1, len(queue)
		}
		at := queue[i]
		n := len(from.Nodes)
		index := int(at)
		if at < 0 {
			index = n + int(^at)
		}
		if at >= 0 && index >= n || index >= len(seen) {
			return fmt.Errorf("child %d: want a node below %d or a leaf, the complement of a number below %d", at, n, len(from.Leaves))
		}
		if seen[index] {
			if at < 0 {
				return fmt.Errorf("leaf %d has two parents", ^at)
			}
			return fmt.Errorf("node %d has two parents, or is its own ancestor", at)
		}
		seen[index] = true
		if at < 0 {
			if err := t.appendLeaf(from, int(^at)); err != nil {
				return err
			}
			continue
		}
		s := &from.Nodes[at]
		left := base + len(queue)
		queue = append(queue, s.Left, s.Right)
		if err := t.appendSplit(from, int(at), int32(left)); err != nil {
			return err
		}
	}
	if len(queue) != len(seen) {
		return fmt.Errorf("%d of %d nodes and leaves are unreachable from the root", len(seen)-len(queue), len(seen))
	}
	t.depth = max(t.depth, level)
	return nil
}

func (t *trees) check(from *Tree) error {
	switch {
	case from.Output < 0 || from.Output >= len(t.base):
		return fmt.Errorf("output %d: want 0 to %d", from.Output, len(t.base)-1)
	case len(from.Leaves) == 0:
		return errors.New("no leaves")
	case len(from.Nodes) != len(from.Leaves)-1:
		return fmt.Errorf("%d splits and %d leaves: want one split fewer than leaves", len(from.Nodes), len(from.Leaves))
	case from.Linear != nil && len(from.Linear) != len(from.Leaves):
		return fmt.Errorf("%d linear functions for %d leaves: want one for each", len(from.Linear), len(from.Leaves))
	}
	return nil
}

func (t *trees) appendLeaf(from *Tree, i int) error {
	if t.linear != nil {
		leaf := linearLeaf{start: -1}
		if from.Linear != nil {
			l := &from.Linear[i]
			if len(l.Features) != len(l.Coeff) {
				return fmt.Errorf("leaf %d: %d features and %d coefficients", i, len(l.Features), len(l.Coeff))
			}
			leaf.constant, leaf.start = l.Const, int32(len(t.coeff))
			for _, j := range l.Features {
				if j < 0 || int(j) >= t.features {
					return fmt.Errorf("leaf %d: feature %d: model has %d features", i, j, t.features)
				}
			}
			t.coeff = append(t.coeff, l.Coeff...)
			t.coeffOf = append(t.coeffOf, l.Features...)
			leaf.end = int32(len(t.coeff))
		}
		t.linear = append(t.linear, leaf)
	}
	t.nodes = append(t.nodes, node{threshold: from.Leaves[i], left: int32(t.leaves), meta: flagLeaf})
	t.leaves++
	if t.cover != nil {
		t.cover = append(t.cover, from.LeafCover[i])
	}
	if t.gain != nil {
		t.gain = append(t.gain, 0)
	}
	return nil
}

func (t *trees) appendSplit(from *Tree, i int, left int32) error {
	s := &from.Nodes[i]
	if s.Feature < 0 || int(s.Feature) >= t.features {
		return fmt.Errorf("node %d: feature %d: model has %d features", i, s.Feature, t.features)
	}
	n := node{threshold: s.Threshold, left: left, meta: uint32(s.Feature)}
	if s.MissingLeft {
		n.meta |= flagMissingLeft
	}
	switch {
	case s.Categories != nil:
		n.meta |= flagCategories
		n.threshold = float64(len(t.categories))
		t.categories = append(t.categories, *s.Categories)
	case math.IsNaN(s.Threshold):
		return fmt.Errorf("node %d: threshold %v: want a number", i, s.Threshold)
	case s.ZeroMissing:
		n.meta |= flagZeroMissing
	}
	t.nodes = append(t.nodes, n)
	if t.cover != nil {
		t.cover = append(t.cover, from.NodeCover[i])
	}
	if t.gain != nil {
		t.gain = append(t.gain, from.NodeGain[i])
	}
	return nil
}
