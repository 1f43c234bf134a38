package forest

import "math"

// The table's bounds.
const (
	maxTableBytes = 2 << 20 // what is read of it should stay in the L2 cache
	maxAxes       = 32
	chunk         = 64 // words of masks between two steps
	abreast       = 4  // rows that are summed side by side
)

// Multipliers that send the words with one bit set to 32 or 64 different numbers,
// found in the highest five or six bits of the product: de Bruijn sequences. Zero
// and 1<<0 go to number 0.
const (
	hash32 = 0x077cb531
	hash64 = 0x03f79d71b4ca8b09
)

// A table finds the leaves of a row by the rows of masks of the intervals that
// its values are in; the package comment draws it. F is the type of the sum.
type table[F float32 | float64] struct {
	axes   []axis
	masks  []uint64 // rows of len(leaves) words, one a tree or one two trees
	leaves [][64]F  // by word and number: the values of the leaves
	runs   []run
	wide   bool // one tree a word, of up to 64 leaves; else two, of up to 32
}

// A run is the trees of one output, as words of a row of masks.
type run struct {
	output     int
	start, end int
}

// A seat is a bit in a row of masks.
type seat struct {
	word  int
	shift int // of the tree's lane in the word
	bit   int // in the lane
}

// lanes returns how many lanes of so many bits a tree takes. If it has more leaves
// than a lane has bits they are spread over several lanes, of which all but one
// end up without a bit. Bit 0 stays free there, as zero has its number.
func lanes(leaves, bits int) int {
	if leaves <= bits {
		return 1
	}
	return (leaves + bits - 2) / (bits - 1)
}

// seat returns the bit of a tree's leaf; lane is the tree's first.
func (t *table[F]) seat(lane, leaf, leaves int) seat {
	bits := 32
	if t.wide {
		bits = 64
	}
	if leaves > bits {
		lane += leaf / (bits - 1)
		leaf = 1 + leaf%(bits-1)
	}
	if t.wide {
		return seat{lane, 0, leaf}
	}
	return seat{lane / 2, lane % 2 * 32, leaf}
}

// number returns where the leaf at s lies in its word's leaves.
func (t *table[F]) number(s seat) int {
	if t.wide {
		return int(uint64(1) << s.bit * hash64 >> 58)
	}
	return s.shift + int(uint32(1)<<s.bit*hash32>>27)
}

// newTable returns the table of f, or nil if there is none of up to limit bytes
// of masks.
func newTable[F float32 | float64](f *Forest, axes []axis, limit int) *table[F] {
	if len(axes) == 0 || len(axes) > maxAxes || f.linear != nil {
		return nil
	}
	rows := 0
	for j := range axes {
		rows += len(axes[j].cuts) + 1
	}
	narrow, wide := make([]int, len(f.base)), make([]int, len(f.base)) // lanes by output
	for tree := range f.roots {
		n, k := f.treeLeaves(tree), f.output(tree)
		narrow[k] += lanes(n, 32)
		wide[k] += lanes(n, 64)
	}
	// A word costs an AND an axis, a lane a search of its leaf and an addition.
	var costNarrow, costWide, words, wordsWide int
	for k := range narrow {
		words += (narrow[k] + 1) / 2
		wordsWide += wide[k]
		costNarrow += (narrow[k]+1)/2*len(axes) + 6*narrow[k]
		costWide += wide[k] * (len(axes) + 6)
	}
	t := &table[F]{axes: axes, wide: costWide < costNarrow}
	if t.wide {
		words = wordsWide
	}
	if words > limit/8/rows {
		return nil
	}
	next := make([]int, len(f.base)) // free lane by output
	end := 0
	for k := range narrow {
		r := run{output: k, start: end, end: end + (narrow[k]+1)/2}
		next[k] = r.start * 2
		if t.wide {
			r.end = end + wide[k]
			next[k] = r.start
		}
		if end = r.end; end > r.start {
			t.runs = append(t.runs, r)
		}
	}
	t.fill(f, next, words, rows)
	return t
}

// fill sets masks and leaves. Next is the first lane of each output.
func (t *table[F]) fill(f *Forest, next []int, words, rows int) {
	of := make(map[int]*axis, len(t.axes))
	at := 0
	for j := range t.axes {
		a := &t.axes[j]
		of[a.feature] = a
		a.base = at
		at += (len(a.cuts) + 1) * words
	}
	t.leaves = make([][64]F, words)
	none := F(math.Copysign(0, -1)) // adding it changes nothing, not even -0
	for w := range t.leaves {
		for i := range t.leaves[w] {
			t.leaves[w][i] = none
		}
	}
	t.masks = make([]uint64, rows*words)

	// All leaves are allowed at first.
	bits := 32
	if t.wide {
		bits = 64
	}
	lane := make([]int, len(f.roots))
	all := t.masks[:words]
	for tree, root := range f.roots {
		k, n := f.output(tree), f.treeLeaves(tree)
		lane[tree] = next[k]
		next[k] += lanes(n, bits)
		first, _ := f.spans(tree)
		for i, leaf := range first {
			if node := &f.nodes[int(root)+i]; node.meta&flagLeaf != 0 {
				s := t.seat(lane[tree], int(leaf), n)
				all[s.word] |= 1 << (s.shift + s.bit)
				t.leaves[s.word][t.number(s)] = F(node.threshold)
			}
		}
	}
	for r := words; r < len(t.masks); r += words {
		copy(t.masks[r:], all)
	}

	// Each split forbids the leaves of its other side.
	var drop [2][]bits64
	var left []bool
	for tree, root := range f.roots {
		n := f.treeLeaves(tree)
		first, count := f.spans(tree)
		for i := range first {
			node := &f.nodes[int(root)+i]
			if node.meta&flagLeaf != 0 {
				continue
			}
			child := int(node.left - root)
			for side := range drop {
				drop[side] = t.span(drop[side][:0], lane[tree], int(first[child+side]), int(count[child+side]), n)
			}
			a := of[int(node.meta&featureMask)]
			left = left[:0]
			for q := range len(a.cuts) + 1 {
				left = append(left, f.left(node, a.at(q)))
			}
			for q, isLeft := range left {
				other := drop[0]
				if isLeft {
					other = drop[1]
				}
				row := t.masks[a.base+q*words:][:words]
				for _, d := range other {
					row[d.word] &^= d.mask
				}
			}
		}
	}
}

// bits64 is some bits of a word.
type bits64 struct {
	word int
	mask uint64
}

// span appends the bits of count leaves of a tree, from first on.
func (t *table[F]) span(b []bits64, lane, first, count, leaves int) []bits64 {
	for leaf := first; leaf < first+count; leaf++ {
		s := t.seat(lane, leaf, leaves)
		if len(b) == 0 || b[len(b)-1].word != s.word {
			b = append(b, bits64{word: s.word})
		}
		b[len(b)-1].mask |= 1 << (s.shift + s.bit)
	}
	return b
}

// bytes is the size of the masks.
func (t *table[F]) bytes() int { return 8 * len(t.masks) }

// margin sets dst to the margins of rows.
func (t *table[F]) margin(f *Forest, dst, rows []float64) {
	n := len(rows) / f.features
	i := 0
	if n >= abreast {
		i = t.several(f, dst, rows)
	}
	for ; i < n; i++ {
		t.one(f, dst[i*len(f.base):][:len(f.base)], rows[i*f.features:][:f.features])
	}
}

// one sets dst to the margins of one row.
func (t *table[F]) one(f *Forest, dst, row []float64) {
	var at [maxAxes]int
	words := len(t.leaves)
	for j := range t.axes {
		a := &t.axes[j]
		at[j&(maxAxes-1)] = a.base + a.find(row[a.feature])*words
	}
	copy(dst, f.base)
	if len(t.axes) > 4 {
		t.oneLong(dst, at[:len(t.axes)])
		return
	}
	for j := len(t.axes); j < 4; j++ {
		at[j] = at[0]
	}
	for _, r := range t.runs {
		a, b := t.masks[at[0]+r.start:], t.masks[at[1]+r.start:]
		c, d := t.masks[at[2]+r.start:], t.masks[at[3]+r.start:]
		s := F(dst[r.output])
		if t.wide {
			s = addWide(s, t.leaves[r.start:r.end], a, b, c, d)
		} else {
			s = addPairs(s, t.leaves[r.start:r.end], a, b, c, d)
		}
		dst[r.output] = float64(s)
	}
}

// oneLong is one for many axes.
func (t *table[F]) oneLong(dst []float64, at []int) {
	var buffer [chunk]uint64
	for _, r := range t.runs {
		s := F(dst[r.output])
		for start := r.start; start < r.end; start += chunk {
			end := min(start+chunk, r.end)
			x := buffer[:end-start]
			t.fold(x, start, at)
			if t.wide {
				s = addWide(s, t.leaves[start:end], x, x, x, x)
			} else {
				s = addPairs(s, t.leaves[start:end], x, x, x, x)
			}
		}
		dst[r.output] = float64(s)
	}
}

// fold sets x to the AND of the rows of masks at at, from word start on.
func (t *table[F]) fold(x []uint64, start int, at []int) {
	n := len(x)
	m := t.masks
	switch len(at) {
	case 1:
		copy(x, m[at[0]+start:])
	case 2:
		and2(x, m[at[0]+start:], m[at[1]+start:])
	case 3:
		and3(x, m[at[0]+start:], m[at[1]+start:], m[at[2]+start:])
	default:
		and4(x, m[at[0]+start:], m[at[1]+start:], m[at[2]+start:], m[at[3]+start:])
		for at = at[4:]; len(at) > 3; at = at[4:] {
			and5(x, m[at[0]+start:], m[at[1]+start:], m[at[2]+start:], m[at[3]+start:])
		}
		switch len(at) {
		case 1:
			and2(x, x, m[at[0]+start:])
		case 2:
			and3(x, x, m[at[0]+start:], m[at[1]+start:])
		case 3:
			and4(x, x, m[at[0]+start:], m[at[1]+start:], m[at[2]+start:])
		}
	}
	_ = n
}

func and2(x, a, b []uint64) {
	a, b = a[:len(x)], b[:len(x)]
	for i := range x {
		x[i] = a[i] & b[i]
	}
}

func and3(x, a, b, c []uint64) {
	a, b, c = a[:len(x)], b[:len(x)], c[:len(x)]
	i := 0
	for ; i < len(x)-1; i += 2 {
		x[i] = a[i] & b[i] & c[i]
		x[i+1] = a[i+1] & b[i+1] & c[i+1]
	}
	if i < len(x) {
		x[i] = a[i] & b[i] & c[i]
	}
}

func and4(x, a, b, c, d []uint64) {
	a, b, c, d = a[:len(x)], b[:len(x)], c[:len(x)], d[:len(x)]
	i := 0
	for ; i < len(x)-1; i += 2 {
		x[i] = a[i] & b[i] & c[i] & d[i]
		x[i+1] = a[i+1] & b[i+1] & c[i+1] & d[i+1]
	}
	if i < len(x) {
		x[i] = a[i] & b[i] & c[i] & d[i]
	}
}

func and5(x, a, b, c, d []uint64) {
	a, b, c, d = a[:len(x)], b[:len(x)], c[:len(x)], d[:len(x)]
	i := 0
	for ; i < len(x)-1; i += 2 {
		x[i] &= a[i] & b[i] & c[i] & d[i]
		x[i+1] &= a[i+1] & b[i+1] & c[i+1] & d[i+1]
	}
	if i < len(x) {
		x[i] &= a[i] & b[i] & c[i] & d[i]
	}
}

// several sets dst to the margins of rows, some abreast, and returns how many it
// has done.
func (t *table[F]) several(f *Forest, dst, rows []float64) int {
	var at [abreast][maxAxes]int
	var x [abreast][chunk]uint64
	var s [abreast]F
	words, margins, columns := len(t.leaves), len(f.base), f.features
	n := len(rows) / columns
	i := 0
	for ; i+abreast <= n; i += abreast {
		for r := range at {
			row := rows[(i+r)*columns:][:columns]
			for j := range t.axes {
				a := &t.axes[j]
				at[r][j&(maxAxes-1)] = a.base + a.find(row[a.feature])*words
			}
			copy(dst[(i+r)*margins:], f.base)
		}
		for _, run := range t.runs {
			for r := range s {
				s[r] = F(f.base[run.output])
			}
			for start := run.start; start < run.end; start += chunk {
				end := min(start+chunk, run.end)
				for r := range x {
					t.fold(x[r][:end-start], start, at[r][:len(t.axes)])
				}
				if t.wide {
					addWideAbreast(&s, t.leaves[start:end], &x)
				} else {
					addPairsAbreast(&s, t.leaves[start:end], &x)
				}
			}
			for r := range s {
				dst[(i+r)*margins+run.output] = float64(s[r])
			}
		}
	}
	return i
}

// addPairs adds to s, in order, the leaves that a, b, c and d all allow.
func addPairs[F float32 | float64](s F, leaves [][64]F, a, b, c, d []uint64) F {
	a, b, c, d = a[:len(leaves)], b[:len(leaves)], c[:len(leaves)], d[:len(leaves)]
	for i := range leaves {
		x := a[i] & b[i] & c[i] & d[i]
		p := &leaves[i]
		s += p[uint32(x)*hash32>>27]
		s += p[32+uint32(x>>32)*hash32>>27]
	}
	return s
}

// addWide is addPairs for one tree a word.
func addWide[F float32 | float64](s F, leaves [][64]F, a, b, c, d []uint64) F {
	a, b, c, d = a[:len(leaves)], b[:len(leaves)], c[:len(leaves)], d[:len(leaves)]
	for i := range leaves {
		s += leaves[i][(a[i]&b[i]&c[i]&d[i])*hash64>>58]
	}
	return s
}

// addPairsAbreast adds the leaves that each row allows to its sum. The sums do
// not wait for each other.
func addPairsAbreast[F float32 | float64](s *[abreast]F, leaves [][64]F, x *[abreast][chunk]uint64) {
	s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
	x0, x1, x2, x3 := x[0][:len(leaves)], x[1][:len(leaves)], x[2][:len(leaves)], x[3][:len(leaves)]
	for i := range leaves {
		p := &leaves[i]
		y0, y1, y2, y3 := x0[i], x1[i], x2[i], x3[i]
		s0 += p[uint32(y0)*hash32>>27]
		s1 += p[uint32(y1)*hash32>>27]
		s2 += p[uint32(y2)*hash32>>27]
		s3 += p[uint32(y3)*hash32>>27]
		s0 += p[32+uint32(y0>>32)*hash32>>27]
		s1 += p[32+uint32(y1>>32)*hash32>>27]
		s2 += p[32+uint32(y2>>32)*hash32>>27]
		s3 += p[32+uint32(y3>>32)*hash32>>27]
	}
	s[0], s[1], s[2], s[3] = s0, s1, s2, s3
}

// addWideAbreast is addPairsAbreast for one tree a word.
func addWideAbreast[F float32 | float64](s *[abreast]F, leaves [][64]F, x *[abreast][chunk]uint64) {
	s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
	x0, x1, x2, x3 := x[0][:len(leaves)], x[1][:len(leaves)], x[2][:len(leaves)], x[3][:len(leaves)]
	for i := range leaves {
		p := &leaves[i]
		s0 += p[x0[i]*hash64>>58]
		s1 += p[x1[i]*hash64>>58]
		s2 += p[x2[i]*hash64>>58]
		s3 += p[x3[i]*hash64>>58]
	}
	s[0], s[1], s[2], s[3] = s0, s1, s2, s3
}
