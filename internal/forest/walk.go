package forest

import "slices"

// nodeWalk is the engine walk. The node array is all that it needs.
type nodeWalk struct{ *trees }

func (nodeWalk) name() string { return "walk" }

func (w nodeWalk) bytes() int { return nodeBytes * len(w.nodes) }

func (w nodeWalk) margins(dst, rows []float64) {
	t := w.trees
	outputs := len(t.base)
	for ; len(rows) > 0; dst, rows = dst[outputs:], rows[t.features:] {
		copy(dst, t.base)
		for tree, root := range t.roots {
			t.add(dst, t.output(tree), t.value(root, rows[:t.features]))
		}
	}
}

// value returns the value that the tree at root adds for row.
func (t *trees) value(root int32, row []float64) float64 {
	leaf := t.find(root, row)
	if t.linear != nil {
		return t.evaluate(leaf, row)
	}
	return leaf.threshold
}

// find returns the leaf of row in the tree, or subtree, at root.
func (t *trees) find(root int32, row []float64) *node {
	n := &t.nodes[root]
	for n.meta&flagLeaf == 0 {
		i := n.left
		if !t.left(n, row[n.meta&featureMask]) {
			i++
		}
		n = &t.nodes[i]
	}
	return n
}

// left reports whether n sends v left.
func (t *trees) left(n *node, v float64) bool {
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
		return t.categories[int(n.threshold)].left(v)
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

// evaluate returns the value of a leaf in a forest that has linear leaves.
func (t *trees) evaluate(leaf *node, row []float64) float64 {
	l := &t.linear[leaf.left]
	if l.start < 0 {
		return leaf.threshold
	}
	sum := l.constant
	for i := l.start; i < l.end; i++ {
		v := row[t.coeffOf[i]]
		if v != v {
			return leaf.threshold
		}
		if v >= -ZeroBound && v <= ZeroBound {
			v = 0
		}
		sum += float64(t.coeff[i] * v)
	}
	return sum
}

// A cursor is the position of an unfinished walk of one tree for one row.
type cursor struct {
	index int32 // of the walk's value
	node  int32
}

// finishWalks continues walks, all of which are at splits, to their leaves and sets
// their values. The walk of index i is for row i&mask.
func finishWalks[F float32 | float64](t *trees, values []F, walks []cursor, rows []float64, mask int32) {
	if t.plain {
		for len(walks) > 0 {
			walks = walks[:step(t.nodes, values, walks, rows, t.features, mask)]
		}
		return
	}
	for _, w := range walks {
		values[w.index] = F(t.value(w.node, rows[int(w.index&mask)*t.features:][:t.features]))
	}
}

// step takes one step in each walk and returns how many are unfinished, which it
// moves to the front. It has no branch that depends on the row, and the loads of
// different walks overlap. All splits must be plain.
func step[F float32 | float64](nodes []node, values []F, walks []cursor, rows []float64, features int, mask int32) int {
	n := 0
	for _, w := range walks {
		at := &nodes[w.node]
		v := rows[int(w.index&mask)*features+int(at.meta&featureMask)]
		right := int32(1)
		if v <= at.threshold {
			right = 0
		}
		w.node = at.left + right&^(int32(isNaN(v))&int32(at.meta/flagMissingLeft&1))
		next := &nodes[w.node]
		values[w.index] = F(next.threshold)
		walks[n] = w
		n += int(^next.meta / flagLeaf & 1)
	}
	return n
}

// isNaN returns 1 if v is NaN, else 0.
func isNaN[F float32 | float64](v F) int {
	n := 0
	if v != v {
		n = 1
	}
	return n
}
