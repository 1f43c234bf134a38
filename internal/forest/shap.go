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
// margin, and returns the bias, the expected margin; bias plus the sum of dst is
// the margin. It is path-dependent TreeSHAP (S. Lundberg, G. Erion and S. Lee,
// "Consistent Individualized Feature Attribution for Tree Ensembles", 2018,
// algorithm 2), as in LightGBM's pred_contrib and XGBoost's pred_contribs: if a
// feature is not in the subset, the row takes both sides of its splits, weighted
// by the training rows that took each. The weights are normalized at each split,
// because files round them.
//
// Explain allocates. Its cost grows with the number of leaves times the square of
// the number of features on a path. It checks ctx before each tree. Len(dst) and
// len(row) are Features. An error that is not ctx's applies to all rows.
func (f *Forest) Explain(ctx context.Context, dst, row []float64) (bias float64, err error) {
	t := f.trees
	switch {
	case len(dst) != t.features || len(row) != t.features:
		return 0, fmt.Errorf("%d values and %d contributions: want %d of each", len(row), len(dst), t.features)
	case len(t.base) != 1:
		return 0, fmt.Errorf("%d margins: contributions are defined for models with one", len(t.base))
	case t.linear != nil:
		return 0, errors.New("linear leaves: contributions are defined for constant leaves only")
	case t.cover == nil && t.leaves > len(t.roots):
		return 0, errors.New("contributions need the number of training rows of each node, which the file does not record")
	case t.depth > maxExplainDepth:
		return 0, fmt.Errorf("trees of depth %d: want at most %d for contributions", t.depth, maxExplainDepth)
	}
	clear(dst)
	e := explainer{trees: t, dst: make([]float64, t.features), row: row, width: min(t.depth, t.features) + 2}
	e.paths = make([]element, (t.depth+1)*e.width)
	bias = t.base[0]
	for _, root := range t.roots {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		clear(e.dst)
		mean, err := e.visit(root, 0, nil, element{feature: -1, zero: 1, one: 1})
		if err != nil {
			return 0, err
		}
		bias = t.sum(bias, mean)
		for j, c := range e.dst {
			dst[j] = t.sum(dst[j], c)
		}
	}
	if t.sum32 {
		var margin [1]float64
		f.Margin(margin[:], row)
		return Share(dst, bias, margin[0]), nil
	}
	return bias, nil
}

// Share corrects bias, which it returns, and the contributions in dst so that they
// add up to margin. In float32 their sum is rounded differently from the margin, by
// about a millionth of the largest term; XGBoost leaves that difference. Share
// distributes it equally over the bias and the contributions that are not zero. If
// the difference is infinite or NaN, it changes nothing.
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

// An element is a feature on the path to a node; the paper's d, z, o and w.
type element struct {
	feature int32
	zero    float64 // share of the rows that take the path if the feature is not in the subset
	one     float64 // 1 if row takes the path, else 0
	weight  float64 // of all subsets whose size is the element's index in the path
}

type explainer struct {
	trees    *trees
	dst, row []float64
	paths    []element // width for each depth
	width    int
}

// visit adds the contributions of the leaves below a node that is reached by path,
// extended by next. It returns the mean of the leaves.
func (e *explainer) visit(at int32, depth int, path []element, next element) (mean float64, err error) {
	own := e.paths[depth*e.width:][:0:e.width]
	path = extend(append(own, path...), next)
	n := &e.trees.nodes[at]
	if n.meta&flagLeaf != 0 {
		for i := 1; i < len(path); i++ {
			p := &path[i]
			e.dst[p.feature] += float64(float64(unwoundSum(path, i)*(p.one-p.zero)) * n.threshold)
		}
		return n.threshold, nil
	}
	feature := int32(n.meta & featureMask)
	leftCover, rightCover := e.trees.cover[n.left], e.trees.cover[n.left+1]
	all := leftCover + rightCover
	if !(leftCover >= 0 && rightCover >= 0 && all > 0 && !math.IsInf(all, 1)) {
		return 0, fmt.Errorf("covers %v and %v of a node's children: want numbers of training rows, not both zero", leftCover, rightCover)
	}
	// If the path has the feature already, its element is replaced by one with the
	// product of the shares.
	before := element{zero: 1, one: 1}
	for i := 1; i < len(path); i++ {
		if path[i].feature == feature {
			before = path[i]
			path = unwind(path, i)
			break
		}
	}
	left, right := leftCover/all, rightCover/all
	l := element{feature: feature, zero: before.zero * left}
	r := element{feature: feature, zero: before.zero * right}
	if e.trees.left(n, e.row[feature]) {
		l.one = before.one
	} else {
		r.one = before.one
	}
	for i, p := range []element{l, r} {
		// A side that neither row nor any training row takes contributes nothing,
		// and unwind would divide by zero.
		if p.zero == 0 && p.one == 0 {
			continue
		}
		m, err := e.visit(n.left+int32(i), depth+1, path, p)
		if err != nil {
			return 0, err
		}
		mean += float64([]float64{left, right}[i] * m)
	}
	return mean, nil
}

// extend is EXTEND of the paper: it adds an element to a path.
func extend(path []element, p element) []element {
	n := len(path)
	if n == 0 {
		p.weight = 1
	}
	path = append(path, p)
	for i := n - 1; i >= 0; i-- {
		path[i+1].weight += float64(float64(p.one*path[i].weight) * (float64(i+1) / float64(n+1)))
		path[i].weight = float64(p.zero*path[i].weight) * (float64(n-i) / float64(n+1))
	}
	return path
}

// unwind is UNWIND of the paper: it removes element i, as if extend had not added it.
func unwind(path []element, i int) []element {
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

// unwoundSum returns the sum of the weights after unwind, without changing path.
func unwoundSum(path []element, i int) float64 {
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
