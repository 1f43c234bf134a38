package xgboost

import (
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/forest"
)

// maxCategory is the limit of category numbers (src/common/categorical.h,
// OutOfRangeCat).
const maxCategory = 1 << 24

// A tree is one tree as the file has it: arrays indexed by node. Node 0 is the root.
type tree struct {
	nodes   int // num_nodes, the length of each array
	deleted int // num_deleted, the nodes that pruning made unreachable from the root
	vector  int // size_leaf_vector

	left, right []int32 // -1 at a leaf
	feature     []int32
	condition   []float32 // the threshold; at a leaf, its value
	defaultLeft []bool
	categorical []bool    // nil if the file has no categorical splits
	hessian     []float32 // sum_hessian; nil if the file has none
	gain        []float32 // loss_changes; nil if the file has none

	// Node setNodes[i] has the categories categories[setStarts[i]:][:setSizes[i]].
	setNodes, setStarts, setSizes, categories []int32
}

// read decodes what RegTree::SaveModel writes (src/tree/tree_model.cc).
func (t *tree) read(s source) error {
	err := readObject(s,
		field{"left_children", &t.left, required},
		field{"right_children", &t.right, required},
		field{"split_indices", &t.feature, required},
		field{"split_conditions", &t.condition, required},
		field{"default_left", &t.defaultLeft, required},
		field{"split_type", &t.categorical, optional},
		field{"sum_hessian", &t.hessian, optional},
		field{"loss_changes", &t.gain, optional},
		field{"categories", &t.categories, optional},
		field{"categories_nodes", &t.setNodes, optional},
		field{"categories_segments", &t.setStarts, optional},
		field{"categories_sizes", &t.setSizes, optional},
		field{"tree_param", func() error {
			return readObject(s,
				field{"num_nodes", &t.nodes, required},
				field{"num_deleted", &t.deleted, optional},
				field{"size_leaf_vector", &t.vector, optional},
			)
		}, required},
	)
	if err != nil {
		return err
	}
	// This bounds the memory that a tree takes by its size in the file.
	if t.nodes < 1 || t.nodes != len(t.left) {
		return fmt.Errorf("num_nodes = %d: left_children has %d values", t.nodes, len(t.left))
	}
	return nil
}

// lower converts t, a tree of d whose leaves are multiplied by weight.
func (t *tree) lower(d *document, weight float32) (forest.Tree, error) {
	var out forest.Tree
	if err := t.check(); err != nil {
		return out, err
	}
	sets, err := t.sets()
	if err != nil {
		return out, err
	}
	// order is the reachable nodes, breadth first. In out, splits and leaves are
	// numbered apart, in this order.
	order := make([]int32, 1, t.nodes)
	splits, leaves := int32(0), int32(0)
	number := func(i int32) int32 {
		if t.left[i] == -1 {
			leaves++
			return -leaves
		}
		splits++
		return splits - 1
	}
	number(0)
	seen := make([]bool, t.nodes)
	seen[0] = true
	covered := t.hessian != nil
	for at := 0; at < len(order); at++ {
		i := order[at]
		if t.left[i] == -1 {
			if t.right[i] != -1 {
				return out, fmt.Errorf("right_children[%d] = %d: want -1, like the left child", i, t.right[i])
			}
			value := t.condition[i]
			if d.booster == "dart" {
				// Up to 3.3 each tree of dart is summed on its own, from 0, which
				// makes 0 of -0 (src/gbm/gbtree.cc, Dart::PredictBatchImpl, 3.2.0).
				value += 0
			}
			out.Leaves = append(out.Leaves, float64(float32(value*weight)))
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
		n.Left, n.Right = number(t.left[i]), number(t.right[i])
		order = append(order, t.left[i], t.right[i])
		out.Nodes = append(out.Nodes, n)
		if covered {
			out.NodeCover = append(out.NodeCover, float64(t.hessian[i]))
		}
		if len(t.gain) == t.nodes {
			out.NodeGain = append(out.NodeGain, float64(t.gain[i]))
		}
	}
	if n := t.nodes - len(order); n != t.deleted {
		return out, fmt.Errorf("%d of the %d nodes are unreachable from the root: num_deleted is %d", n, t.nodes, t.deleted)
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

// checkChildren checks the children of split i and marks them as seen. XGBoost
// ignores right_children in prediction and takes the node after the left child
// (src/predictor/predict_fn.h, GetNextNode), so both must be the same.
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

// split converts split i.
func (t *tree) split(i int32, d *document, sets map[int32][]int32) (forest.Node, error) {
	n := forest.Node{Feature: t.feature[i], MissingLeft: t.defaultLeft[i]}
	if n.Feature < 0 || int(n.Feature) >= d.features {
		return n, fmt.Errorf("split_indices[%d] = %d: model has %d features", i, n.Feature, d.features)
	}
	if t.categorical != nil && t.categorical[i] {
		set, ok := sets[i]
		if !ok {
			return n, fmt.Errorf("node %d is a categorical split but not in categories_nodes", i)
		}
		n.Categories = d.categories(set, n.MissingLeft)
		return n, nil
	}
	switch c := t.condition[i]; {
	case c != c:
		return n, fmt.Errorf("split_conditions[%d] = NaN: want a number", i)
	case math.IsInf(float64(c), -1):
		// No value is below it. With this split, 3.3 and later separate missing
		// values from all others (src/common/hist_util.h, NumericBinLowerBound). An
		// empty set of categories sends every number right, even -Inf; a threshold
		// cannot.
		n.Categories = &forest.Categories{}
	default:
		n.Threshold = forest.AtMostRounded(float64(forest.Below32(c)))
	}
	return n, nil
}

// sets returns the categories of each node that has some.
func (t *tree) sets() (map[int32][]int32, error) {
	n := len(t.setNodes)
	if len(t.setStarts) != n || len(t.setSizes) != n {
		return nil, fmt.Errorf("%d categories_nodes, %d categories_segments and %d categories_sizes: want equal numbers",
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
			return nil, fmt.Errorf("categories_nodes[%d] = %d: want a node below %d that occurs once", i, node, t.nodes)
		}
		// Segments that overlapped would give a small file large sets.
		if start != end {
			return nil, fmt.Errorf("categories_segments[%d] = %d: want %d, the end of the previous one", i, start, end)
		}
		if size < 1 || int(size) > len(t.categories)-int(start) {
			return nil, fmt.Errorf("categories_sizes[%d] = %d: want 1 to %d, the number of categories left", i, size, len(t.categories)-int(start))
		}
		end = start + size
		sets[node] = t.categories[start:end:end]
		for j, c := range sets[node] {
			if c < 0 || c >= maxCategory {
				return nil, fmt.Errorf("categories[%d] = %d: want 0 to %d", int(start)+j, c, maxCategory-1)
			}
		}
	}
	if int(end) != len(t.categories) {
		return nil, fmt.Errorf("categories: %d values: want %d, the sum of categories_sizes", len(t.categories), end)
	}
	return sets, nil
}
