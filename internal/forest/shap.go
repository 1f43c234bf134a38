package forest

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// maxExplainDepth bounds the recursion of Explain, far above any real tree.
const maxExplainDepth = 1024

// Explain sets dst to the SHAP contribution of each feature of row to the first
// margin, and returns the bias, the expected margin: bias plus the sum of dst is
// the margin. It is the path-dependent TreeSHAP of Lundberg, Erion and Lee,
// "Consistent Individualized Feature Attribution for Tree Ensembles" (2018),
// algorithm 2, as LightGBM's pred_contrib and XGBoost's pred_contribs have it: a
// feature that is not known sends a row both ways, weighted by the training rows
// that went there. Those weights are normed at each split, for files round them.
//
// It allocates; its cost grows with leaves times the square of the features on a
// path. Between trees it looks at ctx. Len(dst) and len(row) are Features. Errors
// other than ctx's are of the model: no row of it can be explained.
func (f *Forest) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	switch {
	case len(dst) != f.features || len(row) != f.features:
		return 0, fmt.Errorf("%d values and room for %d contributions: want %d of each", len(row), len(dst), f.features)
	case len(f.base) != 1:
		return 0, fmt.Errorf("%d margins: only a model of one can be explained", len(f.base))
	case f.linear != nil:
		return 0, errors.New("linear leaves have no contributions")
	case f.cover == nil && f.leaves > len(f.roots):
		return 0, errors.New("the file does not tell how many rows went through each node")
	case f.depth > maxExplainDepth:
		return 0, fmt.Errorf("trees of depth %d: at most %d can be explained", f.depth, maxExplainDepth)
	}
	clear(dst)
	e := explainer{f: f, dst: make([]float64, f.features), row: row, width: min(f.depth, f.features) + 2}
	e.paths = make([]step, (f.depth+1)*e.width)
	bias = f.base[0]
	for _, root := range f.roots {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		clear(e.dst)
		mean, err := e.node(root, 0, nil, step{feature: -1, zero: 1, one: 1})
		if err != nil {
			return 0, err
		}
		bias = f.add32(bias, mean)
		for j, c := range e.dst {
			dst[j] = f.add32(dst[j], c)
		}
	}
	if f.sum32 {
		var margin [1]float64
		f.Margin(margin[:], row)
		return Share(dst, bias, margin[0]), nil
	}
	return bias, nil
}

// add32 adds as the forest does.
func (f *Forest) add32(a, b float64) float64 {
	if f.sum32 {
		return float64(float32(a) + float32(b))
	}
	return a + b
}

// Share deals out what a margin differs from the sum of bias and contributions,
// because float32 rounded them along different ways: alike to the bias, which it
// returns, and to all features that contribute. That is about a millionth of the
// largest of them, as much as XGBoost leaves unsaid. A margin that overflowed is
// left alone.
func Share(dst []float64, bias, margin float64) float64 {
	rest, n := margin-bias, 1
	for _, c := range dst {
		rest -= c
		if c != 0 {
			n++
		}
	}
	part := rest / float64(n)
	if math.IsNaN(part) || math.IsInf(part, 0) {
		return bias
	}
	for j, c := range dst {
		if c != 0 {
			dst[j] = c + part
		}
	}
	return bias + part
}

// A step is a feature on the way to a node.
type step struct {
	feature int32
	zero    float64 // share of the rows that go this way if the feature is not known
	one     float64 // 1 if row goes this way, else 0
	weight  float64 // of the subsets of the path's features that are one shorter than its place
}

type explainer struct {
	f        *Forest
	dst, row []float64
	paths    []step // width for each depth
	width    int
}

// node adds the contributions of the leaves below a node that path and then
// next lead to. It returns the mean of the leaves.
func (e *explainer) node(at int32, depth int, path []step, next step) (mean float64, err error) {
	own := e.paths[depth*e.width:][:0:e.width]
	path = extend(append(own, path...), next)
	n := &e.f.nodes[at]
	if n.meta&flagLeaf != 0 {
		for i := 1; i < len(path); i++ {
			s := &path[i]
			e.dst[s.feature] += float64(float64(unwoundSum(path, i)*(s.one-s.zero)) * n.threshold)
		}
		return n.threshold, nil
	}
	feature := int32(n.meta & featureMask)
	leftCover, rightCover := e.f.cover[n.left], e.f.cover[n.left+1]
	all := leftCover + rightCover
	if !(leftCover >= 0 && rightCover >= 0 && all > 0 && !math.IsInf(all, 1)) {
		return 0, fmt.Errorf("the rows that went through a node's children are %v and %v: want numbers, not both zero", leftCover, rightCover)
	}
	// A feature that the path has already is taken out of it, and its shares
	// go on.
	before := step{zero: 1, one: 1}
	for i := 1; i < len(path); i++ {
		if path[i].feature == feature {
			before = path[i]
			path = unwind(path, i)
			break
		}
	}
	left, right := leftCover/all, rightCover/all
	l := step{feature: feature, zero: before.zero * left}
	r := step{feature: feature, zero: before.zero * right}
	if e.f.left(n, e.row[feature]) {
		l.one = before.one
	} else {
		r.one = before.one
	}
	for i, s := range []step{l, r} {
		// Where neither row nor any training row goes, nothing is to be had, and
		// unwind would divide by zero.
		if s.zero == 0 && s.one == 0 {
			continue
		}
		m, err := e.node(n.left+int32(i), depth+1, path, s)
		if err != nil {
			return 0, err
		}
		mean += float64([]float64{left, right}[i] * m)
	}
	return mean, nil
}

// extend adds a step to a path.
func extend(path []step, s step) []step {
	n := len(path)
	if n == 0 {
		s.weight = 1
	}
	path = append(path, s)
	for i := n - 1; i >= 0; i-- {
		path[i+1].weight += float64(float64(s.one*path[i].weight) * (float64(i+1) / float64(n+1)))
		path[i].weight = float64(s.zero*path[i].weight) * (float64(n-i) / float64(n+1))
	}
	return path
}

// unwind takes step i out of a path: it undoes extend.
func unwind(path []step, i int) []step {
	n := len(path) - 1
	one, zero := path[i].one, path[i].zero
	next := path[n].weight
	for j := n - 1; j >= 0; j-- {
		if one != 0 {
			was := path[j].weight
			path[j].weight = next * float64(n+1) / (float64(j+1) * one)
			next = was - float64(float64(path[j].weight*zero)*(float64(n-j)/float64(n+1)))
		} else {
			path[j].weight = path[j].weight * float64(n+1) / (zero * float64(n-j))
		}
	}
	for j := i; j < n; j++ {
		path[j].feature, path[j].zero, path[j].one = path[j+1].feature, path[j+1].zero, path[j+1].one
	}
	return path[:n]
}

// unwoundSum is the sum of the weights that unwind would leave.
func unwoundSum(path []step, i int) float64 {
	n := len(path) - 1
	one, zero := path[i].one, path[i].zero
	next := path[n].weight
	sum := 0.0
	for j := n - 1; j >= 0; j-- {
		switch {
		case one != 0:
			w := next * float64(n+1) / (float64(j+1) * one)
			sum += w
			next = path[j].weight - float64(float64(w*zero)*(float64(n-j)/float64(n+1)))
		case zero != 0:
			sum += path[j].weight / zero / (float64(n-j) / float64(n+1))
		}
	}
	return sum
}
