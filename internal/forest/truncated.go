package forest

// A truncatedTree is the part of a tree around its root that a table covers. Its
// exits, at most one per bit of a bitvector, are leaves, or, if the tree has too many
// leaves, splits at which it is cut off. It is the part through which most training
// rows went:
//
//	      ___0___            expanded: 0, 1, 4
//	   __1__     2 exit      exits:    2, 3, 5, 6, as bits 3 to 0
//	  3     4
//	exit  5   6
//	    exit exit            exits below 1: 3, 5 and 6
type truncatedTree []truncatedNode

type truncatedNode struct {
	node  int32
	child int32  // index of the left child, after which the right one follows; 0 if an exit
	exits uint64 // the bits of the exits below it, or its own bit if it is one
}

// truncate returns the trees truncated to maxExits, their splits, and how many of
// these an average row passes.
func (t *trees) truncate(maxExits int, shares []float64) (all []truncatedTree, splits []int32, passed float64) {
	for tree, root := range t.roots {
		c := make(truncatedTree, 1, min(2*maxExits, t.end(tree)-int(root)+1))
		c[0].node = root
		for exits := 1; exits < maxExits; exits++ {
			best := -1
			for i := range c {
				if c[i].child != 0 || t.nodes[c[i].node].meta&flagLeaf != 0 {
					continue
				}
				if best < 0 || shares[c[i].node] > shares[c[best].node] {
					best = i
				}
			}
			if best < 0 {
				break
			}
			splits = append(splits, c[best].node)
			passed += shares[c[best].node]
			left := t.nodes[c[best].node].left
			c[best].child = int32(len(c))
			c = append(c, truncatedNode{node: left}, truncatedNode{node: left + 1})
		}
		bit := uint64(1)
		for i := len(c) - 1; i >= 0; i-- { // children come after their parents
			if k := c[i].child; k != 0 {
				c[i].exits = c[k].exits | c[k+1].exits
			} else {
				c[i].exits = bit
				bit <<= 1
			}
		}
		all = append(all, c)
	}
	return all, splits, passed
}

// splits returns all splits, and how many of them an average row passes.
func (t *trees) splits(shares []float64) (splits []int32, passed float64) {
	for i := range t.nodes {
		if t.nodes[i].meta&flagLeaf == 0 {
			splits = append(splits, int32(i))
			passed += shares[i]
		}
	}
	return splits, passed
}

// shares returns the share of all rows that pass each node, by the covers or, if the
// file does not record them, by the number of leaves below the node. A file may have
// wrong covers; then the choice of engine is poor, but predictions are the same.
func (t *trees) shares() []float64 {
	shares := make([]float64, len(t.nodes))
	copy(shares, t.cover)
	for i := len(shares) - 1; i >= 0 && t.cover == nil; i-- { // children come after their parents
		shares[i] = 1
		if n := &t.nodes[i]; n.meta&flagLeaf == 0 {
			shares[i] = shares[n.left] + shares[n.left+1]
		}
	}
	for tree, root := range t.roots {
		all := shares[root]
		for i := int(root); i < t.end(tree); i++ {
			if shares[i] /= all; !(shares[i] >= 0 && shares[i] <= 1) {
				shares[i] = 1
			}
		}
	}
	return shares
}
