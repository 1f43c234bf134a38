package basketleaves

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/internal/xgboost"
	"github.com/dmitryikh/leaves"
)

// newXGBoost hands leaves the trees of an XGBoost model.
func newXGBoost(data []byte, native *basket.Forest) (e engine, err error) {
	defer caught(&err)
	a, err := xgboost.ReadArrays(data, native.Info().Trees)
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
		return engine{}, errors.New("thresholds of -Inf and of -3.4028235e+38, the lowest float32: its \"at most\" cannot tell them apart")
	}
	for i := range a.Trees {
		w.int32(i) // tree_info
	}
	// It is told not to look for a link.
	e.ensemble, err = leaves.XGEnsembleFromReader(bufio.NewReader(bytes.NewReader(w.out)), false)
	if err != nil {
		return engine{}, err
	}
	e.width = len(a.Trees)
	base, infinite := a.Base, w.infinite // for w and a are large
	outputs := make([]int, len(a.Trees))
	for i := range a.Trees {
		outputs[i] = a.Trees[i].Output
	}
	e.clean = func(dst, row []float64) { round(dst, row, infinite) }
	e.margins = func(dst, found []float64) { addUp(dst, found, base, outputs) }
	return e, nil
}

// round sets dst to row as leaves has to see it. If there are thresholds of -Inf,
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

// addUp sets dst to the margins: base and what leaves found, the value of each
// tree's leaf, each added to the tree's output.
func addUp(dst, found []float64, base []float32, outputs []int) {
	for k, b := range base {
		dst[k] = float64(b)
	}
	for i, v := range found {
		k := outputs[i]
		dst[k] = float64(float32(dst[k]) + float32(v))
	}
}

// A layout is the deprecated binary format as XGBoost wrote it up to 0.90: the
// structs' memory, little-endian. What leaves does not look at is left zero.
//
// Each tree has an output of its own, whose sum starts from -0, the number that
// changes none: so leaves tells the value of each leaf that it finds. It also
// would refuse trees whose outputs do not take turns, and base scores that differ
// by output have no place in the layout.
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

// tree writes the nodes that the root of t leads to, breadth first.
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
			return fmt.Errorf("node %d is a split by category: it knows none in XGBoost models", i)
		}
		w.threshold(t.Condition[i])
	}
	w.zeros(len(order) * 16) // statistics
	return nil
}

func (w *layout) leaf(v float32) error {
	if v != v {
		return errors.New("its value is NaN, and which bits a sum of such has is not defined")
	}
	w.int32(-1)
	w.int32(-1)
	w.int32(0)
	w.float(v)
	return nil
}

// threshold writes c for a reader that asks for "at most" where XGBoost asks for
// "below". There is nothing below -Inf, but round leaves -Inf to no value.
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
