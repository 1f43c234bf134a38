// Package forest holds tree ensembles and predicts with them. No format's name
// is known here: a reader lowers its file to a [Model], and New checks that and
// lays it out for prediction.
//
// # One question a split
//
// LightGBM asks "v <= t" of float64 values that it first snaps to zero when they
// are tiny; XGBoost asks "v < t" in float32; scikit-learn asks "v <= t" of a
// float32 value and a float64 threshold. Rounding and snapping never change the
// order of two values, so each of these is the same as "v <= t'" in float64 for
// some other threshold t' (threshold.go finds it). Readers lower their rule so,
// and prediction has one question left, with one bit for the side that a missing
// value, NaN, takes:
//
//	missing goes right:  left if v <= t       (false for NaN)
//	missing goes left:   left unless v > t    (true for NaN)
//
// Two kinds of split do not fit: LightGBM's zero-as-missing, where an interval
// around zero takes a side of its own, and sets of categories. They are marked
// by flags and cost a branch that other forests never take.
//
// # The node array
//
// All trees lie in one array of 16-byte nodes. Siblings are neighbours, the left
// one first, so that a step down is one addition; a leaf is a node as well.
//
//	 tree 0                          tree 1
//	+------+------+------+------+--  +------+------+
//	| root |  L   |  R   |  LL  | .. | root |  L   | ..
//	+------+------+------+------+--  +------+------+
//	   |____left____^       ^
//	          |___left______|        right is left+1
//
//	threshold float64  of a split; of a leaf, its value
//	left      int32    of a split, its left child; of a leaf, its number in the forest
//	meta      uint32   flags in the high byte, feature in the low three
//
// The price: a leaf costs 16 bytes where 8 would do. Every forest has this array,
// and can walk it node by node; that is the engine called walk. It waits for
// memory and guesses a branch at each node, some five nanoseconds a split, and is
// left for forests that fit no other: of more than a thousand features, say.
//
// # The table
//
// Give each leaf of a tree a bit. A split whose answer is yes forbids the leaves
// under its right child, one whose answer is no those under its left child, and
// the one leaf that no split forbids is the row's. All splits on one feature,
// over all trees, cut its axis into intervals, so what they forbid can be known
// for each interval beforehand:
//
//	tree 0:        x0 <= 1.5             tree 1:  x1 <= 0
//	         x1 <= 0       x0 <= 4               a       x0 <= 4
//	         a     b       c     d                       b     c
//
//	                      leaf     abcd      abc
//	feature 0  x <= 1.5            1100      110
//	           1.5 < x <= 4        0010      110   row for x0 = 2
//	           4 < x               0001      101
//	           missing             0001      101
//	feature 1  x <= 0              1011      100
//	           0 < x               0111      011   row for x1 = 7
//	           missing             0111      011
//	                               ----      ---
//	                     AND       0010      010   leaf c of tree 0, b of tree 1
//
// A prediction finds one interval a feature, by a search without branches, and
// reads one row of masks for each, from front to back. A tree then takes an AND a
// feature, a multiplication that turns the bit into a number, a load, and an
// addition, which comes in the file's order. No branch depends on the row.
//
// Which leaves an interval forbids is found by asking each split, by the same
// code that walks, about one value of the interval; so the table is exact for
// every kind of split, as long as all cuts are known (axis.go).
//
// A mask has 32 or 64 bits. Of a tree with more leaves, the table covers the part
// around the root through which most training rows went, its crown, and the few
// rows that come out below it elsewhere than at a leaf are walked on.
//
// The price: intervals times trees times 4 or 8 bytes, 92 KB for 100 trees of 31
// leaves over 4 features, and reading one row for each feature, whether or not a
// tree splits on it. So it pays while the features are few or the trees small,
// and its size is bounded.
//
// # Stairs
//
// Where the table would be too large, or the trees too deep to end in their
// crowns, each value is replaced once by the number of its interval. Then nodes
// are 8 bytes, a step is an addition, without a branch, and eight trees of one
// row, or eight rows of one tree, go down side by side (stairs.go). The price: as
// many steps as the longest of eight ways has, and the same search a feature.
//
// # Lanes
//
// On processors with AVX-512 the table is read by registers of eight words, in
// assembly (lanes_amd64.go); its masks are the same, and so are the bits of the
// sums. The tag purego leaves that out.
//
// # The choice
//
// New estimates what each engine costs from what it can count, and takes the
// cheapest; [Forest.Engine] tells which. All give the same bits.
package forest

import (
	"errors"
	"fmt"
	"math"
)

// Limits on what New takes, far above any real model.
const (
	MaxFeatures = 1 << 24
	MaxOutputs  = 1 << 16
	maxNodes    = math.MaxInt32 / 2
)

// A Model is a forest as a reader found it in a file.
type Model struct {
	Features int       // columns of a row
	Base     []float64 // what each output's sum starts from; its length is the number of outputs
	Trees    []Tree    // in the order in which their leaves are added
	Sum32    bool      // add in float32
	Average  int       // if positive, the sum is divided by it before the link
	Link     Link
	Sigmoid  float64 // the factor of LinkSigmoid
}

// A Tree is one tree of a Model.
type Tree struct {
	Output int       // the output that its leaves are added to
	Nodes  []Node    // node 0 is the root; none if the tree is a single leaf
	Leaves []float64 // the leaves' values

	Linear []Linear // if not nil, one a leaf: the value is a linear function

	// How many training rows, or how much weight, went through each node and
	// leaf. Nil if the file does not tell.
	NodeCover, LeafCover []float64
}

// A Node is a split.
type Node struct {
	Feature     int32
	Left, Right int32 // a node, or the bitwise complement of a leaf's number
	Threshold   float64
	MissingLeft bool // where NaN goes

	// ZeroMissing sends values from -ZeroBound to ZeroBound where NaN goes.
	ZeroMissing bool

	// Categories, if not nil, replaces the threshold.
	Categories *Categories
}

// Categories is the rule of a categorical split: a value is cut toward zero to
// an integer, and the integer looked up.
type Categories struct {
	Left     []uint32 // bit c%32 of word c/32: category c goes left
	RestLeft bool     // where categories beyond Left go

	// Sparse, if not nil, stands for a Left of just the words that its last
	// category needs, all of whose bits are set but for the categories that it
	// lists, in ascending order.
	Sparse []int32

	// NegativeLeft is where values from -1 down go; with BelowZero, all values
	// below zero, so that -0.5 is not category 0.
	NegativeLeft bool
	BelowZero    bool

	Round32 bool // round to float32 first
	Wrap    bool // look up the integer's low eight bits
}

// A Linear is a leaf whose value is Const plus the sum of Coeff times feature,
// added in order. If one of the features is NaN the value is the leaf's plain
// one. Values from -ZeroBound to ZeroBound count as zero.
type Linear struct {
	Const    float64
	Features []int32
	Coeff    []float64
}

// node flags, above the feature.
const (
	flagLeaf uint32 = 1 << (24 + iota)
	flagMissingLeft
	flagZeroMissing
	flagCategories

	featureMask = 1<<24 - 1
	flagsRare   = flagZeroMissing | flagCategories
)

type node struct {
	threshold float64 // of flagCategories, an index of Forest.categories
	left      int32
	meta      uint32
}

// A Forest predicts. It is immutable and safe for concurrent use.
type Forest struct {
	features int
	base     []float64
	sum32    bool
	average  float64
	link     Link
	sigmoid  float64

	nodes      []node
	roots      []int32
	outputs    []int32 // by tree; nil if all are 0
	categories []Categories
	linear     []linearLeaf // by leaf number; nil if no tree is linear
	coeff      []float64    // of all linear leaves
	coeffOf    []int32      // and their features
	cover      []float64    // by node; nil if the file does not tell
	leaves     int
	depth      int

	// The engine: one of these, or else the nodes are walked.
	table   *table[float64]
	table32 *table[float32]
	stairs  *stairs

	plain bool // all splits are by threshold alone, all leaves numbers
}

type linearLeaf struct {
	constant   float64
	start, end int32 // in coeff; start is -1 if the leaf is a plain one
}

// Features is the number of columns of a row.
func (f *Forest) Features() int { return f.features }

// Margins is the number of sums that a row gives.
func (f *Forest) Margins() int { return len(f.base) }

// Outputs is the number of predictions that a row gives: the margins, but for
// links that make one of them all.
func (f *Forest) Outputs() int { return f.link.Outputs(len(f.base)) }

// Trees is the number of trees.
func (f *Forest) Trees() int { return len(f.roots) }

// Leaves is the number of leaves of all trees.
func (f *Forest) Leaves() int { return f.leaves }

// Depth is the number of splits on the longest way to a leaf.
func (f *Forest) Depth() int { return f.depth }

// output is the output of a tree.
func (f *Forest) output(tree int) int {
	if f.outputs == nil {
		return 0
	}
	return int(f.outputs[tree])
}

// end is the position after a tree's last node.
func (f *Forest) end(tree int) int {
	if tree+1 < len(f.roots) {
		return int(f.roots[tree+1])
	}
	return len(f.nodes)
}

// New checks m and lays it out for prediction. It keeps parts of m, which the
// caller must not change afterwards. Its errors name tree, node and value.
func New(m *Model) (*Forest, error) { return newForest(m, engineBest) }

// newForest is New with a certain engine, for tests.
func newForest(m *Model, e engine) (*Forest, error) {
	switch {
	case m.Features < 1 || m.Features > MaxFeatures:
		return nil, fmt.Errorf("%d features: want 1 to %d", m.Features, MaxFeatures)
	case len(m.Base) < 1 || len(m.Base) > MaxOutputs:
		return nil, fmt.Errorf("%d outputs: want 1 to %d", len(m.Base), MaxOutputs)
	case m.Link < 0 || m.Link >= linkEnd:
		return nil, fmt.Errorf("link %d: unknown", m.Link)
	}
	f := &Forest{
		features: m.Features, base: m.Base, sum32: m.Sum32, average: float64(m.Average),
		link: m.Link, sigmoid: m.Sigmoid,
	}
	total, leaves := 0, 0
	covered, linear := len(m.Trees) > 0, false
	for i := range m.Trees {
		t := &m.Trees[i]
		total += len(t.Nodes) + len(t.Leaves)
		leaves += len(t.Leaves)
		covered = covered && len(t.NodeCover) == len(t.Nodes) && len(t.LeafCover) == len(t.Leaves)
		linear = linear || t.Linear != nil
		if total > maxNodes {
			return nil, fmt.Errorf("tree %d: more than %d nodes in all", i, maxNodes)
		}
	}
	f.nodes = make([]node, 0, total)
	f.roots = make([]int32, 0, len(m.Trees))
	if covered {
		f.cover = make([]float64, 0, total)
	}
	if linear {
		f.linear = make([]linearLeaf, 0, leaves)
	}
	if len(m.Base) > 1 {
		f.outputs = make([]int32, 0, len(m.Trees))
	}
	for i := range m.Trees {
		if err := f.add(&m.Trees[i]); err != nil {
			return nil, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	f.compile(e)
	return f, nil
}

// add appends a tree to the node array, breadth first. It reaches each node
// and each leaf exactly once, or fails: that rules out cycles, shared nodes and
// orphans, so that prediction needs no checks.
func (f *Forest) add(t *Tree) error {
	if err := f.check(t); err != nil {
		return err
	}
	base := len(f.nodes)
	f.roots = append(f.roots, int32(base))
	if f.outputs != nil {
		f.outputs = append(f.outputs, int32(t.Output))
	}
	root := int32(0)
	if len(t.Nodes) == 0 {
		root = ^0
	}
	// from[i] is what the file calls the node that lies at base+i.
	from := make([]int32, 1, len(t.Nodes)+len(t.Leaves))
	from[0] = root
	seen := make([]bool, len(t.Nodes)+len(t.Leaves))
	level, levelEnd := 0, 1
	for i := 0; i < len(from); i++ {
		if i == levelEnd {
			level, levelEnd = level+1, len(from)
		}
		at := from[i]
		n := len(t.Nodes)
		slot := int(at)
		if at < 0 {
			slot = n + int(^at)
		}
		if at >= 0 && slot >= n || slot >= len(seen) {
			return fmt.Errorf("child %d: want a node below %d or a leaf, the complement of a number below %d", at, n, len(t.Leaves))
		}
		if seen[slot] {
			if at < 0 {
				return fmt.Errorf("leaf %d has two parents", ^at)
			}
			return fmt.Errorf("node %d has two parents, or is its own ancestor", at)
		}
		seen[slot] = true
		if at < 0 {
			if err := f.leaf(t, int(^at)); err != nil {
				return err
			}
			continue
		}
		s := &t.Nodes[at]
		left := base + len(from)
		from = append(from, s.Left, s.Right)
		if err := f.split(t, int(at), int32(left)); err != nil {
			return err
		}
	}
	if len(from) != len(seen) {
		return fmt.Errorf("%d of its %d nodes and leaves hang in the air", len(seen)-len(from), len(seen))
	}
	f.depth = max(f.depth, level)
	return nil
}

func (f *Forest) check(t *Tree) error {
	switch {
	case t.Output < 0 || t.Output >= len(f.base):
		return fmt.Errorf("output %d: want 0 to %d", t.Output, len(f.base)-1)
	case len(t.Leaves) == 0:
		return errors.New("no leaves")
	case len(t.Nodes) != len(t.Leaves)-1:
		return fmt.Errorf("%d splits and %d leaves: want one split fewer than leaves", len(t.Nodes), len(t.Leaves))
	case t.Linear != nil && len(t.Linear) != len(t.Leaves):
		return fmt.Errorf("%d linear functions for %d leaves", len(t.Linear), len(t.Leaves))
	}
	return nil
}

func (f *Forest) leaf(t *Tree, i int) error {
	if f.linear != nil {
		leaf := linearLeaf{start: -1}
		if t.Linear != nil {
			l := &t.Linear[i]
			if len(l.Features) != len(l.Coeff) {
				return fmt.Errorf("leaf %d: %d features and %d coefficients", i, len(l.Features), len(l.Coeff))
			}
			leaf.constant, leaf.start = l.Const, int32(len(f.coeff))
			for _, j := range l.Features {
				if j < 0 || int(j) >= f.features {
					return fmt.Errorf("leaf %d: feature %d: model has %d features", i, j, f.features)
				}
			}
			f.coeff = append(f.coeff, l.Coeff...)
			f.coeffOf = append(f.coeffOf, l.Features...)
			leaf.end = int32(len(f.coeff))
		}
		f.linear = append(f.linear, leaf)
	}
	f.nodes = append(f.nodes, node{threshold: t.Leaves[i], left: int32(f.leaves), meta: flagLeaf})
	f.leaves++
	if f.cover != nil {
		f.cover = append(f.cover, t.LeafCover[i])
	}
	return nil
}

func (f *Forest) split(t *Tree, i int, left int32) error {
	s := &t.Nodes[i]
	if s.Feature < 0 || int(s.Feature) >= f.features {
		return fmt.Errorf("node %d: feature %d: model has %d features", i, s.Feature, f.features)
	}
	n := node{threshold: s.Threshold, left: left, meta: uint32(s.Feature)}
	if s.MissingLeft {
		n.meta |= flagMissingLeft
	}
	switch {
	case s.Categories != nil:
		n.meta |= flagCategories
		n.threshold = float64(len(f.categories))
		f.categories = append(f.categories, *s.Categories)
	case math.IsNaN(s.Threshold):
		return fmt.Errorf("node %d: threshold %v: want a number", i, s.Threshold)
	case s.ZeroMissing:
		n.meta |= flagZeroMissing
	}
	f.nodes = append(f.nodes, n)
	if f.cover != nil {
		f.cover = append(f.cover, t.NodeCover[i])
	}
	return nil
}
