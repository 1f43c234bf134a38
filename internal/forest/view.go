package forest

import "math"

// A View is a node for those who look at the structure of a tree.
type View struct {
	Leaf      bool
	Value     float64 // of a leaf; of a linear one, what it adds if one of its features is missing
	Linear    bool    // the leaf adds a linear function
	Feature   int
	Threshold float64
	Missing   bool // missing values go left
	Zero      bool // so do, or do not, values from -ZeroBound to ZeroBound

	Categories *Categories // not to be modified

	Left, Right int     // nodes of the tree
	Gain, Cover float64 // NaN if the file does not record it
}

// Len returns the number of nodes of a tree.
func (f *Forest) Len(tree int) int { return f.trees.end(tree) - int(f.trees.roots[tree]) }

// Output returns the output that a tree is added to.
func (f *Forest) Output(tree int) int { return f.trees.output(tree) }

// Node returns node i of a tree, breadth first: node 0 is the root.
func (f *Forest) Node(tree, i int) View {
	t, root := f.trees, int(f.trees.roots[tree])
	n := &t.nodes[root+i]
	v := View{Gain: math.NaN(), Cover: math.NaN()}
	if t.cover != nil {
		v.Cover = t.cover[root+i]
	}
	if n.meta&flagLeaf != 0 {
		v.Leaf, v.Value = true, n.threshold
		v.Linear = t.linear != nil && t.linear[n.left].start >= 0
		return v
	}
	if t.gain != nil {
		v.Gain = t.gain[root+i]
	}
	v.Feature = int(n.meta & featureMask)
	v.Missing, v.Zero = n.meta&flagMissingLeft != 0, n.meta&flagZeroMissing != 0
	v.Left, v.Right = int(n.left)-root, int(n.left)-root+1
	if n.meta&flagCategories != 0 {
		v.Categories = &t.categories[int(n.threshold)]
		return v
	}
	v.Threshold = n.threshold
	return v
}

// Path returns the nodes of a tree that a row goes through, from the root to its leaf.
func (f *Forest) Path(tree int, row []float64) []int {
	t, at := f.trees, f.trees.roots[tree]
	path := []int{0}
	for n := &t.nodes[at]; n.meta&flagLeaf == 0; n = &t.nodes[at] {
		at = n.left
		if !t.left(n, row[n.meta&featureMask]) {
			at++
		}
		path = append(path, int(at-t.roots[tree]))
	}
	return path
}

// Sets returns the categories that go left, or, if rest is true, those that go right
// while others go left. List is nil if there is none.
func (c *Categories) Sets() (list []int, rest bool) {
	if c.Sparse != nil {
		for _, v := range c.Sparse {
			list = append(list, int(v))
		}
		return list, true
	}
	for i, word := range c.Left {
		for bit := range 32 {
			if (word>>bit&1 != 0) != c.RestLeft {
				list = append(list, 32*i+bit)
			}
		}
	}
	return list, c.RestLeft
}
