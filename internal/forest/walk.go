package forest

import "slices"

// Margin sets dst to the margins of rows: dst[i*Margins()+k] is the k-th of row
// i, which is rows[i*Features():][:Features()]. Both lengths must fit; it panics
// if they do not.
func (f *Forest) Margin(dst, rows []float64) {
	f.each(dst, rows, len(f.base), false)
}

// Predict sets dst to the predictions for rows: dst[i*Outputs()+k] is the k-th of
// row i.
func (f *Forest) Predict(dst, rows []float64) {
	f.each(dst, rows, f.Outputs(), true)
}

// Finish turns margins, Margins a row, into predictions, Outputs a row: Predict
// is Margin and then Finish. It uses margins as scratch, so dst may be the same
// slice. Both lengths must fit; it panics if they do not.
func (f *Forest) Finish(dst, margins []float64) {
	in, out := f.Margins(), f.Outputs()
	n := len(margins) / in
	if n*in != len(margins) || n*out != len(dst) {
		panic("forest: lengths of dst and margins do not fit")
	}
	for i := range n {
		s := margins[i*in:][:in]
		f.finish(s)
		copy(dst[i*out:][:out], s)
	}
}

func (f *Forest) each(dst, rows []float64, width int, finish bool) {
	n := len(rows) / f.features
	if n*f.features != len(rows) || n*width != len(dst) {
		panic("forest: lengths of dst and rows do not fit")
	}
	margins := len(f.base)
	if width == margins {
		f.margins(dst, rows)
		if finish {
			for i := range n {
				f.finish(dst[i*margins:][:margins])
			}
		}
		return
	}
	var few [64]float64
	sums := few[:]
	if margins > len(few) {
		sums = make([]float64, margins)
	}
	for step := len(sums) / margins; n > 0; n -= step {
		step = min(step, n)
		s := sums[:step*margins]
		f.margins(s, rows[:step*f.features])
		for i := range step {
			f.finish(s[i*margins:][:margins])
			copy(dst[i*width:][:width], s[i*margins:])
		}
		dst, rows = dst[step*width:], rows[step*f.features:]
	}
}

// margins sets dst to the margins of rows, whose lengths fit.
func (f *Forest) margins(dst, rows []float64) {
	switch {
	case f.table != nil:
		f.table.margin(f, dst, rows)
	case f.table32 != nil:
		f.table32.margin(f, dst, rows)
	case f.stepper != nil:
		f.stepper.margin(f, dst, rows)
	default:
		for i := range len(rows) / f.features {
			f.sum(dst[i*len(f.base):][:len(f.base)], rows[i*f.features:][:f.features])
		}
	}
}

// sum sets s to the margins of one row.
func (f *Forest) sum(s, row []float64) {
	copy(s, f.base)
	for t, root := range f.roots {
		leaf := f.find(root, row)
		v := leaf.threshold
		if f.linear != nil {
			v = f.evaluate(leaf, row)
		}
		k := int32(0)
		if f.outputs != nil {
			k = f.outputs[t]
		}
		if f.sum32 {
			s[k] = float64(float32(s[k]) + float32(v))
		} else {
			s[k] += v
		}
	}
}

// find returns the leaf of the tree at root that row falls into.
func (f *Forest) find(root int32, row []float64) *node {
	n := &f.nodes[root]
	for n.meta&flagLeaf == 0 {
		i := n.left
		if !f.left(n, row[n.meta&featureMask]) {
			i++
		}
		n = &f.nodes[i]
	}
	return n
}

// left reports whether n sends v left.
func (f *Forest) left(n *node, v float64) bool {
	missingLeft := n.meta&flagMissingLeft != 0
	if n.meta&flagsRare == 0 {
		if missingLeft {
			return !(v > n.threshold)
		}
		return v <= n.threshold
	}
	switch {
	case v != v:
		return missingLeft
	case n.meta&flagCategories != 0:
		return f.categories[int(n.threshold)].left(v)
	case v >= -ZeroBound && v <= ZeroBound:
		return missingLeft
	}
	return v <= n.threshold
}

// left reports whether v, which is not NaN, goes left.
func (c *Categories) left(v float64) bool {
	if c.Round32 {
		v = float64(float32(v))
	}
	switch {
	case v <= -1 || c.BelowZero && v < 0:
		return c.NegativeLeft
	case v >= 1<<31:
		return c.RestLeft
	}
	i := uint32(int32(v))
	if c.Wrap {
		i &= 0xff
	}
	if n := len(c.Sparse); n > 0 {
		if i/32 > uint32(c.Sparse[n-1])/32 {
			return c.RestLeft
		}
		_, listed := slices.BinarySearch(c.Sparse, int32(i))
		return !listed
	}
	if int(i/32) >= len(c.Left) {
		return c.RestLeft
	}
	return c.Left[i/32]>>(i%32)&1 != 0
}

// evaluate returns the value of a leaf of a forest with linear leaves.
func (f *Forest) evaluate(leaf *node, row []float64) float64 {
	l := &f.linear[leaf.left]
	if l.start < 0 {
		return leaf.threshold
	}
	sum := l.constant
	for i := l.start; i < l.end; i++ {
		v := row[f.coeffOf[i]]
		if v != v {
			return leaf.threshold
		}
		if v >= -ZeroBound && v <= ZeroBound {
			v = 0
		}
		sum += float64(f.coeff[i] * v)
	}
	return sum
}
