//go:build !purego

package forest

import (
	"math"
	"slices"
	"unsafe"
)

// With AVX-512 a quickScorer uses registers of eight words:
//
//   - An interval is found by counting the cut points below the value, 16 at a time,
//     in a search tree whose nodes have 16 keys.
//   - The AND of the bitvectors and the indices of the exits are computed for 16
//     trees at a time (8 if bitvectors are wide).
//   - The values of one row are added one by one, in order. For sixteen rows, one
//     tree's values are looked up in registers and added to sixteen sums at a time.
//
// The loops are in quickscorer_amd64.s. On an EPYC of 2024 and the models that the
// README measures, one row takes 0.5 to 0.95 times as long as in plain Go, a row of
// a large batch 0.3 to 0.4 times, and with truncated trees 0.7 times. To compare,
// run BenchmarkMargin with and without -tags purego.
//
// There is no such file for AVX2 or NEON. Neither can look up an index in two
// registers of eight or sixteen values, which the sums of many rows need; what the
// other loops would gain is not measured.

// intervals512 is the intervals of one feature as findIntervals reads them.
type intervals512 struct {
	feature int
	levels  int // of the search tree
	cuts    int
	offset  int                 // see intervals.offset
	keys    [maxLevels]*float64 // by level: its nodes, of nodeKeys keys each
}

const (
	keyShift    = 4
	nodeKeys    = 1 << keyShift // of a node of a search tree
	maxLevels   = 4
	vectorWords = 8 // of a register

	maxFeatures512   = 128
	stackFeatures512 = 8  // up to this, offsets and exits are on the stack
	blockRows512     = 16 // rows that are added at a time
	minRows512       = 7  // from this on, a partly filled block is faster than single rows
	blockExits       = blockRows512 * blockWords * 64 / narrowBits
)

// hasAVX512 reports whether the processor has AVX-512 and the operating system
// saves its registers. Tests change it.
var hasAVX512 = detectAVX512()

// detectAVX512 detects the extensions F, BW, DQ and VL, in the order that Intel's
// Software Developer's Manual prescribes, and POPCNT.
func detectAVX512() bool {
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
	const extensions = 1<<16 | 1<<17 | 1<<30 | 1<<31
	_, b, _, _ := cpuid(7, 0)
	return b&extensions == extensions
}

// fits512 reports whether a table with these intervals can be read by AVX-512.
func fits512(all []intervals) bool {
	if !hasAVX512 || len(all) > maxFeatures512 {
		return false
	}
	for j := range all {
		if all[j].wrap || len(all[j].cuts) > 1<<(keyShift*maxLevels) {
			return false
		}
	}
	return true
}

// newIntervals512 returns the search trees of intervals whose offsets are set.
func newIntervals512(all []intervals) []intervals512 {
	all512 := make([]intervals512, len(all))
	for j := range all {
		iv := &all[j]
		var levels [][]float64 // from the last one up
		for level := slices.Clone(iv.cuts); ; {
			for len(level)%nodeKeys != 0 {
				level = append(level, math.Inf(1))
			}
			levels = append(levels, level)
			if len(level) == nodeKeys {
				break
			}
			var up []float64 // the last key of each node
			for i := nodeKeys - 1; i < len(level); i += nodeKeys {
				up = append(up, level[i])
			}
			level = up
		}
		slices.Reverse(levels)
		all512[j] = intervals512{feature: iv.feature, levels: len(levels), cuts: len(iv.cuts), offset: iv.offset}
		for i, level := range levels {
			all512[j].keys[i] = &level[0]
		}
	}
	return all512
}

// find512 is findRows.
func (q *quickScorer[F]) find512(offsets []int, rows []float64, n int) {
	_, _ = offsets[n*q.operands-1], rows[n*q.features-1]
	findIntervals(&offsets[0], &q.avx512[0], q.operands, &rows[0], q.features, n, q.words)
}

// exits512 is findExits.
func (q *quickScorer[F]) exits512(dst []uint8, start, end int, offsets []int) {
	words := fullVectors(end - start)
	_ = dst[words*q.perWord()-1]
	if q.wide {
		wideExits(&dst[0], &q.table[start], &offsets[0], q.operands, words)
	} else {
		narrowExits(&dst[0], &q.table[start], &offsets[0], q.operands, words)
	}
}

// fullVectors rounds up a number of words to a multiple of vectorWords.
func fullVectors(words int) int { return (words + vectorWords - 1) / vectorWords * vectorWords }

// margins512 sets dst to the margins of rows, if all exits are plain leaves. For few
// features it does without a pool, which may drop what it holds, and does so at
// random under the race detector; then Get allocates.
func (q *quickScorer[F]) margins512(dst, rows []float64) {
	switch {
	case len(rows) < minRows512*q.features:
	case q.operands <= stackFeatures512:
		var offsets [blockRows512 * stackFeatures512]int
		var exits [blockExits]uint8
		dst, rows = q.blocks512(dst, rows, offsets[:], exits[:])
	default:
		c := q.pool.Get().(*scratch[F])
		dst, rows = q.blocks512(dst, rows, c.offsets, c.exits)
		q.pool.Put(c)
	}
	for ; len(rows) > 0; dst, rows = dst[len(q.base):], rows[q.features:] {
		q.row512(dst, rows)
	}
}

// blocks512 sets dst to the margins of rows in blocks, and returns the rest.
func (q *quickScorer[F]) blocks512(dst, rows []float64, offsets []int, exits []uint8) (restDst, restRows []float64) {
	margins, features := len(q.base), q.features
	for len(rows) >= minRows512*features {
		n := min(len(rows)/features, blockRows512)
		q.block512(dst[:n*margins], rows[:n*features], offsets[:blockRows512*q.operands], exits[:blockExits])
		dst, rows = dst[n*margins:], rows[n*features:]
	}
	return dst, rows
}

// row512 sets dst to the margins of the first row.
func (q *quickScorer[F]) row512(dst, rows []float64) {
	switch {
	case q.operands <= stackFeatures512:
		var offsets [stackFeatures512]int // less to clear than below
		q.row512At(dst, rows, offsets[:])
	case q.operands <= stackOperands:
		var offsets [stackOperands]int
		q.row512At(dst, rows, offsets[:])
	default:
		c := q.pool.Get().(*scratch[F])
		q.row512At(dst, rows, c.offsets)
		q.pool.Put(c)
	}
}

func (q *quickScorer[F]) row512At(dst, rows []float64, offsets []int) {
	q.find512(offsets, rows, 1)
	for _, o := range q.outputs {
		table, values, s := &q.table[o.start], unsafe.Pointer(&q.values[o.start]), q.base[o.output]
		switch {
		case q.is32() && q.wide:
			s = float64(wideRow32(float32(s), values, table, &offsets[0], q.operands, o.trees))
		case q.is32():
			s = float64(narrowRow32(float32(s), values, table, &offsets[0], q.operands, o.trees))
		case q.wide:
			s = wideRow64(s, values, table, &offsets[0], q.operands, o.trees)
		default:
			s = narrowRow64(s, values, table, &offsets[0], q.operands, o.trees)
		}
		dst[o.output] = s
	}
}

// block512 sets dst to the margins of up to blockRows512 rows.
func (q *quickScorer[F]) block512(dst, rows []float64, offsets []int, exits []uint8) {
	margins := len(q.base)
	n := len(rows) / q.features
	q.find512(offsets, rows, n)
	for r := n; r < blockRows512; r++ { // fill the block with the first row
		copy(offsets[r*q.operands:], offsets[:q.operands])
	}
	for _, o := range q.outputs {
		var sums [blockRows512]F
		for r := range sums {
			sums[r] = F(q.base[o.output])
		}
		words := fullVectors(o.end - o.start)
		table, values, s := &q.table[o.start], unsafe.Pointer(&q.values[o.start]), unsafe.Pointer(&sums)
		switch {
		case q.is32() && q.wide:
			wideBlock32(s, values, table, &offsets[0], q.operands, words, &exits[0])
		case q.is32():
			narrowBlock32(s, values, table, &offsets[0], q.operands, words, &exits[0])
		case q.wide:
			wideBlock64(s, values, table, &offsets[0], q.operands, words, &exits[0])
		default:
			narrowBlock64(s, values, table, &offsets[0], q.operands, words, &exits[0])
		}
		for r, s := range sums[:n] {
			dst[r*margins+o.output] = float64(s)
		}
	}
}

func (q *quickScorer[F]) is32() bool {
	var f F
	return unsafe.Sizeof(f) == 4
}

//go:noescape
func cpuid(leaf, sub uint32) (ax, bx, cx, dx uint32)

//go:noescape
func xgetbv() (ax uint32)

// findIntervals sets offsets, n per row, to those of the table rows of the intervals
// of the rows' values.
//
//go:noescape
func findIntervals(offsets *int, all *intervals512, n int, row *float64, features, rows, words int)

// narrowRow64 returns s plus the values of one row, which have the type of s. The
// four functions differ in that type and in the size of the bitvectors.
//
//go:noescape
func narrowRow64(s float64, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float64

//go:noescape
func narrowRow32(s float32, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float32

//go:noescape
func wideRow64(s float64, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float64

//go:noescape
func wideRow32(s float32, values unsafe.Pointer, table *uint64, offsets *int, operands, trees int) float32

// narrowBlock64 adds the values of blockRows512 rows to their sums; exits is a
// scratch of blockExits bytes. The four functions differ as those above.
//
//go:noescape
func narrowBlock64(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)

//go:noescape
func narrowBlock32(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)

//go:noescape
func wideBlock64(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)

//go:noescape
func wideBlock32(sums unsafe.Pointer, values unsafe.Pointer, table *uint64, offsets *int, operands, words int, exits *uint8)

// narrowExits sets exits to those of one row, as does wideExits.
//
//go:noescape
func narrowExits(exits *uint8, table *uint64, offsets *int, operands, words int)

//go:noescape
func wideExits(exits *uint8, table *uint64, offsets *int, operands, words int)
