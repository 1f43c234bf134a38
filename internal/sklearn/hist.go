package sklearn

import (
	"errors"
	"fmt"

	"github.com/basket-go/basket/internal/forest"
	"github.com/basket-go/basket/internal/pickle"
)

// hist reads histogram gradient boosting:
// ensemble/_hist_gradient_boosting/gradient_boosting.py, _raw_predict. Its trees
// compare float64 values and accept all of them. It returns the input of the trees,
// because from 1.4 on a model with categories contains transformers.
func (r *reader) hist(e object, p *Pipeline, in frame, depth int) (frame, error) {
	if v, ok := e.Attr("_preprocessor"); ok && v != nil {
		steps, err := asObject(v)
		if err == nil {
			in, err = r.transform(steps, in, depth+1)
		}
		if err != nil {
			return in, fmt.Errorf("_preprocessor: %w", err)
		}
	}
	base, err := e.float("_baseline_prediction")
	if err != nil {
		return in, err
	}
	// The library adds the baseline to 0, which makes 0 of -0.
	m := &forest.Model{Features: in.width, Base: []float64{base + 0}}
	if m.Link, err = r.link(e); err != nil {
		return in, err
	}
	known, err := knownCategories(e, in.width)
	if err != nil {
		return in, err
	}
	rounds, err := e.list("_predictors")
	if err != nil {
		return in, err
	}
	for i, v := range rounds {
		trees, ok := asList(v)
		if !ok || len(trees) != 1 {
			return in, fmt.Errorf("_predictors[%d] is %s: want one tree per round", i, pickle.Kind(v))
		}
		tree, err := asObject(trees[0])
		if err == nil {
			var t forest.Tree
			t, err = r.predictor(tree, in.width, known)
			m.Trees = append(m.Trees, t)
		}
		if err != nil {
			return in, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	p.accepts = anything
	p.forest, err = forest.New(m)
	return in, err
}

// link returns the link of the loss.
func (r *reader) link(e object) (forest.Link, error) {
	loss, err := e.object("_loss")
	if err != nil {
		return 0, err
	}
	link, err := loss.object("link")
	if err != nil {
		return 0, fmt.Errorf("_loss: %s: %w", loss.Name(), err)
	}
	switch {
	case link.Name() == "IdentityLink", link.Name() == "LogLink" && r.opt.Margin:
		return forest.LinkIdentity, nil
	case link.Name() == "LogLink":
		return forest.LinkExp, nil
	}
	return 0, fmt.Errorf("_loss: %s: link %s: want IdentityLink or LogLink", loss.Name(), link.Name())
}

// A set is a set of the numbers below 256.
type set [8]uint32

func (s *set) add(v float64) error {
	if !(v >= 0 && v < 256) || v != float64(int(v)) {
		return fmt.Errorf("category %v: want a whole number from 0 to 255", v)
	}
	s[int(v)/32] |= 1 << (int(v) % 32)
	return nil
}

// knownCategories returns the categories of each categorical feature in training:
// binning.py, make_known_categories_bitsets.
func knownCategories(e object, features int) (map[int]*set, error) {
	mapper, err := e.object("_bin_mapper")
	if err != nil {
		return nil, err
	}
	if v, ok := mapper.Attr("is_categorical_"); !ok || v == nil {
		return nil, nil
	}
	categorical, err := mapper.floats("is_categorical_", features)
	if err != nil {
		return nil, fmt.Errorf("_bin_mapper: %w", err)
	}
	thresholds, err := mapper.list("bin_thresholds_")
	if err == nil && len(thresholds) != features {
		err = fmt.Errorf("bin_thresholds_: %d lists: want one for each of %d features", len(thresholds), features)
	}
	if err != nil {
		return nil, fmt.Errorf("_bin_mapper: %w", err)
	}
	known := map[int]*set{}
	for j, is := range categorical {
		if is == 0 {
			continue
		}
		a, ok := thresholds[j].(*pickle.Array)
		if !ok || a.Len() > 256 {
			return nil, fmt.Errorf("_bin_mapper: bin_thresholds_[%d] is %s: want at most 256 categories", j, pickle.Kind(thresholds[j]))
		}
		categories, err := a.Floats()
		s := &set{}
		for i := 0; i < len(categories) && err == nil; i++ {
			err = s.add(categories[i])
		}
		if err != nil {
			return nil, fmt.Errorf("_bin_mapper: bin_thresholds_[%d]: %w", j, err)
		}
		known[j] = s
	}
	return known, nil
}

// predictor reads one tree: predictor.py, TreePredictor, and _predictor.pyx,
// _predict_one_from_raw_data. The fields of nodes are found by their names, because
// their offsets changed from 1.2 to 1.3.
func (r *reader) predictor(e object, features int, known map[int]*set) (forest.Tree, error) {
	var t forest.Tree
	if e.Name() != "TreePredictor" {
		return t, fmt.Errorf("%s: want a TreePredictor", e.Class)
	}
	nodes, err := r.nodes(e)
	if err != nil {
		return t, err
	}
	c, err := columns(nodes, []field{
		{"value", "f"}, {"count", "iu"}, {"feature_idx", "iu"}, {"num_threshold", "f"}, {"missing_go_to_left", "ub"},
		{"left", "iu"}, {"right", "iu"}, {"is_leaf", "ub"}, {"is_categorical", "ub"}, {"bitset_idx", "iu"},
	})
	if err != nil {
		return t, err
	}
	value, count, feature, threshold, missing := c[0], c[1], c[2], c[3], c[4]
	left, right, leaf, categorical, bitset := c[5], c[6], c[7], c[8], c[9]
	gain, err := nodes.Column("gain", "f")
	hasGain := err == nil
	sets, err := readBitsets(e)
	if err != nil {
		return t, err
	}
	for i := range nodes.Len() {
		for _, flag := range []pickle.Column{missing, leaf, categorical} {
			if _, err := isTrue(flag.Int(i)); err != nil {
				return t, fmt.Errorf("node %d: a flag is %w", i, err)
			}
		}
	}
	b := newBuilder(nodes.Len(), func(i int) bool { return leaf.Int(i) == 1 })
	for i := range nodes.Len() {
		cover := float64(count.Int(i))
		if b.isLeaf(i) {
			b.leaf(value.Float(i), cover)
			continue
		}
		n := forest.Node{Threshold: threshold.Float(i), MissingLeft: missing.Int(i) == 1}
		if categorical.Int(i) == 1 {
			n.Categories, err = sets.split(bitset.Int(i), known[int(feature.Int(i))], n.MissingLeft)
			if err != nil {
				return t, fmt.Errorf("node %d: %w", i, err)
			}
		}
		if err := b.split(i, n, feature.Int(i), features, left.Int(i), right.Int(i), cover); err != nil {
			return t, err
		}
		if hasGain {
			b.tree.NodeGain = append(b.tree.NodeGain, gain.Float(i))
		}
	}
	return b.tree, nil
}

// bitsets are the sets of categories that the splits of a tree send left.
type bitsets struct {
	words []float64 // eight per set
	used  []bool    // by a split
}

func readBitsets(e object) (*bitsets, error) {
	if v, ok := e.Attr("raw_left_cat_bitsets"); !ok || v == nil {
		return &bitsets{}, nil
	}
	a, err := e.array("raw_left_cat_bitsets")
	if err != nil {
		return nil, err
	}
	if a.Len() == 0 {
		return &bitsets{}, nil
	}
	if len(a.Shape) != 2 || a.Shape[1] != 8 || a.Dtype.Kind != 'u' || a.Dtype.Size != 4 {
		return nil, fmt.Errorf("raw_left_cat_bitsets is %s: want 8 columns of u4", pickle.Kind(a))
	}
	words, err := a.Floats()
	return &bitsets{words, make([]bool, a.Shape[0])}, err
}

// split returns the rule of the split with set i. A category below zero or not known
// in training is missing. Categories are converted to bytes: on x86-64 the cast from
// double to uint8_t goes through int32, where numbers out of range become the lowest
// int32 and so category 0.
func (s *bitsets) split(i int64, known *set, missingLeft bool) (*forest.Categories, error) {
	switch {
	case i < 0 || i >= int64(len(s.used)):
		return nil, fmt.Errorf("bitset_idx = %d: want a number below %d, the number of bitsets", i, len(s.used))
	case s.used[i]:
		return nil, fmt.Errorf("bitset_idx = %d: another split has the same", i)
	case known == nil:
		return nil, errors.New("is_categorical = 1: the feature is not categorical")
	}
	s.used[i] = true
	c := &forest.Categories{Left: make([]uint32, 8), NegativeLeft: missingLeft, BelowZero: true, Wrap: true}
	for k := range c.Left {
		c.Left[k] = uint32(s.words[int(i)*8+k])
		if missingLeft {
			c.Left[k] |= ^known[k]
		}
	}
	c.RestLeft = c.Left[0]&1 != 0
	return c, nil
}
