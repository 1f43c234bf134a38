package forest

// Sums are computed in one of four ways, with equal bits: row by row with as little
// overhead as possible; a few rows interleaved, since the additions of one row wait
// for each other; by AVX-512 instead of these two; and the general way, which also
// handles many features and exits that are no leaves. The general way processes
// rows and trees in blocks that fit in the first-level cache, as the block-wise
// QuickScorer of the SIGIR 2015 paper does.
const (
	interleave = 4  // rows
	chunkWords = 64 // ANDed before their values are added

	stackOperands = 29 // with more operands, the general way is taken
	blockRows     = 64
	blockWords    = 32
)

func (q *quickScorer[F]) margins(dst, rows []float64) {
	if len(q.outputs) < len(q.base) { // some outputs have no trees
		for i := 0; i < len(dst); i += len(q.base) {
			copy(dst[i:], q.base)
		}
	}
	switch {
	case q.resume != nil || q.avx512 == nil && q.operands > stackOperands:
		q.general(dst, rows)
	case q.avx512 != nil && len(rows) == q.features:
		q.row512(dst, rows)
	case q.avx512 != nil:
		q.margins512(dst, rows)
	default:
		if len(rows) >= interleave*q.features {
			n := q.interleaved(dst, rows)
			dst, rows = dst[n*len(q.base):], rows[n*q.features:]
		}
		for ; len(rows) > 0; dst, rows = dst[len(q.base):], rows[q.features:] {
			if q.operands <= 4 {
				q.row4(dst, rows)
			} else {
				q.row(dst, rows)
			}
		}
	}
}

// find sets offsets to those of the table rows of the intervals of row's values.
func (q *quickScorer[F]) find(offsets []int, row []float64) {
	words := q.words
	offsets = offsets[:q.operands]
	for j := range q.intervals {
		iv := &q.intervals[j]
		offsets[j] = iv.offset + iv.find(row[iv.feature])*words
	}
	for j := len(q.intervals); j < len(offsets); j++ {
		offsets[j] = offsets[0]
	}
}

// row4 sets dst to the margins of the first row, for up to four operands.
func (q *quickScorer[F]) row4(dst, row []float64) {
	var offsets [4]int
	q.find(offsets[:], row)
	for j := q.operands; j < len(offsets); j++ {
		offsets[j] = offsets[0]
	}
	for _, o := range q.outputs {
		a, b := q.table[offsets[0]+o.start:], q.table[offsets[1]+o.start:]
		c, d := q.table[offsets[2]+o.start:], q.table[offsets[3]+o.start:]
		s, values := F(q.base[o.output]), q.values[o.start:o.end]
		if q.wide {
			s = addWide(s, values, a, b, c, d)
		} else {
			s = addNarrow(s, values, a, b, c, d)
		}
		dst[o.output] = float64(s)
	}
}

// row sets dst to the margins of the first row.
func (q *quickScorer[F]) row(dst, row []float64) {
	var offsets [stackOperands]int
	var chunk [chunkWords]uint64
	q.find(offsets[:], row)
	for _, o := range q.outputs {
		s := F(q.base[o.output])
		for start := o.start; start < o.end; start += chunkWords {
			end := min(start+chunkWords, o.end)
			x := chunk[:end-start]
			q.and(x, start, offsets[:q.operands])
			if q.wide {
				s = addWide(s, q.values[start:end], x, x, x, x)
			} else {
				s = addNarrow(s, q.values[start:end], x, x, x, x)
			}
		}
		dst[o.output] = float64(s)
	}
}

// interleaved sets dst to the margins of the first rows, a multiple of interleave,
// and returns their number.
func (q *quickScorer[F]) interleaved(dst, rows []float64) int {
	var offsets [interleave][stackOperands]int
	var x [interleave][chunkWords]uint64
	margins, features := len(q.base), q.features
	n := len(rows) / features / interleave * interleave
	for i := 0; i < n; i += interleave {
		for r := range offsets {
			q.find(offsets[r][:], rows[(i+r)*features:])
		}
		for _, o := range q.outputs {
			var s [interleave]F
			for r := range s {
				s[r] = F(q.base[o.output])
			}
			for start := o.start; start < o.end; start += chunkWords {
				end := min(start+chunkWords, o.end)
				for r := range x {
					q.and(x[r][:end-start], start, offsets[r][:q.operands])
				}
				if q.wide {
					addWideRows(&s, q.values[start:end], &x)
				} else {
					addNarrowRows(&s, q.values[start:end], &x)
				}
			}
			for r := range s {
				dst[(i+r)*margins+o.output] = float64(s[r])
			}
		}
	}
	return n
}

// A scratch is the memory of the general way, and of AVX-512 with many features.
type scratch[F float32 | float64] struct {
	offsets []int
	exits   []uint8
	values  []F
	walks   []cursor
}

// newScratch returns a scratch for one row at a time, and for blocks of rows.
func (q *quickScorer[F]) newScratch() *scratch[F] {
	trees := q.perWord() * max(len(q.values), blockRows*blockWords)
	return &scratch[F]{
		offsets: make([]int, blockRows*q.operands),
		exits:   make([]uint8, trees),
		values:  make([]F, trees),
		walks:   make([]cursor, trees),
	}
}

// general sets dst to the margins of rows, for any table.
func (q *quickScorer[F]) general(dst, rows []float64) {
	c := q.pool.Get().(*scratch[F])
	margins, features := len(q.base), q.features
	for q.trees.linear == nil && len(rows) >= blockRows/4*features {
		n := min(len(rows)/features, blockRows)
		q.generalBlock(dst[:n*margins], rows[:n*features], c)
		dst, rows = dst[n*margins:], rows[n*features:]
	}
	for ; len(rows) > 0; dst, rows = dst[margins:], rows[features:] {
		q.generalRow(dst[:margins], rows[:features], c)
	}
	q.pool.Put(c)
}

// generalRow sets dst to the margins of one row. It finds the exits of all trees,
// continues the walks of those that are not at a leaf, and adds: three loops, in
// none of which one tree waits for another.
func (q *quickScorer[F]) generalRow(dst, row []float64, c *scratch[F]) {
	q.findRows(c.offsets, row, 1)
	perWord := q.perWord()
	exits := c.exits[:perWord*len(q.values)]
	q.findExits(exits, 0, len(q.values), c.offsets[:q.operands])
	n, values, walks := 0, c.values[:len(exits)], c.walks[:len(exits)]
	for slot, exit := range exits {
		v := q.values[slot>>(perWord>>1)][exit&63]
		values[slot], walks[n] = v, cursor{int32(slot), int32(exit)}
		n += isNaN(v)
	}
	if n > 0 {
		walks = walks[:n]
		for i, w := range walks {
			walks[i].node = q.resume[int(w.index)/perWord][w.node&63]
		}
		finishWalks(q.trees, values, walks, row, 0)
	}
	for _, o := range q.outputs {
		s := F(q.base[o.output])
		for _, v := range values[o.start*perWord : o.end*perWord] {
			s += v
		}
		dst[o.output] = float64(s)
	}
}

// generalBlock sets dst to the margins of up to blockRows rows, blockWords words of
// trees at a time.
func (q *quickScorer[F]) generalBlock(dst, rows []float64, c *scratch[F]) {
	margins, operands, perWord := len(q.base), q.operands, q.perWord()
	n := len(rows) / q.features
	q.findRows(c.offsets, rows, n)
	var s [blockRows]F
	for _, o := range q.outputs {
		for r := range s[:n] {
			s[r] = F(q.base[o.output])
		}
		for start := o.start; start < o.end; start += blockWords {
			end := min(start+blockWords, o.end)
			for r := range n {
				q.findExits(c.exits[r*blockWords*perWord:], start, end, c.offsets[r*operands:][:operands])
			}
			q.blockValues(rows, c, start, end)
			for i := 0; i < (end-start)*perWord*blockRows; i += blockRows {
				values := c.values[i:][:n]
				for r, v := range values {
					s[r&(blockRows-1)] += v
				}
			}
		}
		for r := range s[:n] {
			dst[r*margins+o.output] = float64(s[r])
		}
	}
}

// blockValues sets c.values to what the trees of some words add, tree by tree,
// blockRows values each.
func (q *quickScorer[F]) blockValues(rows []float64, c *scratch[F], start, end int) {
	n, count, perWord := 0, len(rows)/q.features, q.perWord()
	for i := range (end - start) * perWord {
		p, exits := &q.values[start+i/perWord], c.exits[i:]
		values, walks := c.values[i*blockRows:][:count], c.walks[n:][:count]
		k := 0
		for r := range values {
			exit := exits[r*blockWords*perWord]
			v := p[exit&63]
			values[r], walks[k] = v, cursor{int32(i*blockRows + r), int32(exit)}
			k += isNaN(v)
		}
		n += k
	}
	if n > 0 {
		walks := c.walks[:n]
		for i, w := range walks {
			walks[i].node = q.resume[start+int(w.index)/(perWord*blockRows)][w.node&63]
		}
		finishWalks(q.trees, c.values, walks, rows, blockRows-1)
	}
}

// findRows is find for the first n rows.
func (q *quickScorer[F]) findRows(offsets []int, rows []float64, n int) {
	if q.avx512 != nil {
		q.find512(offsets, rows, n)
		return
	}
	for r := range n {
		q.find(offsets[r*q.operands:], rows[r*q.features:])
	}
}

// findExits sets dst to the exits, as indices in q.values, of one row in the trees
// of some words.
func (q *quickScorer[F]) findExits(dst []uint8, start, end int, offsets []int) {
	if q.avx512 != nil {
		q.exits512(dst, start, end, offsets)
		return
	}
	var chunk [chunkWords]uint64
	for ; start < end; start += chunkWords {
		x := chunk[:min(chunkWords, end-start)]
		q.and(x, start, offsets)
		if q.wide {
			for i, x := range x {
				dst[i] = uint8(x * hash64 >> shift64)
			}
			dst = dst[len(x):]
			continue
		}
		for i, x := range x {
			dst[2*i] = uint8(uint32(x) * hash32 >> shift32)
			dst[2*i+1] = uint8(32 + uint32(x>>32)*hash32>>shift32)
		}
		dst = dst[2*len(x):]
	}
}

// operands returns the number of table rows that and takes for a number of
// features. The excess ones may repeat any row.
func operands(features int) int {
	switch {
	case features <= 1:
		return 1
	case features <= 4:
		return max(features, 3)
	}
	return (features-2)/7*7 + 8
}

// and sets x to the AND of the table rows at offsets, from word start on.
func (q *quickScorer[F]) and(x []uint64, start int, offsets []int) {
	m := q.table[start:]
	switch at := offsets; len(at) {
	case 1:
		copy(x, m[at[0]:])
	case 3:
		and3(x, m[at[0]:], m[at[1]:], m[at[2]:])
	case 4:
		and4(x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:])
	default:
		and8(x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:], m[at[4]:], m[at[5]:], m[at[6]:], m[at[7]:])
		for at = at[8:]; len(at) >= 7; at = at[7:] {
			and8(x, x, m[at[0]:], m[at[1]:], m[at[2]:], m[at[3]:], m[at[4]:], m[at[5]:], m[at[6]:])
		}
	}
}

// and3 sets x to the AND of the other slices, as do and4 and and8.
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

// addNarrow adds to s, in order, the values of the bits that a, b, c and d share.
func addNarrow[F float32 | float64](s F, values [][64]F, a, b, c, d []uint64) F {
	a, b, c, d = a[:len(values)], b[:len(values)], c[:len(values)], d[:len(values)]
	for i := range values {
		x := a[i] & b[i] & c[i] & d[i]
		p := &values[i]
		s += p[uint32(x)*hash32>>shift32]
		s += p[32+uint32(x>>32)*hash32>>shift32]
	}
	return s
}

// addWide is addNarrow for wide bitvectors.
func addWide[F float32 | float64](s F, values [][64]F, a, b, c, d []uint64) F {
	a, b, c, d = a[:len(values)], b[:len(values)], c[:len(values)], d[:len(values)]
	for i := range values {
		s += values[i][(a[i]&b[i]&c[i]&d[i])*hash64>>shift64]
	}
	return s
}

// addNarrowRows is addNarrow for several rows, whose sums do not wait for each
// other.
func addNarrowRows[F float32 | float64](s *[interleave]F, values [][64]F, x *[interleave][chunkWords]uint64) {
	s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
	x0, x1, x2, x3 := x[0][:len(values)], x[1][:len(values)], x[2][:len(values)], x[3][:len(values)]
	for i := range values {
		p := &values[i]
		y0, y1, y2, y3 := x0[i], x1[i], x2[i], x3[i]
		s0 += p[uint32(y0)*hash32>>shift32]
		s1 += p[uint32(y1)*hash32>>shift32]
		s2 += p[uint32(y2)*hash32>>shift32]
		s3 += p[uint32(y3)*hash32>>shift32]
		s0 += p[32+uint32(y0>>32)*hash32>>shift32]
		s1 += p[32+uint32(y1>>32)*hash32>>shift32]
		s2 += p[32+uint32(y2>>32)*hash32>>shift32]
		s3 += p[32+uint32(y3>>32)*hash32>>shift32]
	}
	s[0], s[1], s[2], s[3] = s0, s1, s2, s3
}

// addWideRows is addNarrowRows for wide bitvectors.
func addWideRows[F float32 | float64](s *[interleave]F, values [][64]F, x *[interleave][chunkWords]uint64) {
	s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
	x0, x1, x2, x3 := x[0][:len(values)], x[1][:len(values)], x[2][:len(values)], x[3][:len(values)]
	for i := range values {
		p := &values[i]
		s0 += p[x0[i]*hash64>>shift64]
		s1 += p[x1[i]*hash64>>shift64]
		s2 += p[x2[i]*hash64>>shift64]
		s3 += p[x3[i]*hash64>>shift64]
	}
	s[0], s[1], s[2], s[3] = s0, s1, s2, s3
}
