//go:build !purego

package forest

import (
	"math"
	"slices"
	"unsafe"
)

// Lanes are the wide registers of processors with AVX-512, which take eight words
// of masks at a time. Where there are any, a table reads its masks by them; all
// else is as without, to the same bits:
//
//   - An interval is found by counting the keys below the value, 16 at a time: in a
//     tree whose nodes are runs of 16 keys, one level after the other.
//   - The AND of masks, and the numbers of their leaves, come for 16 trees at a time
//     (8, if a mask has 64 bits).
//   - One row's leaves are added in order, one by one. Of sixteen rows, sixteen
//     sums are added to at a time, of leaves that were looked up in registers.
//
// lanes_amd64.s has the loops. On an EPYC of 2024 one row of the models that the
// README measures takes 0.5 to 0.95 times as long as without, a row of many 0.3 to
// 0.4 times, and with trees that go on below their crowns 0.7 times:
// BenchmarkMargin, and the same with -tags purego, compare. A table's rows are then
// multiples of eight words.
//
// There is no such file for AVX2 or NEON: neither looks a number up in two registers
// of eight or sixteen others, by which the sums of many rows go, and what the rest
// would give has not been measured.

// A laneAxis is an axis as find512 reads it.
type laneAxis struct {
	column int // of a row
	levels int
	cuts   int
	base   int
	keys   [laneLevels]*float64 // by level: its runs of laneKeys keys
}

const (
	laneKeys    = 16
	laneLevels  = 4
	laneWords   = 8  // of a register
	laneRows    = 16 // that go together
	laneFew     = 7  // from so many on it is faster to fill them up than to go one by one
	laneReads   = 128
	fewReads    = 8    // for which there is room on the stack
	laneScratch = 1024 // of 32 words of two trees, for laneRows
)

// lanes reports whether this processor has them and the system keeps them for
// each thread. Tests do without by setting it.
var lanes = haveLanes()

// haveLanes asks for AVX-512 with the parts F, BW, DQ and VL, in the order that the
// Software Developer's Manual of Intel gives for their detection.
func haveLanes() bool {
	if most, _, _, _ := cpuid(0, 0); most < 7 {
		return false
	}
	const osxsave, popcnt = 1 << 27, 1 << 23
	if _, _, c, _ := cpuid(1, 0); c&osxsave == 0 || c&popcnt == 0 {
		return false
	}
	const states = 0b1110_0110 // XMM, YMM, and the three of AVX-512
	if xgetbv()&states != states {
		return false
	}
	const parts = 1<<16 | 1<<17 | 1<<30 | 1<<31
	_, b, _, _ := cpuid(7, 0)
	return b&parts == parts
}

// lanesFit reports whether a table with these axes can be read by lanes.
func lanesFit(axes []axis) bool {
	if !lanes || len(axes) > laneReads {
		return false
	}
	for j := range axes {
		if axes[j].wrap || len(axes[j].cuts) > 1<<16 { // laneKeys, four times over
			return false
		}
	}
	return true
}

// newLanes returns the axes of a table, whose bases are set.
func newLanes(axes []axis) []laneAxis {
	all := make([]laneAxis, len(axes))
	for j := range axes {
		a := &axes[j]
		all[j] = laneAxis{column: a.feature, cuts: len(a.cuts), base: a.base}
		var levels [][]float64 // from the last one up
		for level := slices.Clone(a.cuts); ; {
			for len(level)%laneKeys != 0 {
				level = append(level, math.Inf(1))
			}
			levels = append(levels, level)
			if len(level) == laneKeys {
				break
			}
			var up []float64 // the last key of each run
			for i := laneKeys - 1; i < len(level); i += laneKeys {
				up = append(up, level[i])
			}
			level = up
		}
		slices.Reverse(levels)
		all[j].levels = len(levels)
		for i, level := range levels {
			all[j].keys[i] = &level[0]
		}
	}
	return all
}

// laneFind is find for n rows, the first of rows.
func (t *table[F]) laneFind(f *Forest, at []int, rows []float64, n int) {
	_, _ = at[n*t.reads-1], rows[n*f.features-1]
	find512(&at[0], &t.lanes[0], t.reads, &rows[0], f.features, n, t.words)
}

// laneNumbers is numbers.
func (t *table[F]) laneNumbers(dst []uint8, start, end int, at []int) {
	words := (end - start + laneWords - 1) / laneWords * laneWords
	_ = dst[words*t.perWord()-1]
	if t.wide {
		wideNumbers512(&dst[0], &t.masks[start], &at[0], t.reads, words)
	} else {
		narrowNumbers512(&dst[0], &t.masks[start], &at[0], t.reads, words)
	}
}

// laneMargin sets dst to the margins of rows, of a table without exits that are no
// leaves.
func (t *table[F]) laneMargin(f *Forest, dst, rows []float64) {
	margins, columns := len(f.base), f.features
	switch {
	case len(rows) < laneFew*columns:
	case t.reads <= fewReads:
		var at [laneRows * fewReads]int
		var numbers [laneScratch]uint8
		dst, rows = t.laneBlocks(f, dst, rows, at[:], numbers[:])
	default:
		c := t.pool.Get().(*scratch[F])
		dst, rows = t.laneBlocks(f, dst, rows, c.at, c.numbers)
		t.pool.Put(c)
	}
	for ; len(rows) > 0; dst, rows = dst[margins:], rows[columns:] {
		t.laneOne(f, dst, rows)
	}
}

// laneBlocks does blocks of rows and returns what is left.
func (t *table[F]) laneBlocks(f *Forest, dst, rows []float64, at []int, numbers []uint8) (restDst, restRows []float64) {
	margins, columns := len(f.base), f.features
	for len(rows) >= laneFew*columns {
		n := min(len(rows)/columns, laneRows)
		t.laneMany(f, dst[:n*margins], rows[:n*columns], at[:laneRows*t.reads], numbers[:laneScratch])
		dst, rows = dst[n*margins:], rows[n*columns:]
	}
	return dst, rows
}

// laneOne sets dst to the margins of the row at the start of rows.
func (t *table[F]) laneOne(f *Forest, dst, rows []float64) {
	if t.reads > stackReads {
		c := t.pool.Get().(*scratch[F])
		t.laneOneAt(f, dst, rows, c.at)
		t.pool.Put(c)
		return
	}
	if t.reads <= fewReads {
		var at [fewReads]int // less to clear
		t.laneOneAt(f, dst, rows, at[:])
		return
	}
	var at [stackReads]int
	t.laneOneAt(f, dst, rows, at[:])
}

func (t *table[F]) laneOneAt(f *Forest, dst, rows []float64, at []int) {
	t.laneFind(f, at, rows, 1)
	for _, r := range t.runs {
		masks, leaves := &t.masks[r.start], unsafe.Pointer(&t.leaves[r.start])
		switch s := f.base[r.output]; {
		case t.is32() && t.wide:
			s = float64(wideOne32(float32(s), (*[64]float32)(leaves), masks, &at[0], t.reads, r.trees))
			dst[r.output] = s
		case t.is32():
			s = float64(narrowOne32(float32(s), (*[64]float32)(leaves), masks, &at[0], t.reads, r.trees))
			dst[r.output] = s
		case t.wide:
			dst[r.output] = wideOne64(s, (*[64]float64)(leaves), masks, &at[0], t.reads, r.trees)
		default:
			dst[r.output] = narrowOne64(s, (*[64]float64)(leaves), masks, &at[0], t.reads, r.trees)
		}
	}
}

// laneMany sets dst to the margins of up to laneRows rows.
func (t *table[F]) laneMany(f *Forest, dst, rows []float64, at []int, numbers []uint8) {
	margins := len(f.base)
	n := len(rows) / f.features
	t.laneFind(f, at, rows, n)
	for r := n; r < laneRows; r++ { // what is beyond the rows is the first again
		copy(at[r*t.reads:], at[:t.reads])
	}
	for _, r := range t.runs {
		words := (r.end - r.start + laneWords - 1) / laneWords * laneWords
		masks, leaves := &t.masks[r.start], unsafe.Pointer(&t.leaves[r.start])
		var sums [laneRows]F
		for i := range sums {
			sums[i] = F(f.base[r.output])
		}
		switch to := unsafe.Pointer(&sums); {
		case t.is32() && t.wide:
			wideMany32((*float32)(to), (*[64]float32)(leaves), masks, &at[0], t.reads, words, &numbers[0])
		case t.is32():
			narrowMany32((*float32)(to), (*[64]float32)(leaves), masks, &at[0], t.reads, words, &numbers[0])
		case t.wide:
			wideMany64((*float64)(to), (*[64]float64)(leaves), masks, &at[0], t.reads, words, &numbers[0])
		default:
			narrowMany64((*float64)(to), (*[64]float64)(leaves), masks, &at[0], t.reads, words, &numbers[0])
		}
		for i, s := range sums[:n] {
			dst[i*margins+r.output] = float64(s)
		}
	}
}

func (t *table[F]) is32() bool {
	var f F
	return unsafe.Sizeof(f) == 4
}

//go:noescape
func cpuid(leaf, sub uint32) (ax, bx, cx, dx uint32)

//go:noescape
func xgetbv() (ax uint32)

// find512 sets at, n a row, to where the rows of masks of the rows' intervals start.
//
//go:noescape
func find512(at *int, axes *laneAxis, n int, row *float64, columns, rows, words int)

// These return s and the leaves of one row.

//go:noescape
func narrowOne64(s float64, leaves *[64]float64, masks *uint64, at *int, reads, trees int) float64

//go:noescape
func narrowOne32(s float32, leaves *[64]float32, masks *uint64, at *int, reads, trees int) float32

//go:noescape
func wideOne64(s float64, leaves *[64]float64, masks *uint64, at *int, reads, trees int) float64

//go:noescape
func wideOne32(s float32, leaves *[64]float32, masks *uint64, at *int, reads, trees int) float32

// These add the leaves of laneRows rows to as many sums. Numbers is room for those
// of 32 words of each row.

//go:noescape
func narrowMany64(sums *float64, leaves *[64]float64, masks *uint64, at *int, reads, words int, numbers *uint8)

//go:noescape
func narrowMany32(sums *float32, leaves *[64]float32, masks *uint64, at *int, reads, words int, numbers *uint8)

//go:noescape
func wideMany64(sums *float64, leaves *[64]float64, masks *uint64, at *int, reads, words int, numbers *uint8)

//go:noescape
func wideMany32(sums *float32, leaves *[64]float32, masks *uint64, at *int, reads, words int, numbers *uint8)

// These set the numbers of one row's leaves.

//go:noescape
func narrowNumbers512(numbers *uint8, masks *uint64, at *int, reads, words int)

//go:noescape
func wideNumbers512(numbers *uint8, masks *uint64, at *int, reads, words int)
