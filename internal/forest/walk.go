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
	if len(rows) == f.features && len(dst) == width && width == len(f.base) { // one row, to which all that follows is noticeable
		f.margins(dst, rows)
		if finish {
			f.finish(dst)
		}
		return
	}
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
	case f.stairs != nil:
		f.stairs.margin(f, dst, rows)
	default:
		f.walk(dst, rows)
	}
}

// walk sets dst to the margins of rows, node by node.
func (f *Forest) walk(dst, rows []float64) {
	margins := len(f.base)
	for ; len(rows) > 0; dst, rows = dst[margins:], rows[f.features:] {
		copy(dst, f.base)
		for tree, root := range f.roots {
			f.addTo(dst, f.output(tree), f.value(root, rows[:f.features]))
		}
	}
}

// addTo adds a leaf's value to the sum dst[k].
func (f *Forest) addTo(dst []float64, k int, v float64) {
	if f.sum32 {
		dst[k] = float64(float32(dst[k]) + float32(v))
	} else {
		dst[k] += v
	}
}

// A path is where the walk of one tree, for one row, has got to.
type path struct {
	place int32 // of its value
	node  int32
}

// walkOn walks the open paths, which are at splits, on to their leaves and sets
// their values. The path of place p is that of row p&mask.
func walkOn[F float32 | float64](f *Forest, values []F, open []path, rows []float64, mask int32) {
	if f.plain {
		for columns := f.features; len(open) > 0; {
			open = open[:descend(f.nodes, values, open, rows, columns, mask)]
		}
		return
	}
	for _, p := range open {
		values[p.place] = F(f.value(p.node, rows[int(p.place&mask)*f.features:][:f.features]))
	}
}

// descend takes all open paths one step down and returns how many are open still,
// the first ones. It takes no branch that depends on the row, and no path waits
// for the loads of another. All splits must be plain.
func descend[F float32 | float64](nodes []node, values []F, open []path, rows []float64, columns int, mask int32) int {
	n := 0
	for _, p := range open {
		at := &nodes[p.node]
		v := rows[int(p.place&mask)*columns+int(at.meta&featureMask)]
		right := int32(1)
		if v <= at.threshold {
			right = 0
		}
		p.node = at.left + right&^(int32(isNaN(v))&int32(at.meta/flagMissingLeft&1))
		next := &nodes[p.node]
		values[p.place] = F(next.threshold)
		open[n] = p
		n += int(^next.meta / flagLeaf & 1)
	}
	return n
}

// isNaN returns 1 if v is not a number, else 0.
func isNaN[F float32 | float64](v F) int {
	n := 0
	if v != v {
		n = 1
	}
	return n
}

// value returns the value of the leaf under node root that row falls into.
func (f *Forest) value(root int32, row []float64) float64 {
	leaf := f.find(root, row)
	if f.linear != nil {
		return f.evaluate(leaf, row)
	}
	return leaf.threshold
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
