package basketleaves

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/basket-go/basket"
	"github.com/dmitryikh/leaves"
)

// decision_type, as LightGBM's include/LightGBM/tree.h has it.
const typeCategorical = 1 << 0

// zeroBound: LightGBM takes values up to it, on both sides, for zero
// (include/LightGBM/meta.h, kZeroThreshold, stored as float).
const zeroBound = float64(float32(1e-35))

// The kinds of splits that a model has on a feature.
const (
	numerical = 1 << iota
	categorical
)

// newLightGBM gives leaves a text model with so many margins per row.
func newLightGBM(text string, native *basket.FileModel, margins int) (e engine, err error) {
	defer caught(&err)
	r := rewriter{kinds: make([]uint8, native.Info().Features)}
	r.header(native.Info(), margins)
	if err := r.trees(text); err != nil {
		return engine{}, err
	}
	for j, kinds := range r.kinds {
		if kinds == numerical|categorical {
			return engine{}, fmt.Errorf("feature %d, %.64q, is split both by number and by category: no value of a missing one is right for both",
				j, native.Features()[j])
		}
	}
	// The flag false: no link.
	e.ensemble, err = leaves.LGEnsembleFromReader(bufio.NewReader(strings.NewReader(r.out.String())), false)
	if err != nil {
		return engine{}, err
	}
	e.width = margins
	e.clean = func(dst, row []float64) { clean(dst, row, r.kinds) }
	return e, nil
}

// clean sets dst to row as leaves must see it.
func clean(dst, row []float64, kinds []uint8) {
	for j, v := range row {
		switch {
		case kinds[j] == categorical:
			// Leaves truncates toward zero, so -0.5 is category 0. What does not
			// fit into an int32 is in no category and goes right, as -1 does.
			if !(v > -1 && v < math.MaxInt32) {
				v = -1
			}
		case v >= -zeroBound && v <= zeroBound:
			v = 0
		}
		dst[j] = v
	}
}

// A rewriter writes a text model for leaves, whose reader (lgensemble_io.go and
// util.go) accepts one form of each list and fails on names with "=". It copies
// only lines that package basket has checked.
type rewriter struct {
	out   strings.Builder
	kinds []uint8 // of splits, by feature
}

// header writes the header that leaves reads. It has no average_output, because
// leaves multiplies each leaf by the inverse of the number of trees where LightGBM
// divides the sum.
func (r *rewriter) header(info basket.ModelInfo, margins int) {
	fmt.Fprintf(&r.out, "tree\nversion=v3\nnum_class=%d\nnum_tree_per_iteration=%[1]d\nmax_feature_idx=%d\n", margins, info.Features-1)
	// Leaves takes the number of trees from the number of sizes, and ignores the sizes.
	r.out.WriteString("tree_sizes=0" + strings.Repeat(" 0", info.Trees-1) + "\n\n")
}

// trees writes the trees of text.
func (r *rewriter) trees(text string) error {
	n := 0
	var block map[string]string // of the tree that the line belongs to; nil outside
	flush := func() error {
		if block == nil {
			return nil
		}
		if err := r.tree(block); err != nil {
			return fmt.Errorf("tree %d: %w", n, err)
		}
		n, block = n+1, nil
		return nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		start, end := strings.HasPrefix(line, "Tree="), strings.HasPrefix(line, "end of trees")
		if start || end || line == "" {
			if err := flush(); err != nil {
				return err
			}
		}
		switch {
		case end:
			return nil
		case start:
			block = map[string]string{}
		case block != nil:
			key, value, _ := strings.Cut(line, "=")
			block[key] = value
		}
	}
	return flush()
}

// tree writes one tree.
func (r *rewriter) tree(block map[string]string) error {
	if linear := block["is_linear"]; linear != "" && linear != "0" {
		return errors.New("linear leaves: it would predict their constant values")
	}
	leaves, err := strconv.Atoi(block["num_leaves"])
	if err != nil {
		return fmt.Errorf("num_leaves: %w", err)
	}
	sets, err := strconv.Atoi(block["num_cat"])
	if err != nil {
		return fmt.Errorf("num_cat: %w", err)
	}
	fmt.Fprintf(&r.out, "num_leaves=%d\nnum_cat=%d\n", leaves, sets)
	r.list("leaf_value", block["leaf_value"])
	if leaves > 1 {
		for _, key := range []string{"split_feature", "threshold", "left_child", "right_child"} {
			r.list(key, block[key])
		}
		if sets > 0 {
			r.list("cat_boundaries", block["cat_boundaries"])
			r.list("cat_threshold", block["cat_threshold"])
		}
		if err := r.types(block, sets > 0); err != nil {
			return err
		}
	}
	r.out.WriteByte('\n')
	return nil
}

// list writes a line of values with single spaces between them.
func (r *rewriter) list(key, value string) {
	r.out.WriteString(key)
	sep := byte('=')
	for word := range strings.FieldsSeq(value) {
		r.out.WriteByte(sep)
		r.out.WriteString(word)
		sep = ' '
	}
	r.out.WriteByte('\n')
}

// types writes the decision types of the splits, and records the kinds of splits
// by feature. In a tree without category sets, LightGBM ignores the categorical
// bit.
func (r *rewriter) types(block map[string]string, sets bool) error {
	features := strings.Fields(block["split_feature"])
	types := strings.Fields(block["decision_type"])
	if _, ok := block["decision_type"]; !ok {
		types = slices.Repeat([]string{"0"}, len(features))
	}
	for i, word := range types {
		j, err := strconv.Atoi(features[i])
		if err != nil {
			return fmt.Errorf("split_feature[%d]: %w", i, err)
		}
		t, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("decision_type[%d]: %w", i, err)
		}
		switch {
		case t&typeCategorical == 0:
			r.kinds[j] |= numerical
		case sets:
			r.kinds[j] |= categorical
		default:
			r.kinds[j] |= numerical
			t &^= typeCategorical
		}
		types[i] = strconv.Itoa(t)
	}
	r.list("decision_type", strings.Join(types, " "))
	return nil
}
