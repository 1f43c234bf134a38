package basketleaves

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/basket-go/basket/internal/xgboost"
	"github.com/dmitryikh/leaves"
)

// newXGBoost gives leaves the first trees of an XGBoost model.
func newXGBoost(data []byte, trees int) (e engine, err error) {
	defer caught(&err)
	a, err := xgboost.ReadArrays(data, trees)
	if err != nil {
		return engine{}, err
	}
	var w layout
	w.header(a)
	for i := range a.Trees {
		if err := w.tree(&a.Trees[i]); err != nil {
			return engine{}, fmt.Errorf("tree %d: %w", i, err)
		}
	}
	if w.infinite && w.lowest {
		return engine{}, errors.New("thresholds of -Inf and of -3.4028235e+38, the lowest float32: its \"at most\" does not distinguish them")
	}
	for i := range a.Trees {
		w.int32(i) // tree_info
	}
	// The flag false: no link.
	e.ensemble, err = leaves.XGEnsembleFromReader(bufio.NewReader(bytes.NewReader(w.out)), false)
	if err != nil {
		return engine{}, err
	}
	e.width = len(a.Trees)
	base, infinite := a.Base, w.infinite // the closures must not keep w and a, which are large
	outputs := make([]int, len(a.Trees))
	for i := range a.Trees {
		outputs[i] = a.Trees[i].Output
	}
	e.clean = func(dst, row []float64) { round(dst, row, infinite) }
	e.margins = func(dst, returned []float64) { sum(dst, returned, base, outputs) }
	return e, nil
}

// round sets dst to row as leaves must see it. If there are thresholds of -Inf,
// -Inf itself, which is not below them, becomes the lowest number that is.
func round(dst, row []float64, infinite bool) {
	for j, v := range row {
		v = float64(float32(v))
		if infinite && v < -math.MaxFloat32 {
			v = -math.MaxFloat32
		}
		dst[j] = v
	}
}

// sum sets dst to the margins: base and the values of the trees' leaves, each
// added to its tree's output.
func sum(dst, returned []float64, base []float32, outputs []int) {
	for k, b := range base {
		dst[k] = float64(b)
	}
	for i, v := range returned {
		k := outputs[i]
		dst[k] = float64(float32(dst[k]) + float32(v))
	}
}

// A layout writes the deprecated binary format of XGBoost up to 0.90: the memory
// of its structs, little-endian. Fields that leaves ignores are zero.
//
// Each tree has an output of its own, whose sum starts from -0, which added to a
// number does not change it: so leaves returns the value of each tree's leaf.
// Leaves would refuse trees whose outputs do not alternate, and the format has one
// base score for all outputs.
type layout struct {
	out []byte

	infinite, lowest bool // some threshold is -Inf, or the lowest number
}

func (w *layout) uint32(v uint32) { w.out = binary.LittleEndian.AppendUint32(w.out, v) }
func (w *layout) int32(v int)     { w.uint32(uint32(v)) }
func (w *layout) float(v float32) { w.uint32(math.Float32bits(v)) }
func (w *layout) zeros(n int)     { w.out = append(w.out, make([]byte, n)...) }

func (w *layout) text(s string) {
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(len(s)))
	w.out = append(w.out, s...)
}

func (w *layout) header(a *xgboost.Arrays) {
	w.float(float32(math.Copysign(0, -1))) // base_score
	w.int32(a.Features)
	w.zeros(32 * 4)
	w.text("reg:linear")
	w.text("gbtree") // dart's weights are in the leaves

	w.int32(len(a.Trees))
	w.int32(1) // num_roots
	w.int32(a.Features)
	w.zeros(4 + 8)
	w.int32(len(a.Trees)) // num_output_group
	w.zeros(33 * 4)
}

// tree writes the nodes of t that are reachable from its root, breadth first.
func (w *layout) tree(t *xgboost.TreeArrays) error {
	order := make([]int32, 1, len(t.Left))
	for at := 0; at < len(order); at++ {
		if i := order[at]; t.Left[i] != -1 {
			order = append(order, t.Left[i], t.Right[i])
		}
	}
	w.int32(1) // num_roots
	w.int32(len(order))
	w.zeros(35 * 4)
	next := 1
	for _, i := range order {
		w.zeros(4) // the parent
		if t.Left[i] == -1 {
			if err := w.leaf(float32(t.Condition[i] * t.Weight)); err != nil {
				return fmt.Errorf("leaf %d: %w", i, err)
			}
			continue
		}
		w.int32(next)
		w.int32(next + 1)
		next += 2
		feature := uint32(t.Feature[i])
		if t.DefaultLeft[i] {
			feature |= 1 << 31
		}
		w.uint32(feature)
		if t.Categorical != nil && t.Categorical[i] {
			return fmt.Errorf("node %d is a split by category, which it does not support in XGBoost models", i)
		}
		w.threshold(t.Condition[i])
	}
	w.zeros(len(order) * 16) // statistics
	return nil
}

func (w *layout) leaf(v float32) error {
	if v != v {
		return errors.New("its value is NaN: the bits of a sum of NaN are not defined")
	}
	w.int32(-1)
	w.int32(-1)
	w.int32(0)
	w.float(v)
	return nil
}

// threshold writes c for a reader that compares "at most" where XGBoost compares
// "below". Nothing is below -Inf, and round leaves no value at -Inf.
func (w *layout) threshold(c float32) {
	lowest := float32(math.Inf(-1))
	switch {
	case c == lowest:
		w.infinite = true
	case c == -math.MaxFloat32:
		w.lowest = true
	}
	w.float(math.Nextafter32(c, lowest))
}
