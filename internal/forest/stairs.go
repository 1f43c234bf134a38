package forest

import "sync"

// Stairs are trees of nodes so small, and with so simple a step, that several
// paths go down them side by side. A value is replaced by its rank, the number of
// its interval on the feature's axis; a split compares ranks by adding them:
//
//	 63    54 53               22 21                0
//	+--------+-------------------+-------------------+
//	|  slot  |    left child     |   maxRank - cut   |
//	+--------+-------------------+-------------------+
//
// Adding a rank above cut carries into the child, and makes it the right one. A
// leaf has itself as its left child and 0 in the low bits, so that nothing ever
// carries: who is there stays there. Nodes have the same numbers as the forest's.
//
// What differs between splits of one feature is in the ranks: each slot ranks the
// values of one feature, with missing values, and zeros if they count as missing,
// lowest or highest of all. A split by categories has a slot of its own, in which
// there is nothing between lowest and highest.
type stairs struct {
	axes  []axis
	slots []slot
	nodes []uint64
	pool  sync.Pool // of *stairRoom
}

const (
	rankBits   = 22
	maxRank    = 1<<rankBits - 1 // maxCuts
	slotShift  = rankBits + 32
	maxSlots   = 1 << (64 - slotShift)
	side       = 8  // paths side by side
	sideGroups = 16 // groups of so many rows, tree after tree
)

type slot struct {
	axis  int
	ranks []uint32 // by interval
}

// A stairRoom holds the ranks of one row, or of groups of side rows, the latter
// with the ranks of one slot next to each other.
type stairRoom struct {
	at    []int32
	one   [maxSlots]uint32
	group []uint32
}

// newStairs returns the stairs of f, or nil if there are none.
func newStairs(f *Forest, splits []int32) *stairs {
	if f.linear != nil {
		return nil
	}
	axes := f.axes(splits)
	if len(axes) == 0 {
		return nil
	}
	of := make(map[int]int, len(axes))
	for j := range axes {
		of[axes[j].feature] = j
	}
	s := &stairs{axes: axes, nodes: make([]uint64, len(f.nodes))}
	// What makes a slot: feature and flags, or the categories.
	type kind struct {
		meta       uint32
		categories int
	}
	slotOf := make(map[kind]int)
	room := 1<<20 + 4*len(f.nodes) // for ranks
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.meta&flagLeaf != 0 {
			s.nodes[i] = uint64(i) << rankBits
			continue
		}
		j := of[int(n.meta&featureMask)]
		a := &axes[j]
		k, cut := kind{meta: n.meta}, 0
		if n.meta&flagCategories != 0 {
			k.categories = int(n.threshold)
		} else {
			cut = a.find(n.threshold)
		}
		number, ok := slotOf[k]
		if !ok {
			number = len(s.slots)
			if room -= len(a.cuts); room < 0 || number == maxSlots {
				return nil
			}
			slotOf[k] = number
			s.slots = append(s.slots, slot{j, f.ranks(n, a)})
		}
		s.nodes[i] = uint64(number)<<slotShift | uint64(n.left)<<rankBits | uint64(maxRank-cut)
	}
	s.pool.New = func() any {
		return &stairRoom{
			at:    make([]int32, len(axes)),
			group: make([]uint32, sideGroups*side*len(s.slots)+maxSlots*side),
		}
	}
	return s
}

// ranks returns the ranks of a's intervals for n and all splits that differ from
// n in the threshold only.
func (f *Forest) ranks(n *node, a *axis) []uint32 {
	ranks := make([]uint32, len(a.cuts)+1)
	for q := range ranks {
		v := a.at(q)
		missing := v != v || n.meta&flagZeroMissing != 0 && v >= -ZeroBound && v <= ZeroBound
		switch {
		case n.meta&flagCategories == 0 && !missing:
			ranks[q] = uint32(q)
		case !f.left(n, v):
			ranks[q] = maxRank
		}
	}
	return ranks
}

// margin sets dst to the margins of rows.
func (s *stairs) margin(f *Forest, dst, rows []float64) {
	c := s.pool.Get().(*stairRoom)
	margins, columns := len(f.base), f.features
	for len(rows) >= side*columns {
		n := min(len(rows)/columns/side*side, sideGroups*side)
		s.groups(f, dst[:n*margins], rows[:n*columns], c)
		dst, rows = dst[n*margins:], rows[n*columns:]
	}
	for ; len(rows) > 0; dst, rows = dst[margins:], rows[columns:] {
		s.one(f, dst[:margins], rows[:columns], c)
	}
	s.pool.Put(c)
}

// find sets the intervals of row's values.
func (s *stairs) find(at []int32, row []float64) {
	at = at[:len(s.axes)]
	for j := range at {
		a := &s.axes[j]
		at[j] = int32(a.find(row[a.feature]))
	}
}

// one sets dst to the margins of one row: several trees side by side.
func (s *stairs) one(f *Forest, dst, row []float64, c *stairRoom) {
	s.find(c.at, row)
	ranks := &c.one
	for k := range s.slots {
		ranks[k&(maxSlots-1)] = s.slots[k].ranks[c.at[s.slots[k].axis]]
	}
	copy(dst, f.base)
	nodes, roots := s.nodes, f.roots
	tree := 0
	for ; len(roots) >= side; roots = roots[side:] {
		i0, i1, i2, i3 := uint32(roots[0]), uint32(roots[1]), uint32(roots[2]), uint32(roots[3])
		i4, i5, i6, i7 := uint32(roots[4]), uint32(roots[5]), uint32(roots[6]), uint32(roots[7])
		for {
			n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
			n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
			if (n0|n1|n2|n3|n4|n5|n6|n7)&maxRank == 0 {
				break // all are leaves
			}
			i0 = uint32((n0 + uint64(ranks[n0>>slotShift])) >> rankBits)
			i1 = uint32((n1 + uint64(ranks[n1>>slotShift])) >> rankBits)
			i2 = uint32((n2 + uint64(ranks[n2>>slotShift])) >> rankBits)
			i3 = uint32((n3 + uint64(ranks[n3>>slotShift])) >> rankBits)
			i4 = uint32((n4 + uint64(ranks[n4>>slotShift])) >> rankBits)
			i5 = uint32((n5 + uint64(ranks[n5>>slotShift])) >> rankBits)
			i6 = uint32((n6 + uint64(ranks[n6>>slotShift])) >> rankBits)
			i7 = uint32((n7 + uint64(ranks[n7>>slotShift])) >> rankBits)
		}
		for _, i := range [side]uint32{i0, i1, i2, i3, i4, i5, i6, i7} {
			f.addTo(dst, f.output(tree), f.nodes[i].threshold)
			tree++
		}
	}
	for _, root := range roots {
		i := uint32(root)
		n := nodes[i]
		for n&maxRank != 0 {
			i = uint32((n + uint64(ranks[n>>slotShift])) >> rankBits)
			n = nodes[i]
		}
		f.addTo(dst, f.output(tree), f.nodes[i].threshold)
		tree++
	}
}

// groups sets dst to the margins of some groups of rows, tree after tree, so that
// a tree stays in the nearest cache, with the rows of a group side by side.
func (s *stairs) groups(f *Forest, dst, rows []float64, c *stairRoom) {
	margins, columns := len(f.base), f.features
	n := len(rows) / columns
	wide := side * len(s.slots) // of a group
	for r := range n {
		s.find(c.at, rows[r*columns:][:columns])
		ranks := c.group[r/side*wide+r%side:]
		for k := range s.slots {
			ranks[k*side] = s.slots[k].ranks[c.at[s.slots[k].axis]]
		}
		copy(dst[r*margins:], f.base)
	}
	for tree, root := range f.roots {
		out := dst[f.output(tree):]
		for g := range n / side {
			ranks := (*[maxSlots * side]uint32)(c.group[g*wide:])
			for r, i := range s.walk(uint32(root), ranks) {
				f.addTo(out, (g*side+r)*margins, f.nodes[i].threshold)
			}
		}
	}
}

// walk returns the leaves that the rows of a group reach from root.
func (s *stairs) walk(root uint32, ranks *[maxSlots * side]uint32) [side]uint32 {
	nodes := s.nodes
	i0, i1, i2, i3, i4, i5, i6, i7 := root, root, root, root, root, root, root, root
	for {
		n0, n1, n2, n3 := nodes[i0], nodes[i1], nodes[i2], nodes[i3]
		n4, n5, n6, n7 := nodes[i4], nodes[i5], nodes[i6], nodes[i7]
		if (n0|n1|n2|n3|n4|n5|n6|n7)&maxRank == 0 {
			return [side]uint32{i0, i1, i2, i3, i4, i5, i6, i7}
		}
		i0 = uint32((n0 + uint64(ranks[n0>>slotShift*side])) >> rankBits)
		i1 = uint32((n1 + uint64(ranks[n1>>slotShift*side+1])) >> rankBits)
		i2 = uint32((n2 + uint64(ranks[n2>>slotShift*side+2])) >> rankBits)
		i3 = uint32((n3 + uint64(ranks[n3>>slotShift*side+3])) >> rankBits)
		i4 = uint32((n4 + uint64(ranks[n4>>slotShift*side+4])) >> rankBits)
		i5 = uint32((n5 + uint64(ranks[n5>>slotShift*side+5])) >> rankBits)
		i6 = uint32((n6 + uint64(ranks[n6>>slotShift*side+6])) >> rankBits)
		i7 = uint32((n7 + uint64(ranks[n7>>slotShift*side+7])) >> rankBits)
	}
}
