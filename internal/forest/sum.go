package forest

// Sums by a table go one of four ways, to the same bits: one row at a time with as
// little around it as can be; a few rows side by side, as the additions of one row
// wait for each other, but those of several do not; by lanes instead of these two,
// where there are any; and the general way, which also knows many axes and exits
// that are no leaves.
const (
	abreast = 4  // rows side by side
	chunk   = 64 // words of masks that are held between two steps

	stackReads = 29 // with more rows of masks to read it is the general way
	blockRows  = 64 // its blocks, of a size that fits into the nearest cache
	blockWords = 32
)

// margin sets dst to the margins of rows.
func (t *table[F]) margin(f *Forest, dst, rows []float64) {
	if len(t.runs) < len(f.base) { // outputs without trees
		for i := 0; i < len(dst); i += len(f.base) {
			copy(dst[i:], f.base)
		}
	}
	switch {
	case t.rest != nil || t.lanes == nil && t.reads > stackReads:
		t.general(f, dst, rows)
		return
	case t.lanes != nil && len(rows) == f.features:
		t.laneOne(f, dst, rows)
		return
	case t.lanes != nil:
		t.laneMargin(f, dst, rows)
		return
	case len(rows) >= abreast*f.features:
		done := t.several(f, dst, rows)
		dst, rows = dst[done*len(f.base):], rows[done*f.features:]
	}
	for ; len(rows) > 0; dst, rows = dst[len(f.base):], rows[f.features:] {
		if t.reads <= 4 {
			t.one(f, dst, rows)
		} else {
			t.oneLong(f, dst, rows)
		}
	}
}

// find sets at to where the rows of masks of row's intervals start.
func (t *table[F]) find(at []int, row []float64) {
	words := t.words
	at = at[:t.reads]
	for j := range t.axes {
		a := &t.axes[j]
		at[j] = a.base + a.find(row[a.feature])*words
	}
	for j := len(t.axes); j < len(at); j++ {
		at[j] = at[0]
	}
}

// one sets dst to the margins of the row at the start of rows, for up to four axes.
func (t *table[F]) one(f *Forest, dst, row []float64) {
	var at [4]int
	t.find(at[:], row)
	for j := t.reads; j < len(at); j++ {
		at[j] = at[0]
	}
	for _, r := range t.runs {
		a, b := t.masks[at[0]+r.start:], t.masks[at[1]+r.start:]
		c, d := t.masks[at[2]+r.start:], t.masks[at[3]+r.start:]
		s, leaves := F(f.base[r.output]), t.leaves[r.start:r.end]
		if t.wide {
			s = addWide(s, leaves, a, b, c, d)
		} else {
			s = addPairs(s, leaves, a, b, c, d)
		}
		dst[r.output] = float64(s)
	}
}

// oneLong is one for more axes.
func (t *table[F]) oneLong(f *Forest, dst, row []float64) {
	var at [stackReads]int
	var room [chunk]uint64
	t.find(at[:], row)
	for _, r := range t.runs {
		s := F(f.base[r.output])
		for start := r.start; start < r.end; start += chunk {
			end := min(start+chunk, r.end)
			x := room[:end-start]
			t.fold(x, start, at[:t.reads])
			if t.wide {
				s = addWideOf(s, t.leaves[start:end], x)
			} else {
				s = addPairsOf(s, t.leaves[start:end], x)
			}
		}
		dst[r.output] = float64(s)
	}
}

// several sets dst to the margins of the first rows, a few side by side, and
// returns how many it has done.
func (t *table[F]) several(f *Forest, dst, rows []float64) int {
	var at [abreast][stackReads]int
	var x [abreast][chunk]uint64
	margins, columns := len(f.base), f.features
	n := len(rows) / columns / abreast * abreast
	for i := 0; i < n; i += abreast {
		for r := range at {
			t.find(at[r][:], rows[(i+r)*columns:])
		}
		for _, run := range t.runs {
			var s [abreast]F
			for r := range s {
				s[r] = F(f.base[run.output])
			}
			for start := run.start; start < run.end; start += chunk {
				end := min(start+chunk, run.end)
				for r := range x {
					t.fold(x[r][:end-start], start, at[r][:t.reads])
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
	return n
}

// A scratch is the room that the general way needs, and lanes.
type scratch[F float32 | float64] struct {
	at      []int
	numbers []uint8
	values  []F
	open    []path
}

// newScratch returns room for one row at a time, and for blocks of rows.
func (t *table[F]) newScratch() *scratch[F] {
	trees := t.perWord() * max(len(t.leaves), blockRows*blockWords)
	return &scratch[F]{
		at:      make([]int, blockRows*t.reads),
		numbers: make([]uint8, trees),
		values:  make([]F, trees),
		open:    make([]path, trees),
	}
}

// general sets dst to the margins of rows, for any table.
func (t *table[F]) general(f *Forest, dst, rows []float64) {
	c := t.pool.Get().(*scratch[F])
	margins, columns := len(f.base), f.features
	for f.linear == nil && len(rows) >= blockRows/4*columns {
		n := min(len(rows)/columns, blockRows)
		t.generalBlock(f, dst[:n*margins], rows[:n*columns], c)
		dst, rows = dst[n*margins:], rows[n*columns:]
	}
	for ; len(rows) > 0; dst, rows = dst[margins:], rows[columns:] {
		t.generalOne(f, dst[:margins], rows[:columns], c)
	}
	t.pool.Put(c)
}

// generalOne sets dst to the margins of one row. It finds the exits of all trees, then
// walks on those that are at no leaf, then adds: three loops, in none of which one
// tree waits for another.
func (t *table[F]) generalOne(f *Forest, dst, row []float64, c *scratch[F]) {
	t.findRows(f, c.at, row, 1)
	perWord := t.perWord()
	numbers := c.numbers[:perWord*len(t.leaves)]
	t.numbers(numbers, 0, len(t.leaves), c.at[:t.reads])
	n, values, open := 0, c.values[:len(numbers)], c.open[:len(numbers)]
	for place, number := range numbers {
		v := t.leaves[place>>(perWord>>1)][number&63]
		values[place], open[n] = v, path{int32(place), int32(number)}
		n += isNaN(v)
	}
	if n > 0 {
		open = open[:n]
		for i, p := range open {
			open[i].node = t.rest[int(p.place)/perWord][p.node&63]
		}
		walkOn(f, values, open, row, 0)
	}
	for _, r := range t.runs {
		s := F(f.base[r.output])
		for _, v := range values[r.start*perWord : r.end*perWord] {
			s += v
		}
		dst[r.output] = float64(s)
	}
}

// generalBlock sets dst to the margins of up to blockRows rows, blockWords words after
// blockWords words, so that what it reads of a tree stays in the nearest caches.
func (t *table[F]) generalBlock(f *Forest, dst, rows []float64, c *scratch[F]) {
	margins, reads, perWord := len(f.base), t.reads, t.perWord()
	n := len(rows) / f.features
	t.findRows(f, c.at, rows, n)
	var s [blockRows]F
	for _, run := range t.runs {
		for r := range s[:n] {
			s[r] = F(f.base[run.output])
		}
		for start := run.start; start < run.end; start += blockWords {
			end := min(start+blockWords, run.end)
			for r := range n {
				t.numbers(c.numbers[r*blockWords*perWord:], start, end, c.at[r*reads:][:reads])
			}
			t.blockValues(f, rows, c, start, end)
			for place := 0; place < (end-start)*perWord*blockRows; place += blockRows {
				values := c.values[place:][:n]
				for r, v := range values {
					s[r&(blockRows-1)] += v
				}
			}
		}
		for r := range s[:n] {
			dst[r*margins+run.output] = float64(s[r])
		}
	}
}

// blockValues sets c.values to the values that the trees of some words add: those
// of tree after tree, blockRows each.
func (t *table[F]) blockValues(f *Forest, rows []float64, c *scratch[F], start, end int) {
	n, count, perWord := 0, len(rows)/f.features, t.perWord()
	for i := range (end - start) * perWord {
		p, numbers := &t.leaves[start+i/perWord], c.numbers[i:]
		values, open := c.values[i*blockRows:][:count], c.open[n:][:count]
		k := 0
		for r := range values {
			number := numbers[r*blockWords*perWord]
			v := p[number&63]
			values[r], open[k] = v, path{int32(i*blockRows + r), int32(number)}
			k += isNaN(v)
		}
		n += k
	}
	if n > 0 {
		open := c.open[:n]
		for i, p := range open {
			open[i].node = t.rest[start+int(p.place)/(perWord*blockRows)][p.node&63]
		}
		walkOn(f, c.values, open, rows, blockRows-1)
	}
}

// findRows is find for the first n rows.
func (t *table[F]) findRows(f *Forest, at []int, rows []float64, n int) {
	if t.lanes != nil {
		t.laneFind(f, at, rows, n)
		return
	}
	for r := range n {
		t.find(at[r*t.reads:], rows[r*f.features:])
	}
}

// numbers sets dst to the numbers of the leaves, in t.leaves, that one row of the
// trees of some words is at.
func (t *table[F]) numbers(dst []uint8, start, end int, at []int) {
	if t.lanes != nil {
		t.laneNumbers(dst, start, end, at)
		return
	}
	var room [chunk]uint64
	for ; start < end; start += chunk {
		x := room[:min(chunk, end-start)]
		t.fold(x, start, at)
		if t.wide {
			for i, x := range x {
				dst[i] = uint8(x * hash64 >> 58)
			}
			dst = dst[len(x):]
			continue
		}
		for i, x := range x {
			dst[2*i] = uint8(uint32(x) * hash32 >> 27)
			dst[2*i+1] = uint8(32 + uint32(x>>32)*hash32>>27)
		}
		dst = dst[2*len(x):]
	}
}

// reads returns how many rows of masks fold wants for so many axes; what is beyond
// the axes may be any of them again.
func reads(axes int) int {
	switch {
	case axes <= 1:
		return 1
	case axes <= 4:
		return max(axes, 3)
	}
	return (axes-2)/7*7 + 8
}

// fold sets x to the AND of the rows of masks at at, from word start on.
func (t *table[F]) fold(x []uint64, start int, at []int) {
	m := t.masks[start:]
	switch len(at) {
	case 1:
		copy(x, m[at[0]:])
		return
	case 3:
		and3(x, m[at[0]:], m[at[1]:], m[at[2]:])
		return
	case 4:
		and4(x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:])
		return
	}
	and8(x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:], m[at[4]:], m[at[5]:], m[at[6]:], m[at[7]:])
	for at = at[8:]; len(at) >= 7; at = at[7:] {
		and8(x, x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:], m[at[4]:], m[at[5]:], m[at[6]:])
	}
}

// and3 sets x to the AND of all others; so do and4 and and8.
func and3(x, a, b, c []uint64) {
	n := len(x)
	a, b, c = a[:n], b[:n], c[:n]
	for i := range x {
		x[i] = a[i] & b[i] & c[i]
	}
}

func and4(x, a, b, c, d []uint64) {
	n := len(x)
	a, b, c, d = a[:n], b[:n], c[:n], d[:n]
	for i := range x {
		x[i] = a[i] & b[i] & c[i] & d[i]
	}
}

func and8(x, a, b, c, d, e, f, g, h []uint64) {
	n := len(x)
	a, b, c, d, e, f, g, h = a[:n], b[:n], c[:n], d[:n], e[:n], f[:n], g[:n], h[:n]
	for i := range x {
		x[i] = a[i] & b[i] & c[i] & d[i] & e[i] & f[i] & g[i] & h[i]
	}
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

// addPairsOf adds to s, in order, the leaves that x allows.
func addPairsOf[F float32 | float64](s F, leaves [][64]F, x []uint64) F {
	x = x[:len(leaves)]
	for i := range leaves {
		p, x := &leaves[i], x[i]
		s += p[uint32(x)*hash32>>27]
		s += p[32+uint32(x>>32)*hash32>>27]
	}
	return s
}

// addWideOf is addPairsOf for one tree a word.
func addWideOf[F float32 | float64](s F, leaves [][64]F, x []uint64) F {
	x = x[:len(leaves)]
	for i := range leaves {
		s += leaves[i][x[i]*hash64>>58]
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
