package sklearn

import (
	"errors"
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/pickle"
)

// tree follows tree/_classes.py, BaseDecisionTree.predict.
func (r *reader) tree(e object, p *Pipeline, features int) error {
	t, err := r.fitted(e, features)
	if err != nil {
		return err
	}
	p.accepts = finite32
	if acceptsMissing(e) {
		p.accepts = noInf32
	}
	// The sum starts from -0, so that a leaf of -0 stays -0.
	p.forest, err = forest.New(&forest.Model{
		Features: features, Base: []float64{math.Copysign(0, -1)}, Trees: []forest.Tree{t},
	})
	return err
}

// forest follows ensemble/_forest.py, ForestRegressor.predict, which with one thread
// adds the trees in their order.
func (r *reader) forest(e object, p *Pipeline, features int) error {
	trees, err := e.list("estimators_")
	if err != nil {
		return err
	}
	if len(trees) == 0 {
		return errors.New("estimators_: no trees")
	}
	m := &forest.Model{Features: features, Base: []float64{0}, Average: len(trees)}
	for i, v := range trees {
		tree, err := asObject(v)
		if err == nil {
			var t forest.Tree
			t, err = r.fitted(tree, features)
			m.Trees = append(m.Trees, t)
		}
		if err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		if i == 0 { // scikit-learn checks the first tree only
			p.accepts = finite32
			if e.version() >= 104 && acceptsMissing(tree) {
				p.accepts = noInf32
			}
		}
	}
	p.mean = len(trees)
	p.forest, err = forest.New(m)
	return err
}

// acceptsMissing reports whether a tree's predict accepts NaN. See tree/_classes.py,
// _support_missing_values and the estimators' tags, in 1.3.2, 1.4.2, 1.5.2, 1.6.1,
// 1.7.2, 1.8.0 and 1.9.1.
func acceptsMissing(e object) bool {
	version := e.version()
	extra := e.Name() == "ExtraTreeRegressor"
	best, random := e.is("splitter", "best"), e.is("splitter", "random")
	if version >= 109 {
		return !extra || random
	}
	if constraint, ok := e.Attr("monotonic_cst"); ok && constraint != nil {
		return false
	}
	if !e.is("criterion", "squared_error") && !e.is("criterion", "friedman_mse") && !e.is("criterion", "poisson") {
		return false
	}
	switch {
	case version < 103:
		return false
	case version < 106:
		return best
	case extra:
		return random
	}
	return best || random
}

// boosting follows ensemble/_gb.py, _raw_predict, and _gradient_boosting.pyx,
// predict_stages. Missing values are refused. For all losses of the regressor the
// prediction is the sum itself.
func (r *reader) boosting(e object, p *Pipeline, features int) error {
	base, err := initial(e)
	if err != nil {
		return err
	}
	rate, err := e.float("learning_rate")
	if err != nil {
		return err
	}
	trees, err := e.array("estimators_")
	if err != nil {
		return err
	}
	if len(trees.Shape) != 2 || trees.Shape[1] != 1 || len(trees.Items) == 0 {
		return fmt.Errorf("estimators_: shape %v: want one column of trees", trees.Shape)
	}
	m := &forest.Model{Features: features, Base: []float64{base}}
	for i, v := range trees.Items {
		tree, err := asObject(v)
		if err == nil {
			var t forest.Tree
			t, err = r.fitted(tree, features)
			m.Trees = append(m.Trees, t)
		}
		if err != nil {
			return fmt.Errorf("tree %d: %w", i, err)
		}
		for k, v := range m.Trees[i].Leaves {
			m.Trees[i].Leaves[k] = float64(rate * v)
		}
	}
	p.accepts = finite32
	p.forest, err = forest.New(m)
	return err
}

// initial returns the initial prediction of gradient boosting.
func initial(e object) (float64, error) {
	if e.is("init_", "zero") {
		return 0, nil
	}
	init, err := e.object("init_")
	if err != nil {
		return 0, err
	}
	if init.Name() != "DummyRegressor" {
		return 0, fmt.Errorf("init_ is %s: only constants are supported (init=None or init=\"zero\")", init.Class)
	}
	constant, err := init.float("constant_")
	if err != nil {
		return 0, fmt.Errorf("init_: %w", err)
	}
	return constant, nil
}

// fitted reads the tree of a fitted tree estimator: tree/_tree.pyx, Tree and
// NODE_DTYPE. The fields of nodes are found by their names, because 32-bit Windows and
// releases before 1.3 have other offsets.
func (r *reader) fitted(e object, features int) (forest.Tree, error) {
	var t forest.Tree
	if name := e.Name(); name != "DecisionTreeRegressor" && name != "ExtraTreeRegressor" {
		return t, fmt.Errorf("%s: want a DecisionTreeRegressor or an ExtraTreeRegressor", e.Class)
	}
	tree, err := e.object("tree_")
	if err != nil {
		return t, err
	}
	if tree.Name() != "Tree" || len(tree.Args) != 3 {
		return t, fmt.Errorf("tree_ is %s with %d arguments: want Tree with 3", tree.Class, len(tree.Args))
	}
	if tree.Args[0] != int64(features) {
		return t, fmt.Errorf("tree_: the number of features is %s: want %d", pickle.Kind(tree.Args[0]), features)
	}
	if tree.Args[2] != int64(1) {
		return t, fmt.Errorf("tree_: the number of outputs is %s: models of several outputs are not supported", pickle.Kind(tree.Args[2]))
	}
	nodes, err := r.nodes(tree)
	if err != nil {
		return t, err
	}
	values, err := tree.floats("values", nodes.Len())
	if err != nil {
		return t, err
	}
	c, err := columns(nodes, []field{
		{"left_child", "i"}, {"right_child", "i"}, {"feature", "i"}, {"threshold", "f"}, {"weighted_n_node_samples", "f"},
	})
	if err != nil {
		return t, err
	}
	left, right, feature, threshold, cover := c[0], c[1], c[2], c[3], c[4]
	missing, hasMissing := pickle.Column{}, false
	if c, err := nodes.Column("missing_go_to_left", "ub"); err == nil { // from 1.3 on
		missing, hasMissing = c, true
	}
	impurity, hasImpurity := pickle.Column{}, false
	if c, err := nodes.Column("impurity", "f"); err == nil {
		impurity, hasImpurity = c, true
	}
	b := newBuilder(nodes.Len(), func(i int) bool { return left.Int(i) == -1 })
	for i := range nodes.Len() {
		if b.isLeaf(i) {
			b.leaf(values[i], cover.Float(i))
			continue
		}
		n := forest.Node{Threshold: forest.AtMostRounded(threshold.Float(i))}
		if hasMissing {
			if n.MissingLeft, err = isTrue(missing.Int(i)); err != nil {
				return t, fmt.Errorf("node %d: missing_go_to_left = %w", i, err)
			}
		}
		if err := b.split(i, n, feature.Int(i), features, left.Int(i), right.Int(i), cover.Float(i)); err != nil {
			return t, err
		}
		if hasImpurity { // tree/_tree.pyx, compute_feature_importances
			weighted := func(i int64) float64 { return float64(cover.Float(int(i)) * impurity.Float(int(i))) }
			b.tree.NodeGain = append(b.tree.NodeGain, weighted(int64(i))-weighted(left.Int(i))-weighted(right.Int(i)))
		}
	}
	return b.tree, nil
}

// nodes returns the array of a tree's nodes. Trees may not share an array: otherwise a
// small file could have a very large forest.
func (r *reader) nodes(tree object) (*pickle.Array, error) {
	nodes, err := tree.array("nodes")
	switch {
	case err != nil:
		return nil, err
	case len(nodes.Shape) != 1 || nodes.Len() == 0:
		return nil, fmt.Errorf("nodes: shape %v: want one axis that is not empty", nodes.Shape)
	case r.seen[nodes]:
		return nil, errors.New("nodes: another tree has the same array")
	}
	r.seen[nodes] = true
	return nodes, nil
}

type field struct{ name, kinds string }

// columns returns the fields of an array.
func columns(a *pickle.Array, fields []field) ([]pickle.Column, error) {
	c := make([]pickle.Column, len(fields))
	for i, f := range fields {
		var err error
		if c[i], err = a.Column(f.name, f.kinds); err != nil {
			return nil, fmt.Errorf("nodes: %w", err)
		}
	}
	return c, nil
}

func isTrue(v int64) (bool, error) {
	if v != 0 && v != 1 {
		return false, fmt.Errorf("%d: want 0 or 1", v)
	}
	return v == 1, nil
}

// A builder builds a tree from nodes whose numbers the file shares between leaves and
// splits.
type builder struct {
	ids  []int32 // the node's number in package forest
	tree forest.Tree
}

func newBuilder(n int, leaf func(i int) bool) *builder {
	b := &builder{ids: make([]int32, n)}
	leaves := int32(0)
	for i := range b.ids {
		b.ids[i] = int32(i) - leaves
		if leaf(i) {
			b.ids[i] = ^leaves
			leaves++
		}
	}
	b.tree = forest.Tree{
		Nodes: make([]forest.Node, 0, n-int(leaves)), NodeCover: make([]float64, 0, n-int(leaves)),
		Leaves: make([]float64, 0, leaves), LeafCover: make([]float64, 0, leaves),
	}
	return b
}

func (b *builder) isLeaf(i int) bool { return b.ids[i] < 0 }

func (b *builder) leaf(value, cover float64) {
	b.tree.Leaves = append(b.tree.Leaves, value)
	b.tree.LeafCover = append(b.tree.LeafCover, cover)
}

// split appends node i with its feature and children. Package forest checks the shape
// of the tree.
func (b *builder) split(i int, n forest.Node, feature int64, features int, left, right int64, cover float64) error {
	if feature < 0 || feature >= int64(features) {
		return fmt.Errorf("node %d: feature %d: model has %d features", i, feature, features)
	}
	n.Feature = int32(feature)
	for _, child := range []int64{left, right} {
		if child <= 0 || child >= int64(len(b.ids)) {
			return fmt.Errorf("node %d: child %d: want 1 to %d", i, child, len(b.ids)-1)
		}
	}
	n.Left, n.Right = b.ids[left], b.ids[right]
	b.tree.Nodes = append(b.tree.Nodes, n)
	b.tree.NodeCover = append(b.tree.NodeCover, cover)
	return nil
}
