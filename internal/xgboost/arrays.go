package xgboost

import "fmt"

// Arrays are a model's trees as the file has them, for engines other than this
// project's own.
type Arrays struct {
	Features int
	Base     []float32 // the margin that each output's sum starts from
	Trees    []TreeArrays
}

// TreeArrays is one tree: arrays by node, node 0 being the root. Nothing may lead
// to some of the nodes.
type TreeArrays struct {
	Output      int     // the output that its leaves are added to
	Weight      float32 // what each leaf is multiplied by, in float32: 1, but for dart
	Left, Right []int32 // -1 at a leaf
	Feature     []int32
	Condition   []float32 // v < Condition goes left; at a leaf, its value
	DefaultLeft []bool    // where what is missing goes
	Categorical []bool    // splits that look at categories instead; nil if there are none
}

// ReadArrays returns the first trees of data, which Read must have taken as a
// forest of just as many: it checks nothing that Read does.
func ReadArrays(data []byte, trees int) (*Arrays, error) {
	d, _, err := parse(data)
	if err != nil {
		return nil, err
	}
	if trees > min(len(d.trees), len(d.group)) {
		return nil, fmt.Errorf("%d trees: want %d", len(d.trees), trees)
	}
	// Margins are asked for, so that objectives may be unknown.
	outputs := max(d.classes, d.targets, 1)
	how, err := d.rule(outputs, Options{Margin: true})
	if err != nil {
		return nil, err
	}
	base, err := d.margins(how, outputs)
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
