package xgboost

import "fmt"

// Arrays are a model's trees as the file has them, for engines other than package
// forest.
type Arrays struct {
	Features int
	Base     []float32 // the initial margin of each output
	Trees    []TreeArrays
}

// TreeArrays is one tree: arrays indexed by node. Node 0 is the root. Some nodes
// may be unreachable from the root.
type TreeArrays struct {
	Output      int     // the output to which the leaves are added
	Weight      float32 // factor of the leaves, in float32; 1 except for dart
	Left, Right []int32 // -1 at a leaf
	Feature     []int32
	Condition   []float32 // v < Condition goes left; at a leaf, its value
	DefaultLeft []bool    // missing values go left
	Categorical []bool    // the split is by category; nil if no split is
}

// ReadArrays returns the first trees of data. Read must have accepted data and
// returned a forest of that many trees: ReadArrays repeats none of its checks.
func ReadArrays(data []byte, trees int) (*Arrays, error) {
	d, _, err := parse(data)
	if err != nil {
		return nil, err
	}
	if trees > min(len(d.trees), len(d.group)) {
		return nil, fmt.Errorf("%d trees: want %d", len(d.trees), trees)
	}
	// With Margin, unknown objectives are accepted.
	outputs := max(d.classes, d.targets, 1)
	rule, err := d.rule(outputs, Options{Margin: true})
	if err != nil {
		return nil, err
	}
	base, err := d.margins(rule, outputs)
	if err != nil {
		return nil, err
	}
	a := &Arrays{Features: d.features, Trees: make([]TreeArrays, trees)}
	for _, b := range base {
		a.Base = append(a.Base, float32(b))
	}
	for i, t := range d.trees[:trees] {
		a.Trees[i] = TreeArrays{
			Output: int(d.group[i]), Weight: 1,
			Left: t.left, Right: t.right, Feature: t.feature,
			Condition: t.condition, DefaultLeft: t.defaultLeft, Categorical: t.categorical,
		}
		if len(d.treeWeight) > 0 {
			a.Trees[i].Weight = d.treeWeight[i]
		}
	}
	return a, nil
}
