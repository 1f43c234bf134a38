package forest

import (
	"math"
	"sync"
)

// Multipliers that send the words with one bit set to 32 or 64 different numbers,
// found in the highest five or six bits of the product: de Bruijn sequences. Zero
// and 1<<0 go to number 0.
const (
	hash32 = 0x077cb531
	hash64 = 0x03f79d71b4ca8b09
)

// A table finds the leaves of a row by the rows of masks of the intervals that
// its values are in; the package comment draws it. F is the type of the sums.
type table[F float32 | float64] struct {
	axes  []axis
	wide  bool // a word of masks is one tree's, of 64 bits; else two trees', of 32
	words int  // of a row of masks
	rows  int
	reads int // rows of masks that a prediction reads; see the function reads
	masks []uint64
	lanes []laneAxis // the axes again, if the masks are read by lanes; else nil

	// By word, and then by the numbers that the hashes give to bits: the values of
	// the leaves. An exit that is no leaf has NaN, and in rest, which is nil if
	// there are none, the node to go on from.
	leaves [][64]F
	rest   [][64]int32

	runs   []run
	places []int32   // by tree: its place among the masks of a row
	pool   sync.Pool // of *scratch[F]
}

// A run is the trees of one output, as words of a row of masks.
type run struct {
	output     int
	start, end int
	trees      int
}

// newTable returns a table of crowns, which have these splits, without masks
// and leaves; fill sets those. It returns nil if there is none within the bounds.
func newTable[F float32 | float64](f *Forest, splits []int32, wide bool) *table[F] {
	t := &table[F]{axes: f.axes(splits), wide: wide}
	if len(t.axes) == 0 {
		return nil
	}
	if f.questions(t.axes, splits) > maxQuestions {
		return nil
	}
	fit := lanesFit(t.axes)
	t.words = t.place(f, 1)
	if fit {
		// Lanes want each output's trees to fill them; not if that makes a table of
		// many outputs much larger.
		if words := t.place(f, laneWords); words <= 2*t.words+laneWords {
			t.words = words
		} else {
			fit, t.words = false, t.place(f, 1)
		}
	}
	for j := range t.axes {
		t.axes[j].base = t.rows * t.words
		t.rows += len(t.axes[j].cuts) + 1
	}
	if t.words > maxTableBytes/(8*t.rows+64*12) {
		return nil
	}
	t.reads = reads(len(t.axes))
	if fit {
		t.lanes, t.reads = newLanes(t.axes), len(t.axes)
	}
	t.pool.New = func() any { return t.newScratch() }
	return t
}

// questions returns how many fill will ask: each split about each interval.
func (f *Forest) questions(axes []axis, splits []int32) int {
	cuts := make(map[int]int, len(axes))
	for j := range axes {
		cuts[axes[j].feature] = len(axes[j].cuts)
	}
	n := 0
	for _, i := range splits {
		n += cuts[int(f.nodes[i].meta&featureMask)] + 1
	}
	return n
}

// bits is the width of a mask.
func (t *table[F]) bits() int {
	if t.wide {
		return 64
	}
	return 32
}

// perWord is the number of trees of a word.
func (t *table[F]) perWord() int { return 64 / t.bits() }

// place gives each tree a place in the words of a row, whose number it returns. The
// trees of each output start at a multiple of so many words.
func (t *table[F]) place(f *Forest, multiple int) int {
	trees := make([]int, len(f.base))
	for tree := range f.roots {
		trees[f.output(tree)]++
	}
	next := make([]int, len(f.base))
	end := 0
	t.runs = nil
	for k, n := range trees {
		r := run{output: k, start: end, trees: n}
		next[k] = end * 64 / t.bits()
		r.end = end + (n*t.bits()+63)/64
		end = (r.end + multiple - 1) / multiple * multiple
		if n > 0 {
			t.runs = append(t.runs, r)
		}
	}
	t.places = make([]int32, len(f.roots))
	for tree := range f.roots {
		k := f.output(tree)
		t.places[tree] = int32(next[k])
		next[k]++
	}
	return end
}

// fill sets masks and leaves.
func (t *table[F]) fill(f *Forest, crowns []crown) {
	words := t.words
	t.masks = make([]uint64, words*t.rows)
	t.leaves = make([][64]F, words)
	none := F(math.Copysign(0, -1)) // adding it changes nothing, not even -0
	for w := range t.leaves {
		for i := range t.leaves[w] {
			t.leaves[w][i] = none
		}
	}
	// At first all exits are allowed.
	all := t.masks[:words]
	for tree, c := range crowns {
		w, shift := t.word(tree)
		all[w] |= c[0].exits << shift
		for i := range c {
			if c[i].child == 0 {
				t.exit(f, c[i].node, w, shift+t.number(c[i].exits))
			}
		}
	}
	for r := words; r < len(t.masks); r += words {
		copy(t.masks[r:], all)
	}
	// Each split forbids the exits on its other side.
	of := make(map[int]*axis, len(t.axes))
	for j := range t.axes {
		of[t.axes[j].feature] = &t.axes[j]
	}
	for tree, c := range crowns {
		w, shift := t.word(tree)
		for i := range c {
			if c[i].child == 0 {
				continue
			}
			n := &f.nodes[c[i].node]
			left, right := c[c[i].child].exits<<shift, c[c[i].child+1].exits<<shift
			a := of[int(n.meta&featureMask)]
			for q := range len(a.cuts) + 1 {
				other := left
				if f.left(n, a.at(q)) {
					other = right
				}
				t.masks[a.base+q*words+w] &^= other
			}
		}
	}
}

// word returns the word of a tree's masks, and the shift in it.
func (t *table[F]) word(tree int) (word, shift int) {
	p := int(t.places[tree])
	if t.wide {
		return p, 0
	}
	return p / 2, p % 2 * 32
}

// number returns the number of a bit.
func (t *table[F]) number(bit uint64) int {
	if t.wide {
		return int(bit * hash64 >> 58)
	}
	return int(uint32(bit) * hash32 >> 27)
}

// exit sets what lies at an exit: a leaf's value, or NaN and a node to go on from.
func (t *table[F]) exit(f *Forest, node int32, w, i int) {
	v := F(f.nodes[node].threshold)
	if f.nodes[node].meta&flagLeaf == 0 || f.linear != nil || v != v {
		v = F(math.NaN())
		if t.rest == nil {
			t.rest = make([][64]int32, len(t.leaves))
		}
		t.rest[w][i] = node
	}
	t.leaves[w][i] = v
}
