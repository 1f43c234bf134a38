// Package forest holds additive tree models and computes their predictions. It
// knows no file format: a reader lowers its file to a [Model]; New checks the model
// and lays it out for prediction.
//
// # Splits
//
// LightGBM tests "v <= t" on float64 values of which tiny ones are first set to
// zero, XGBoost tests "v < t" in float32, and scikit-learn tests "v <= t" with v
// rounded to float32 and t in float64. Neither rounding nor setting to zero reverses
// the order of two values, so each of these tests equals "v <= t'" in float64 for
// another threshold t' (threshold.go computes it), which readers store. One test
// remains, and one bit for the default direction, which a missing value (NaN) takes:
//
//	default right:  left if v <= t       (false for NaN)
//	default left:   left unless v > t    (true for NaN)
//
// Two kinds of split do not have this form: LightGBM's zero_as_missing, which sends
// an interval around zero in the default direction, and categorical splits. Flags
// mark them, and other splits do not pay for them.
//
// # Node array
//
// All trees are stored in one array of 16-byte nodes, each tree breadth first.
// Siblings are adjacent, the left one first, and a leaf is a node too:
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
// Engines compute margins from it. They all add the same leaf values in the order of
// the trees, so their results are equal to the last bit.
//
// # Engine walk
//
// The node array is followed from root to leaf, tree by tree. A step takes about five
// nanoseconds: it waits for a load and for a branch that is hard to predict. This
// engine remains for forests that no other fits, such as one of more than a thousand
// features.
//
// # Engines quickscorer and quickscorer-avx512
//
// QuickScorer (C. Lucchese et al., "QuickScorer: A Fast Algorithm to Rank Documents
// with Additive Ensembles of Regression Trees", SIGIR 2015) gives each leaf of a tree
// a bit and each split a bitvector of the leaves that remain reachable if its test is
// false. It visits the false splits feature by feature, in the order of their
// thresholds, and ANDs their bitvectors. The leftmost remaining bit is the exit leaf.
//
// Here the ANDs within a feature are precomputed. The thresholds of all splits on a
// feature, over all trees, divide its values into intervals, and a table has, for
// each interval and tree, the AND of the bitvectors of all splits on the feature: of
// those that test true, which exclude the leaves on their right, as well as of those
// that test false. The AND over the features then leaves exactly one bit. As in
// RapidScorer (T. Ye et al., "RapidScorer: Fast Tree Ensemble Evaluation by Maximizing
// Compactness in Data Parallelization", KDD 2018), equal thresholds in different trees
// share an entry. Its epitomes, which omit the bytes of a bitvector that are all ones,
// are not used, since ANDing them takes a loop whose length depends on the row.
//
//	tree 0:        x0 <= 1.5             tree 1:  x1 <= 0
//	         x1 <= 0       x0 <= 4               a       x0 <= 4
//	         a     b       c     d                       b     c
//
//	                      leaf     abcd      abc
//	feature 0  x <= 1.5            1100      110
//	           1.5 < x <= 4        0010      110   table row for x0 = 2
//	           4 < x               0001      101
//	           missing             0001      101
//	feature 1  x <= 0              1011      100
//	           0 < x               0111      011   table row for x1 = 7
//	           missing             0111      011
//	                               ----      ---
//	                     AND       0010      010   leaf c of tree 0, b of tree 1
//
// A prediction finds one interval per feature, by a search without branches, and
// reads one table row per feature from front to back. Each tree takes an AND per
// feature, a multiplication that maps the remaining bit to an index, a load and an
// addition. No branch depends on the values of the row.
//
// The table is filled by testing each split, with the code of engine walk, on one
// value of each interval. So it is exact for every kind of split, provided that the
// cut points between intervals are complete (intervals.go).
//
// A bitvector has 32 or 64 bits. Of a tree with more leaves, the table covers the part
// around the root through which most training rows went (truncated.go). Rows that
// leave this part at a split are walked on from there.
//
// The table has intervals times trees times 4 or 8 bytes, 92 KB for 100 trees of 31
// leaves over 4 features, and a prediction reads a row of it for each feature, whether
// or not a tree uses the feature. So it is fast while features are few or trees small,
// and its size is bounded.
//
// V-QuickScorer (C. Lucchese et al., "Exploiting CPU SIMD Extensions to Speed-up
// Document Scoring with Tree Ensembles", SIGIR 2016) applies a bitvector to several
// documents in the lanes of a SIMD register. The AVX-512 form here ANDs the bitvectors
// of 8 or 16 trees at a time and adds the values of 16 rows at a time
// (quickscorer_amd64.go). The build tag purego excludes it.
//
// # Engine binned
//
// Where the table would be too large, or too many rows would leave truncated trees at
// a split, each value is replaced once by its bin, the number of its interval. Nodes
// shrink to 8 bytes and a step to an addition without a branch, and eight walks are
// interleaved: of eight trees for one row, or of eight rows in one tree (binned.go).
//
// # Choice
//
// New estimates the cost of each engine from the sizes and depths of the trees and
// takes the cheapest (engine.go). [Forest.Engine] names it.
package forest

import (
	"fmt"
	"math"
)

// Limits on what New accepts, far above any real model.
const (
	MaxFeatures = 1 << 24
	MaxOutputs  = 1 << 16
	maxNodes    = math.MaxInt32 / 2
)

// A Model is a forest as a reader found it in a file.
type Model struct {
	Features int       // number of values in a row
	Base     []float64 // initial sum of each output; its length is the number of outputs
	Trees    []Tree    // in the order in which their leaves are added
	Sum32    bool      // add in float32
	Average  int       // if positive, the sum is divided by it before the link
	Link     Link
	Sigmoid  float64 // the factor of LinkSigmoid
}

// A Tree is one tree of a Model.
type Tree struct {
	Output int       // the output that its leaves are added to
	Nodes  []Node    // node 0 is the root; empty if the tree is a single leaf
	Leaves []float64 // the leaves' values

	Linear []Linear // if not nil, one per leaf: the value is a linear function

	// The number, or total weight, of the training rows that went through each
	// node and leaf. Nil if the file does not record it.
	NodeCover, LeafCover []float64

	// The gain of each split in training. Nil if the file does not record it.
	NodeGain []float64
}

// A Node is a split.
type Node struct {
	Feature     int32
	Left, Right int32 // a node, or the bitwise complement of a leaf's number
	Threshold   float64
	MissingLeft bool // the default direction, which NaN takes, is left

	// ZeroMissing sends values from -ZeroBound to ZeroBound in the default direction.
	ZeroMissing bool

	// Categories, if not nil, replaces the threshold.
	Categories *Categories
}

// Categories is the rule of a categorical split: a value is truncated toward zero
// to an integer, the category, which is then looked up.
type Categories struct {
	Left     []uint32 // category c goes left if bit c%32 of word c/32 is set
	RestLeft bool     // categories beyond Left go left

	// Sparse, if not nil, replaces Left. It lists, in ascending order, the
	// categories that go right; the others, up to the end of the last one's word
	// of 32 categories, go left.
	Sparse []int32

	// NegativeLeft sends values of at most -1 left. With BelowZero it applies to
	// all values below zero, so that -0.5 is not category 0.
	NegativeLeft bool
	BelowZero    bool

	Round32 bool // round to float32 first
	Wrap    bool // look up the integer's low eight bits
}

// A Linear is a leaf whose value is Const plus the sum of Coeff times feature,
// added in order. If one of the features is NaN, the value is that in
// Tree.Leaves. Values from -ZeroBound to ZeroBound count as zero.
type Linear struct {
	Const    float64
	Features []int32
	Coeff    []float64
}

// A Forest predicts. It is immutable and safe for concurrent use.
type Forest struct {
	trees   *trees
	engine  engine
	average float64
	link    Link
	sigmoid float64
}

// New checks m and lays it out for prediction. It keeps parts of m, which the
// caller must not change afterwards. Its errors name tree, node and value.
func New(m *Model) (*Forest, error) { return newForest(m, bestEngine) }

// newForest is New with a given kind of engine, for tests.
func newForest(m *Model, kind engineKind) (*Forest, error) {
	if m.Link < 0 || m.Link >= linkEnd {
		return nil, fmt.Errorf("link %d: unknown", m.Link)
	}
	t, err := newTrees(m)
	if err != nil {
		return nil, err
	}
	return &Forest{
		trees: t, engine: newEngine(t, kind), average: float64(m.Average), link: m.Link, sigmoid: m.Sigmoid,
	}, nil
}

// Features is the number of values in a row.
func (f *Forest) Features() int { return f.trees.features }

// Margins is the number of margins of a row.
func (f *Forest) Margins() int { return len(f.trees.base) }

// Outputs is the number of predictions of a row. It differs from Margins with
// LinkArgmax, which makes one prediction of all margins.
func (f *Forest) Outputs() int { return f.link.Outputs(len(f.trees.base)) }

// Trees is the number of trees.
func (f *Forest) Trees() int { return len(f.trees.roots) }

// Leaves is the number of leaves in all trees.
func (f *Forest) Leaves() int { return f.trees.leaves }

// Depth is the largest number of splits between a root and a leaf.
func (f *Forest) Depth() int { return f.trees.depth }

// Engine names the engine: "quickscorer", "quickscorer-avx512", "binned" or "walk".
func (f *Forest) Engine() string { return f.engine.name() }

// EngineBytes is the size of the engine's tables in bytes: of bitvectors and leaf
// values, of binned nodes and bins, or of the node array if the engine is walk. It
// does not include cut points.
func (f *Forest) EngineBytes() int { return f.engine.bytes() }

// Margin sets dst to the margins of rows: dst[i*Margins()+k] is the k-th of row
// i, which is rows[i*Features():][:Features()]. It panics if the lengths do not
// match.
func (f *Forest) Margin(dst, rows []float64) {
	f.each(dst, rows, f.Margins(), false)
}

// Predict sets dst to the predictions for rows: dst[i*Outputs()+k] is the k-th of
// row i. It panics if the lengths do not match.
func (f *Forest) Predict(dst, rows []float64) {
	f.each(dst, rows, f.Outputs(), true)
}

// Finish turns margins, Margins per row, into predictions, Outputs per row, so
// that Margin followed by Finish is Predict. It overwrites margins; dst may be the
// same slice. It panics if the lengths do not match.
func (f *Forest) Finish(dst, margins []float64) {
	in, out := f.Margins(), f.Outputs()
	n := len(margins) / in
	if n*in != len(margins) || n*out != len(dst) {
		panic("forest: lengths of dst and margins do not match")
	}
	for i := range n {
		s := margins[i*in:][:in]
		f.finish(s)
		copy(dst[i*out:][:out], s)
	}
}

// each is Margin, or Predict if finish is set; dst has width values per row.
func (f *Forest) each(dst, rows []float64, width int, finish bool) {
	features, outputs := f.trees.features, len(f.trees.base)
	if len(rows) == features && len(dst) == width && width == outputs { // one row, for which the rest takes noticeable time
		f.margins(dst, rows)
		if finish {
			f.finish(dst)
		}
		return
	}
	n := len(rows) / features
	if n*features != len(rows) || n*width != len(dst) {
		panic("forest: lengths of dst and rows do not match")
	}
	if width == outputs {
		f.margins(dst, rows)
		for ; finish && len(dst) > 0; dst = dst[outputs:] {
			f.finish(dst[:outputs])
		}
		return
	}
	var array [64]float64
	scratch := array[:]
	if outputs > len(array) {
		scratch = make([]float64, outputs)
	}
	for step := len(scratch) / outputs; n > 0; n -= step {
		step = min(step, n)
		s := scratch[:step*outputs]
		f.margins(s, rows[:step*features])
		f.Finish(dst[:step*width], s)
		dst, rows = dst[step*width:], rows[step*features:]
	}
}

// margins sets dst to the margins of rows, whose lengths match. It switches on the
// type of the engine because a call through the interface would move dst and rows
// to the heap: escape analysis must assume that some engine keeps them. A call of
// a method of a known type leaves them on the caller's stack.
func (f *Forest) margins(dst, rows []float64) {
	switch e := f.engine.(type) {
	case *quickScorer[float64]:
		e.margins(dst, rows)
	case *quickScorer[float32]:
		e.margins(dst, rows)
	case *binned:
		e.margins(dst, rows)
	case nodeWalk:
		e.margins(dst, rows)
	}
}
