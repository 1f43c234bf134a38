package forest

// A crown is the part of a tree around its root that a table covers: at most as
// many exits as a mask has bits. A small tree is all crown. Of others it is the
// part through which most rows go: an exit is a leaf, or a node from which the
// tree is walked on.
//
//	      ___0___            expanded: 0, 1, 4
//	   __1__     2 exit      exits:    2, 3, 5, 6, in this order bits 0 to 3
//	  3     4
//	exit  5   6
//	    exit exit            set of 1: 3, 5 and 6
type crown []crownNode

type crownNode struct {
	node  int32
	child int32  // in the crown, of the left child; the right one is next; 0 of an exit
	exits uint64 // the bits of the exits under it, its own if it is one
}

// crowns returns a crown of up to most exits for each tree.
func (f *Forest) crowns(most int) []crown {
	crowns := make([]crown, len(f.roots))
	for tree := range crowns {
		crowns[tree] = f.crown(tree, most)
	}
	return crowns
}

func (f *Forest) crown(tree, most int) crown {
	root, end := f.roots[tree], f.end(tree)
	weight := f.weights(tree)
	c := make(crown, 1, min(2*most, end-int(root)+1))
	c[0].node = root
	for exits := 1; exits < most; exits++ {
		best := -1
		for i := range c {
			if c[i].child != 0 || f.nodes[c[i].node].meta&flagLeaf != 0 {
				continue
			}
			if best < 0 || weight[c[i].node-root] > weight[c[best].node-root] {
				best = i
			}
		}
		if best < 0 {
			break
		}
		left := f.nodes[c[best].node].left
		c[best].child = int32(len(c))
		c = append(c, crownNode{node: left}, crownNode{node: left + 1})
	}
	bit := 0
	for i := range c {
		if c[i].child == 0 {
			c[i].exits = 1 << bit
			bit++
		}
	}
	for i := len(c) - 1; i >= 0; i-- { // children come after their parents
		if k := c[i].child; k != 0 {
			c[i].exits = c[k].exits | c[k+1].exits
		}
	}
	return c
}

// splits returns the crowns' splits, and how many of them an average row meets.
func (f *Forest) splits(crowns []crown) (splits []int32, met float64) {
	for tree, c := range crowns {
		weight := f.weights(tree)
		for i := range c {
			if c[i].child != 0 {
				splits = append(splits, c[i].node)
				met += share(weight, c[i].node-f.roots[tree])
			}
		}
	}
	return splits, met
}

// allSplits is splits for whole trees.
func (f *Forest) allSplits() (splits []int32, met float64) {
	for tree, root := range f.roots {
		weight := f.weights(tree)
		for i := range weight {
			if f.nodes[int(root)+i].meta&flagLeaf == 0 {
				splits = append(splits, root+int32(i))
				met += share(weight, int32(i))
			}
		}
	}
	return splits, met
}

// share tells which part of all rows goes through a node. Files may lie about
// that, to no more than a bad choice of engine.
func share(weight []float64, node int32) float64 {
	if s := weight[node] / weight[0]; s >= 0 && s <= 1 {
		return s
	}
	return 1
}

// weights tells, by node of a tree, how many training rows went through it, or if
// that is not known, how many leaves are under it.
func (f *Forest) weights(tree int) []float64 {
	root, end := f.roots[tree], f.end(tree)
	if f.cover != nil {
		return f.cover[root:end]
	}
	w := make([]float64, end-int(root))
	for i := len(w) - 1; i >= 0; i-- { // children come after their parents
		w[i] = 1
		if n := &f.nodes[int(root)+i]; n.meta&flagLeaf == 0 {
			w[i] = w[n.left-root] + w[n.left-root+1]
		}
	}
	return w
}
