package basket

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/sklearn"
)

// A Tree is a tree of a [FileModel], to be looked at. It is immutable and safe for
// concurrent use.
type Tree struct {
	Number int // in the model, from 0: the order in which leaves are added
	Output int // the output that its leaves are added to
	model  *FileModel
}

// A TreeNode is a split or a leaf of a [Tree].
type TreeNode struct {
	Leaf  bool
	Value float64 // of a leaf: what it adds to the margin; of a linear one, if one of its features is missing

	// Of a split: a row goes left if its value of Feature is at most Threshold, or, of
	// a categorical one, if it is in Categories, or with Except, if it is not; and
	// missing values go left with MissingLeft. XGBoost's "less than" is here "at most" the
	// float32 below; it rounds values to float32 first, and categories are truncated to
	// integers. LightGBM's zero_as_missing sends zero where missing values go.
	Feature     int     // column of the rows that the model reads
	Transformed bool    // the split is of what the steps of a pipeline compute from it
	Threshold   float64 // NaN for a categorical split
	Categories  []int
	Except      bool
	MissingLeft bool
	Left, Right int // nodes of the tree

	// As the file records them, or NaN. Cover is the number, or the total weight, of
	// the training rows that went through the node. Gain is what the split gained in
	// training: LightGBM's split_gain, XGBoost's loss_changes, the gain of histogram
	// gradient boosting, and the decrease of the impurity times Cover of other trees of
	// scikit-learn; NaN for a leaf.
	Cover, Gain float64
}

// Trees yields the trees of the model, none if it is a linear function.
func (m *FileModel) Trees() iter.Seq[Tree] {
	return func(yield func(Tree) bool) {
		for i := range m.info.Trees {
			if t, _ := m.Tree(i); !yield(t) {
				return
			}
		}
	}
}

// Tree returns a tree by its number, and whether there is one.
func (m *FileModel) Tree(number int) (Tree, bool) {
	if number < 0 || number >= m.info.Trees {
		return Tree{}, false
	}
	return Tree{Number: number, Output: m.trees.Output(number), model: m}, true
}

// Len returns the number of nodes, splits and leaves together.
func (t Tree) Len() int { return t.model.trees.Len(t.Number) }

// Node returns node i, from 0, the root, to Len()-1: breadth first. It panics if there is
// none.
func (t Tree) Node(i int) TreeNode {
	if i < 0 || i >= t.Len() {
		panic(fmt.Sprintf("basket: node %d of a tree of %d nodes", i, t.Len()))
	}
	v := t.model.trees.Node(t.Number, i)
	n := TreeNode{
		Leaf: v.Leaf, Value: v.Value, Threshold: v.Threshold, MissingLeft: v.Missing,
		Left: v.Left, Right: v.Right, Cover: v.Cover, Gain: v.Gain,
	}
	if v.Leaf {
		return n
	}
	same := true
	n.Feature, same = t.model.columnOf(v.Feature)
	n.Transformed = !same
	if v.Categories != nil {
		n.Threshold = math.NaN()
		n.Categories, n.Except = v.Categories.Sets()
	}
	return n
}

// columnOf returns the column of the row that a column of the trees is from, and whether
// it is the same.
func (m *FileModel) columnOf(feature int) (int, bool) {
	if p, ok := m.evaluator.(*sklearn.Pipeline); ok {
		return p.From(feature)
	}
	return feature, true
}

// Path returns the nodes that a row of the model goes through, from the root to the
// leaf. A row of another length, or one that the model refuses, is an
// ErrInvalidRequest.
func (t Tree) Path(row []float64) ([]int, error) {
	if len(row) != len(t.model.names) {
		return nil, fmt.Errorf("basket: %w: row has %d values: want %d", ErrInvalidRequest, len(row), len(t.model.names))
	}
	if p, ok := t.model.evaluator.(*sklearn.Pipeline); ok {
		if row, ok = p.Transform(row); !ok {
			return nil, fmt.Errorf("basket: %w: the model refuses the row", ErrInvalidRequest)
		}
	}
	return t.model.trees.Path(t.Number, row), nil
}

// Rule returns the test of a split of a model with these features, which is true for rows
// that go left, as "prior_item_count <= 7.5 or missing"; and the value of a leaf.
func (n TreeNode) Rule(features []string) string {
	if n.Leaf {
		return strconv.FormatFloat(n.Value, 'g', -1, 64)
	}
	name := "feature " + strconv.Itoa(n.Feature)
	if n.Feature < len(features) {
		name = features[n.Feature]
	}
	if n.Transformed {
		name = "transformed " + name
	}
	var b strings.Builder
	switch {
	case !math.IsNaN(n.Threshold):
		b.WriteString(name + " <= " + strconv.FormatFloat(n.Threshold, 'g', -1, 64))
	case n.Except:
		b.WriteString(name + " not in " + categories(n.Categories))
	default:
		b.WriteString(name + " in " + categories(n.Categories))
	}
	if n.MissingLeft {
		b.WriteString(" or missing")
	}
	return b.String()
}

// categories formats a set, of which it names the first ones.
func categories(list []int) string {
	const most = 20
	words := make([]string, 0, most+1)
	for i, c := range list {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		words = append(words, strconv.Itoa(c))
	}
	return "{" + strings.Join(words, ", ") + "}"
}

// An Importance tells how much the trees of a model use a feature.
type Importance struct {
	Splits int     // that test the feature
	Gain   float64 // the sum of their gains: see TreeNode; NaN if the file does not record them
}

// Importances returns the importance of each feature, by Features. A linear model has no
// splits.
func (m *FileModel) Importances() []Importance {
	all := make([]Importance, len(m.names))
	if m.trees == nil {
		return all
	}
	for tree := range m.info.Trees {
		for i := range m.trees.Len(tree) {
			if v := m.trees.Node(tree, i); !v.Leaf {
				column, _ := m.columnOf(v.Feature)
				all[column].Splits++
				all[column].Gain += v.Gain
			}
		}
	}
	return all
}
