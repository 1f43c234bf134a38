package forest

import "sync"

// binned is the engine of that name. It walks nodes of 8 bytes that test bins
// instead of values, several walks interleaved as in VPred (N. Asadi, J. Lin and
// A. de Vries, "Runtime Optimizations for Tree-Based Machine Learning Models",
// IEEE TKDE 2014): no step has a branch that depends on the row, and the loads of
// different walks overlap. The bin of a value is the number of its interval, and a
// split compares bins by an addition:
//
//	 63    54 53               22 21                0
//	+--------+-------------------+-------------------+
//	| column |    left child     |   maxBin - cut    |
//	+--------+-------------------+-------------------+
//
// A bin above cut carries into the child and makes it the right one. A leaf is its
// own successor: its left child is itself, and its low bits are 0, so that no bin
// carries. Nodes have the same positions as in the node array.
//
// Splits on the same feature may differ in where missing values go, so bins come
// in columns: each has the bins of one feature, with missing values, and zeros if
// they count as missing, in the lowest bin or the highest. A categorical split has
// a column of its own, with no other bins than these two.
type binned struct {
	trees     *trees
	intervals []intervals
	columns   []column
	nodes     []uint64
	pool      sync.Pool // of *binnedScratch
}

const (
	binBits     = 22
	maxBin      = 1<<binBits - 1 // maxCuts
	columnShift = binBits + 32
	maxColumns  = 1 << (64 - columnShift)
	groupSize   = 8  // walks that are interleaved: those of a group of rows in a tree, or of trees for a row
	maxGroups   = 16 // that are walked tree by tree
)

type column struct {
	interval int      // index in intervals
	bins     []uint32 // by interval
}

// A binnedScratch holds the bins of one row, or those of groups of rows. In a group
// the bins of a column are adjacent.
type binnedScratch struct {
	found []int32
	row   [maxColumns]uint32
	group []uint32
}

// newBinned returns the binned form of t, or nil if it has linear leaves or exceeds
// a limit.
func newBinned(t *trees, splits []int32) *binned {
	if t.linear != nil {
		return nil
	}
	b := &binned{trees: t, intervals: newIntervals(t, splits)}
	if len(b.intervals) == 0 {
		return nil
	}
	b.nodes = make([]uint64, len(t.nodes))
	index := byFeature(b.intervals)
	// Splits share a column if they have the same feature and flags, and the same
	// categories.
	type kind struct {
		meta       uint32
		categories int
	}
	columnOf := make(map[kind]int)
	budget := 1<<20 + 4*len(t.nodes) // of bins
	for i := range t.nodes {
		n := &t.nodes[i]
		if n.meta&flagLeaf != 0 {
			b.nodes[i] = uint64(i) << binBits
			continue
		}
		j := index[int(n.meta&featureMask)]
		iv := &b.intervals[j]
		k, cut := kind{meta: n.meta}, 0
		if n.meta&flagCategories != 0 {
			k.categories = int(n.threshold)
		} else {
			cut = iv.find(n.threshold)
		}
		number, ok := columnOf[k]
		if !ok {
			number = len(b.columns)
			if budget -= len(iv.cuts); budget < 0 || number == maxColumns {
				return nil
			}
			columnOf[k] = number
			b.columns = append(b.columns, column{j, t.bins(n, iv)})
		}
		b.nodes[i] = uint64(number)<<columnShift | uint64(n.left)<<binBits | uint64(maxBin-cut)
	}
	b.pool.New = func() any {
		return &binnedScratch{
			found: make([]int32, len(b.intervals)),
			group: make([]uint32, maxGroups*groupSize*len(b.columns)+maxColumns*groupSize),
		}
	}
	return b
}

// bins returns the bins of intervals for n and all splits that differ from n in
// the threshold only.
func (t *trees) bins(n *node, iv *intervals) []uint32 {
	bins := make([]uint32, len(iv.cuts)+1)
	for i := range bins {
		v := iv.value(i)
		missing := v != v || n.meta&flagZeroMissing != 0 && v >= -ZeroBound && v <= ZeroBound
		switch {
		case n.meta&flagCategories == 0 && !missing:
			bins[i] = uint32(i)
		case !t.left(n, v):
			bins[i] = maxBin
		}
	}
	return bins
}

func (b *binned) name() string { return "binned" }

func (b *binned) bytes() int {
	n := 8 * len(b.nodes)
	for _, c := range b.columns {
		n += 4 * len(c.bins)
	}
	return n
}

func (b *binned) margins(dst, rows []float64) {
	s := b.pool.Get().(*binnedScratch)
	outputs, features := len(b.trees.base), b.trees.features
	for len(rows) >= groupSize*features {
		n := min(len(rows)/features/groupSize*groupSize, maxGroups*groupSize)
		b.groups(dst[:n*outputs], rows[:n*features], s)
		dst, rows = dst[n*outputs:], rows[n*features:]
	}
	for ; len(rows) > 0; dst, rows = dst[outputs:], rows[features:] {
		b.row(dst[:outputs], rows[:features], s)
	}
	b.pool.Put(s)
}

// find sets found to the intervals of the row's values.
func (b *binned) find(found []int32, row []float64) {
	found = found[:len(b.intervals)]
	for j := range found {
		iv := &b.intervals[j]
		found[j] = int32(iv.find(row[iv.feature]))
	}
}

// row sets dst to the margins of one row: it interleaves trees.
func (b *binned) row(dst, row []float64, s *binnedScratch) {
	b.find(s.found, row)
	bins := &s.row
	for k := range b.columns {
		bins[k&(maxColumns-1)] = b.columns[k].bins[s.found[b.columns[k].interval]]
	}
	t, nodes := b.trees, b.nodes
	copy(dst, t.base)
	roots := t.roots
	tree := 0
	for ; len(roots) >= groupSize; roots = roots[groupSize:] {
		i0, i1, i2, i3 := uint32(roots[0]), uint32(roots[1]), uint32(roots[2]), uint32(roots[3])
		i4, i5, i6, i7 := uint32(roots[4]), uint32(roots[5]), uint32(roots[6]), uint32(roots[7])
		for {
			n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
			n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
			if (n0|n1|n2|n3|n4|n5|n6|n7)&maxBin == 0 {
				break // all are leaves
			}
			i0 = uint32((n0 + uint64(bins[n0>>columnShift])) >> binBits)
			i1 = uint32((n1 + uint64(bins[n1>>columnShift])) >> binBits)
			i2 = uint32((n2 + uint64(bins[n2>>columnShift])) >> binBits)
			i3 = uint32((n3 + uint64(bins[n3>>columnShift])) >> binBits)
			i4 = uint32((n4 + uint64(bins[n4>>columnShift])) >> binBits)
			i5 = uint32((n5 + uint64(bins[n5>>columnShift])) >> binBits)
			i6 = uint32((n6 + uint64(bins[n6>>columnShift])) >> binBits)
			i7 = uint32((n7 + uint64(bins[n7>>columnShift])) >> binBits)
		}
		for _, i := range [groupSize]uint32{i0, i1, i2, i3, i4, i5, i6, i7} {
			t.add(dst, t.output(tree), t.nodes[i].threshold)
			tree++
		}
	}
	for _, root := range roots {
		i := uint32(root)
		n := nodes[i]
		for n&maxBin != 0 {
			i = uint32((n + uint64(bins[n>>columnShift])) >> binBits)
			n = nodes[i]
		}
		t.add(dst, t.output(tree), t.nodes[i].threshold)
		tree++
	}
}

// groups sets dst to the margins of some groups of rows. It goes tree by tree, so
// that a tree stays in the first-level cache, and interleaves the rows of a group.
func (b *binned) groups(dst, rows []float64, s *binnedScratch) {
	t := b.trees
	outputs, features := len(t.base), t.features
	n := len(rows) / features
	size := groupSize * len(b.columns) // of a group
	for i := range n {
		b.find(s.found, rows[i*features:][:features])
		bins := s.group[i/groupSize*size+i%groupSize:]
		for k := range b.columns {
			bins[k*groupSize] = b.columns[k].bins[s.found[b.columns[k].interval]]
		}
		copy(dst[i*outputs:], t.base)
	}
	for tree, root := range t.roots {
		out := dst[t.output(tree):]
		for g := range n / groupSize {
			bins := (*[maxColumns * groupSize]uint32)(s.group[g*size:])
			for i, leaf := range b.walk(uint32(root), bins) {
				t.add(out, (g*groupSize+i)*outputs, t.nodes[leaf].threshold)
			}
		}
	}
}

// walk returns the leaves of a group's rows in the tree at root.
func (b *binned) walk(root uint32, bins *[maxColumns * groupSize]uint32) [groupSize]uint32 {
	nodes := b.nodes
	i0, i1, i2, i3, i4, i5, i6, i7 := root, root, root, root, root, root, root, root
	for {
		n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
		n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
		if (n0|n1|n2|n3|n4|n5|n6|n7)&maxBin == 0 {
			return [groupSize]uint32{i0, i1, i2, i3, i4, i5, i6, i7}
		}
		i0 = uint32((n0 + uint64(bins[n0>>columnShift*groupSize])) >> binBits)
		i1 = uint32((n1 + uint64(bins[n1>>columnShift*groupSize+1])) >> binBits)
		i2 = uint32((n2 + uint64(bins[n2>>columnShift*groupSize+2])) >> binBits)
		i3 = uint32((n3 + uint64(bins[n3>>columnShift*groupSize+3])) >> binBits)
		i4 = uint32((n4 + uint64(bins[n4>>columnShift*groupSize+4])) >> binBits)
		i5 = uint32((n5 + uint64(bins[n5>>columnShift*groupSize+5])) >> binBits)
		i6 = uint32((n6 + uint64(bins[n6>>columnShift*groupSize+6])) >> binBits)
		i7 = uint32((n7 + uint64(bins[n7>>columnShift*groupSize+7])) >> binBits)
	}
}
