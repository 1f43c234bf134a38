package lightgbm

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/basket-go/basket/internal/filetext"
	"github.com/basket-go/basket/internal/forest"
)

// decision_type, include/LightGBM/tree.h.
const (
	typeCategorical = 1 << 0
	typeDefaultLeft = 1 << 1

	missingNone = 0 // bits 2 and 3
	missingZero = 1
	missingNaN  = 2
)

// tree reads the block that starts with r's line "Tree=" and appends it to m.
func (r *reader) tree(m *forest.Model, h *header) error {
	want := "Tree=" + strconv.Itoa(len(m.Trees))
	if r.line != want {
		return fmt.Errorf("%s: want %q", filetext.Quote(r.line), want)
	}
	b := block{}
	for r.scan() && r.line != "" && !strings.HasPrefix(r.line, "Tree=") && !strings.HasPrefix(r.line, "end of trees") {
		key, value, ok := strings.Cut(r.line, "=")
		if !ok {
			return fmt.Errorf("line %s: want key=value", filetext.Quote(r.line))
		}
		b[key] = value
	}
	leaves, err := b.count("num_leaves", 1, "leaf_value")
	if err != nil {
		return err
	}
	sets, err := b.count("num_cat", 0, "cat_boundaries")
	if err != nil {
		return err
	}
	t := forest.Tree{Output: len(m.Trees) % h.perRound}
	if t.Leaves, err = b.floats("leaf_value", leaves); err != nil {
		return err
	}
	if t.Nodes, err = b.nodes(leaves-1, h.features); err != nil {
		return err
	}
	if err := b.splits(t.Nodes, sets); err != nil {
		return err
	}
	if b["is_linear"] != "" && b["is_linear"] != "0" {
		if t.Linear, err = b.linear(leaves, h.features); err != nil {
			return err
		}
	}
	if b["leaf_count"] != "" && b["internal_count"] != "" {
		if t.LeafCover, err = b.floats("leaf_count", leaves); err != nil {
			return err
		}
		if t.NodeCover, err = b.floats("internal_count", leaves-1); err != nil {
			return err
		}
	}
	if b["split_gain"] != "" {
		// Nothing is predicted from it: a list that cannot be read is no fault.
		if gain, err := b.floats("split_gain", leaves-1); err == nil {
			for i, v := range gain {
				gain[i] = float64(float32(v)) // as LightGBM keeps it
			}
			t.NodeGain = gain
		}
	}
	m.Trees = append(m.Trees, t)
	return nil
}

// A block is the keys and values of one tree.
type block map[string]string

// count returns a required whole number, at least low: how many values another
// key, list, has. Since a value takes two characters of the list, the list's
// length bounds the number and so what is allocated for it.
func (b block) count(key string, low int, list string) (int, error) {
	value, ok := b[key]
	if !ok {
		return 0, fmt.Errorf("%s is missing", key)
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < low {
		return 0, fmt.Errorf("%s=%s: want a whole number from %d", key, filetext.Quote(value), low)
	}
	if n > 0 && n > len(b[list])/2+1 {
		return 0, fmt.Errorf("%s=%d: %s is shorter than that", key, n, list)
	}
	return n, nil
}

// nodes reads the features and children of n splits.
func (b block) nodes(n, features int) ([]forest.Node, error) {
	nodes := make([]forest.Node, n)
	for _, field := range []struct {
		key       string
		low, high int
		set       func(*forest.Node, int32)
	}{
		{"split_feature", 0, features - 1, func(s *forest.Node, v int32) { s.Feature = v }},
		{"left_child", -n - 1, n - 1, func(s *forest.Node, v int32) { s.Left = v }},
		{"right_child", -n - 1, n - 1, func(s *forest.Node, v int32) { s.Right = v }},
	} {
		values, err := b.ints(field.key, n, field.low, field.high)
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			field.set(&nodes[i], int32(v))
		}
	}
	return nodes, nil
}

// splits sets the thresholds, categories and missing directions of the nodes.
func (b block) splits(nodes []forest.Node, sets int) error {
	thresholds, err := b.floats("threshold", len(nodes))
	if err != nil {
		return err
	}
	types := make([]int, len(nodes))
	if _, ok := b["decision_type"]; ok {
		if types, err = b.ints("decision_type", len(nodes), 0, 255); err != nil {
			return err
		}
	}
	var categories [][]uint32
	if sets > 0 {
		if categories, err = b.categories(sets); err != nil {
			return err
		}
	}
	for i := range nodes {
		s, t := &nodes[i], thresholds[i]
		// If a tree has no category sets, LightGBM ignores the bit.
		if sets > 0 && types[i]&typeCategorical != 0 {
			if !(t >= 0 && t < float64(sets)) || t != float64(int(t)) {
				return fmt.Errorf("threshold[%d] = %v: want the number of a category set, 0 to %d, because the split is categorical", i, t, sets-1)
			}
			// Missing and negative values and those in no set go right.
			s.Categories = &forest.Categories{Left: categories[int(t)]}
			continue
		}
		if t != t {
			return fmt.Errorf("threshold[%d] = %v: want a number", i, t)
		}
		s.Threshold = forest.AtMostSnapped(t)
		defaultLeft := types[i]&typeDefaultLeft != 0
		switch missing := types[i] >> 2 & 3; missing {
		case missingNone:
			s.MissingLeft = 0 <= t // NaN counts as zero
		case missingZero:
			s.ZeroMissing, s.MissingLeft = true, defaultLeft // NaN counts as zero
		case missingNaN:
			s.MissingLeft = defaultLeft
		default:
			return fmt.Errorf("decision_type[%d] = %d: missing type %d: want 0, 1 or 2", i, types[i], missing)
		}
	}
	return nil
}

// categories reads the sets of categories that go left, as bits.
func (b block) categories(sets int) ([][]uint32, error) {
	bounds, err := b.ints("cat_boundaries", sets+1, 0, len(b["cat_threshold"]))
	if err != nil {
		return nil, err
	}
	for i, low := range bounds[:sets] {
		if i == 0 && low != 0 || low > bounds[i+1] {
			return nil, fmt.Errorf("cat_boundaries[%d] = %d: want ascending values that start at 0", i, low)
		}
	}
	words, err := b.uint32s("cat_threshold", bounds[sets])
	if err != nil {
		return nil, err
	}
	categories := make([][]uint32, sets)
	for i := range categories {
		categories[i] = words[bounds[i]:bounds[i+1]:bounds[i+1]]
	}
	return categories, nil
}

// linear reads the leaves of a linear tree.
func (b block) linear(leaves, features int) ([]forest.Linear, error) {
	constants, err := b.floats("leaf_const", leaves)
	if err != nil {
		return nil, err
	}
	sizes, err := b.ints("num_features", leaves, 0, features)
	if err != nil {
		return nil, err
	}
	total := 0
	for _, n := range sizes {
		total += n
	}
	if total > len(b["leaf_features"]) {
		return nil, fmt.Errorf("leaf_features: want %d values, the sum of num_features", total)
	}
	of, err := b.ints("leaf_features", total, 0, features-1)
	if err != nil {
		return nil, err
	}
	coeff, err := b.floats("leaf_coeff", total)
	if err != nil {
		return nil, err
	}
	linear := make([]forest.Linear, leaves)
	start := 0
	for i := range linear {
		linear[i].Const = constants[i]
		linear[i].Coeff = coeff[start : start+sizes[i]]
		linear[i].Features = make([]int32, sizes[i])
		for j := range linear[i].Features {
			linear[i].Features[j] = int32(of[start+j])
		}
		start += sizes[i]
	}
	return linear, nil
}

// floats reads a list of n numbers. The caller has checked n against the size of
// the file.
func (b block) floats(key string, n int) ([]float64, error) {
	return list(b, key, n, "a number", func(word string) (float64, error) {
		if word == "-nan" { // how C prints some NaNs, which linear trees may have
			return math.NaN(), nil
		}
		return strconv.ParseFloat(word, 64)
	})
}

func (b block) ints(key string, n, low, high int) ([]int, error) {
	want := "a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high)
	return list(b, key, n, want, func(word string) (int, error) {
		v, err := strconv.Atoi(word)
		if v < low || v > high {
			err = strconv.ErrRange
		}
		return v, err
	})
}

func (b block) uint32s(key string, n int) ([]uint32, error) {
	return list(b, key, n, "a whole number of 32 bits", func(word string) (uint32, error) {
		v, err := strconv.ParseUint(word, 10, 32)
		return uint32(v), err
	})
}

// list reads n values separated by runs of spaces.
func list[T any](b block, key string, n int, want string, parse func(string) (T, error)) ([]T, error) {
	value, ok := b[key]
	if !ok && n > 0 {
		return nil, fmt.Errorf("%s is missing", key)
	}
	values := make([]T, 0, n)
	for word := range strings.FieldsSeq(value) {
		if len(values) == n {
			return nil, fmt.Errorf("%s: more than %d values", key, n)
		}
		v, err := parse(word)
		if err != nil {
			return nil, fmt.Errorf("%s[%d] = %s: want %s", key, len(values), filetext.Quote(word), want)
		}
		values = append(values, v)
	}
	if len(values) != n {
		return nil, fmt.Errorf("%s: %d values: want %d", key, len(values), n)
	}
	return values, nil
}
