package xgboost

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/basket-go/basket/internal/forest"
)

// maxCategory is the first number that is no category (src/common/categorical.h,
// OutOfRangeCat).
const maxCategory = 1 << 24

// A tree is one tree as the file has it: arrays by node, node 0 being the root.
type tree struct {
	nodes   int // num_nodes, which is the length of each array
	deleted int // num_deleted, of nodes that pruning cut off and nothing leads to
	vector  int // size_leaf_vector

	left, right []int32 // -1 at a leaf
	feature     []int32
	condition   []float32 // the threshold; at a leaf, its value
	defaultLeft []bool
	categorical []bool    // nil if the file has no categorical splits
	hessian     []float32 // sum_hessian; nil if the file does not tell

	// Node setNodes[i] has the categories categories[setStarts[i]:][:setSizes[i]].
	setNodes, setStarts, setSizes, categories []int32
}

// read reads what RegTree::SaveModel writes (src/tree/tree_model.cc).
func (t *tree) read(s source) error {
	need := required{"left_children", "right_children", "split_indices", "split_conditions", "default_left", "tree_param"}
	err := s.object(func(key string) (err error) {
		need.found(key)
		switch key {
		case "left_children":
			t.left, err = list(s, int32s(s))
		case "right_children":
			t.right, err = list(s, int32s(s))
		case "split_indices":
			t.feature, err = list(s, int32s(s))
		case "split_conditions":
			t.condition, err = list(s, s.float)
		case "default_left":
			t.defaultLeft, err = list(s, s.flag)
		case "split_type":
			t.categorical, err = list(s, s.flag)
		case "sum_hessian":
			t.hessian, err = list(s, s.float)
		case "categories":
			t.categories, err = list(s, int32s(s))
		case "categories_nodes":
			t.setNodes, err = list(s, int32s(s))
		case "categories_segments":
			t.setStarts, err = list(s, int32s(s))
		case "categories_sizes":
			t.setSizes, err = list(s, int32s(s))
		case "tree_param":
			err = t.readParam(s)
		default:
			err = s.skip()
		}
		return err
	})
	if err := need.check(err); err != nil {
		return err
	}
	// Checked here already, so that a tree in memory is not much larger than in
	// the file.
	if t.nodes < 1 || t.nodes != len(t.left) {
		return fmt.Errorf("num_nodes = %d: left_children has %d values", t.nodes, len(t.left))
	}
	return nil
}

func (t *tree) readParam(s source) error {
	need := required{"num_nodes"}
	err := s.object(func(key string) (err error) {
		need.found(key)
		switch key {
		case "num_nodes":
			t.nodes, err = count(s)
		case "num_deleted":
			t.deleted, err = count(s)
		case "size_leaf_vector":
			t.vector, err = count(s)
		default:
			err = s.skip()
		}
		return err
	})
	return need.check(err)
}

// lower makes a forest's tree of t, a tree of d whose leaves count weight times.
func (t *tree) lower(d *document, weight float32) (forest.Tree, error) {
	var out forest.Tree
	if err := t.check(); err != nil {
		return out, err
	}
	sets, err := t.sets()
	if err != nil {
		return out, err
	}
	// order is the nodes that the root leads to, and so their order in out: a node
	// is called by the number of nodes before it that are splits, or leaves.
	order := make([]int32, 1, t.nodes)
	splits, leaves := int32(0), int32(0)
	name := func(i int32) int32 {
		if t.left[i] == -1 {
			leaves++
			return -leaves
		}
		splits++
		return splits - 1
	}
	name(0)
	seen := make([]bool, t.nodes)
	seen[0] = true
	covered := t.hessian != nil
	for at := 0; at < len(order); at++ {
		i := order[at]
		if t.left[i] == -1 {
			if t.right[i] != -1 {
				return out, fmt.Errorf("right_children[%d] = %d: want -1, as the left child is", i, t.right[i])
			}
			out.Leaves = append(out.Leaves, float64(float32(t.condition[i]*weight)))
			if covered {
				out.LeafCover = append(out.LeafCover, float64(t.hessian[i]))
			}
			continue
		}
		if err := t.checkChildren(i, seen); err != nil {
			return out, err
		}
		n, err := t.split(i, d, sets)
		if err != nil {
			return out, err
		}
		n.Left, n.Right = name(t.left[i]), name(t.right[i])
		order = append(order, t.left[i], t.right[i])
		out.Nodes = append(out.Nodes, n)
		if covered {
			out.NodeCover = append(out.NodeCover, float64(t.hessian[i]))
		}
	}
	if n := t.nodes - len(order); n != t.deleted {
		return out, fmt.Errorf("the root does not lead to %d of the %d nodes: num_deleted tells of %d", n, t.nodes, t.deleted)
	}
	return out, nil
}

// check checks the lengths of the arrays.
func (t *tree) check() error {
	if t.vector > 1 {
		return fmt.Errorf("size_leaf_vector = %d: leaves that are vectors (multi_strategy=multi_output_tree) are not supported", t.vector)
	}
	if t.deleted < 0 || t.deleted >= t.nodes {
		return fmt.Errorf("num_deleted = %d: want 0 to %d", t.deleted, t.nodes-1)
	}
	for _, array := range []struct {
		name     string
		n        int
		optional bool
	}{
		{"left_children", len(t.left), false},
		{"right_children", len(t.right), false},
		{"split_indices", len(t.feature), false},
		{"split_conditions", len(t.condition), false},
		{"default_left", len(t.defaultLeft), false},
		{"split_type", len(t.categorical), t.categorical == nil},
		{"sum_hessian", len(t.hessian), t.hessian == nil},
	} {
		if array.n != t.nodes && !array.optional {
			return fmt.Errorf("%s: %d values: want num_nodes = %d", array.name, array.n, t.nodes)
		}
	}
	return nil
}

// checkChildren checks the children of split i, and marks them as seen. As
// XGBoost looks for the right child next to the left one wherever it is said to
// be (src/predictor/predict_fn.h, GetNextNode), it must be there.
func (t *tree) checkChildren(i int32, seen []bool) error {
	left, right := t.left[i], t.right[i]
	if left < 0 || int(left) >= t.nodes {
		return fmt.Errorf("left_children[%d] = %d: want -1 or a node below %d", i, left, t.nodes)
	}
	if right < 0 || int(right) >= t.nodes {
		return fmt.Errorf("right_children[%d] = %d: want -1 or a node below %d", i, right, t.nodes)
	}
	if right != left+1 {
		return fmt.Errorf("right_children[%d] = %d: want %d, the node after the left child", i, right, left+1)
	}
	for _, child := range [...]int32{left, right} {
		if seen[child] {
			return fmt.Errorf("node %d, a child of node %d, has another parent or is the root", child, i)
		}
		seen[child] = true
	}
	return nil
}

// split makes a split of node i.
func (t *tree) split(i int32, d *document, sets map[int32][]int32) (forest.Node, error) {
	n := forest.Node{Feature: t.feature[i], MissingLeft: t.defaultLeft[i]}
	if n.Feature < 0 || int(n.Feature) >= d.features {
		return n, fmt.Errorf("split_indices[%d] = %d: model has %d features", i, n.Feature, d.features)
	}
	if t.categorical != nil && t.categorical[i] {
		set, ok := sets[i]
		if !ok {
			return n, fmt.Errorf("node %d is a categorical split, and not in categories_nodes", i)
		}
		n.Categories = d.categories(set, n.MissingLeft)
		return n, nil
	}
	switch c := t.condition[i]; {
	case c != c:
		return n, fmt.Errorf("split_conditions[%d] = NaN: want a number", i)
	case math.IsInf(float64(c), -1):
		// No value is below it. 3.3 and later split so what is there from what
		// is missing (src/common/hist_util.h, NumericBinLowerBound). No number
		// serves as threshold, for -Inf itself must go right; no category does.
		n.Categories = &forest.Categories{}
	default:
		n.Threshold = forest.AtMostRounded(float64(forest.Below32(c)))
	}
	return n, nil
}

// sets returns the categories of nodes that have some.
func (t *tree) sets() (map[int32][]int32, error) {
	n := len(t.setNodes)
	if len(t.setStarts) != n || len(t.setSizes) != n {
		return nil, fmt.Errorf("%d categories_nodes, %d categories_segments and %d categories_sizes: want as many of each",
			n, len(t.setStarts), len(t.setSizes))
	}
	if n == 0 {
		return nil, nil
	}
	sets := make(map[int32][]int32, n)
	end := int32(0)
	for i, node := range t.setNodes {
		start, size := t.setStarts[i], t.setSizes[i]
		if _, ok := sets[node]; ok || node < 0 || int(node) >= t.nodes {
			return nil, fmt.Errorf("categories_nodes[%d] = %d: want a node below %d that is not there yet", i, node, t.nodes)
		}
		// The segments follow one another; if they overlapped, a small file could
		// have large sets.
		if start != end {
			return nil, fmt.Errorf("categories_segments[%d] = %d: want %d, where the one before ends", i, start, end)
		}
		if size < 1 || int(size) > len(t.categories)-int(start) {
			return nil, fmt.Errorf("categories_sizes[%d] = %d: want 1 to %d, as many as there are", i, size, len(t.categories)-int(start))
		}
		end = start + size
		sets[node] = t.categories[start:end:end]
		for j, c := range sets[node] {
			if c < 0 || c >= maxCategory {
				return nil, errors.New("categories[" + strconv.Itoa(int(start)+j) + "] = " + strconv.Itoa(int(c)) + ": want 0 to 16777215")
			}
		}
	}
	if int(end) != len(t.categories) {
		return nil, fmt.Errorf("categories: %d values: want %d, the sum of categories_sizes", len(t.categories), end)
	}
	return sets, nil
}
