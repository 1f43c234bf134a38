package forest

import (
	"math"
	"sync"
)

// Sizes of a bitvector, and multipliers that map the words with one bit set to
// different numbers in the high bits of the product, an index of the bit. They are
// de Bruijn sequences (C. Leiserson, H. Prokop and K. Randall, "Using de Bruijn
// Sequences to Index a 1 in a Computer Word", 1998). 0 and 1 both have index 0.
const (
	narrowBits = 32
	wideBits   = 64

	hash32  = 0x077cb531
	hash64  = 0x03f79d71b4ca8b09
	shift32 = 32 - 5
	shift64 = 64 - 6
)

// Limits of the table, so that it fits in the caches and is filled in a fraction
// of a second: its bytes, and how often a split is tested to fill it.
const (
	maxTableBytes = 8 << 20
	maxTests      = 16 << 20
)

// A quickScorer is the engines quickscorer and, if avx512 is set, quickscorer-avx512.
// F is the type of the sums.
type quickScorer[F float32 | float64] struct {
	trees     *trees
	features  int
	base      []float64
	intervals []intervals    // of the features that some split tests
	avx512    []intervals512 // the same, if the engine is quickscorer-avx512

	// The table has a row for each interval of each feature. A row has a bitvector
	// for each tree, in words of one wide bitvector or of two narrow ones.
	table    []uint64
	words    int // of a row
	rows     int
	wide     bool
	operands int // table rows that a prediction ANDs, at least one per feature
	outputs  []outputWords
	slots    []int32 // by tree: the position of its bitvectors in a row

	// By word and by the index of the exit's bit: the value of the exit's leaf. If
	// the exit is a split, or a linear or NaN leaf, the value is NaN and resume has
	// the node to continue from. If there is no such exit, resume is nil.
	values [][64]F
	resume [][64]int32

	pool sync.Pool // of *scratch[F]
}

// outputWords are the words of a table row whose trees belong to one output.
type outputWords struct {
	output     int
	start, end int
	trees      int
}

// newQuickScorer returns a quickScorer without contents, which fill sets, for
// truncated trees that have these splits. It returns nil if a limit is exceeded.
func newQuickScorer[F float32 | float64](t *trees, splits []int32, wide bool) *quickScorer[F] {
	q := &quickScorer[F]{trees: t, features: t.features, base: t.base, intervals: newIntervals(t, splits), wide: wide}
	if len(q.intervals) == 0 {
		return nil
	}
	fit := fits512(q.intervals)
	q.words = q.layOut(1)
	if fit {
		// Registers read each output's words in multiples of vectorWords, unless
		// with many outputs that would make the table much larger.
		if words := q.layOut(vectorWords); words <= 2*q.words+vectorWords {
			q.words = words
		} else {
			fit, q.words = false, q.layOut(1)
		}
	}
	tests := int64(0)
	for j := range q.intervals {
		iv := &q.intervals[j]
		iv.offset = q.rows * q.words
		q.rows += len(iv.cuts) + 1
		tests += int64(iv.splits) * int64(len(iv.cuts)+1)
	}
	if tests > maxTests || q.words > maxTableBytes/(8*q.rows+64*12) {
		return nil
	}
	q.operands = operands(len(q.intervals))
	if fit {
		q.avx512, q.operands = newIntervals512(q.intervals), len(q.intervals)
	}
	q.pool.New = func() any { return q.newScratch() }
	return q
}

func (q *quickScorer[F]) name() string {
	if q.avx512 != nil {
		return "quickscorer-avx512"
	}
	return "quickscorer"
}

func (q *quickScorer[F]) bytes() int {
	size := 8
	if q.trees.sum32 {
		size = 4
	}
	return 8*len(q.table) + 64*size*len(q.values) + 64*4*len(q.resume)
}

// perWord is the number of bitvectors in a word.
func (q *quickScorer[F]) perWord() int {
	if q.wide {
		return 1
	}
	return 2
}

// layOut assigns each tree a slot in the words of a table row, and returns their
// number. The words of each output start at a multiple of align.
func (q *quickScorer[F]) layOut(align int) int {
	trees := make([]int, len(q.base)) // by output
	for tree := range q.trees.roots {
		trees[q.trees.output(tree)]++
	}
	next := make([]int, len(q.base))
	end := 0
	q.outputs = nil
	for k, n := range trees {
		o := outputWords{output: k, start: end, trees: n}
		next[k] = end * q.perWord()
		o.end = end + (n+q.perWord()-1)/q.perWord()
		end = (o.end + align - 1) / align * align
		if n > 0 {
			q.outputs = append(q.outputs, o)
		}
	}
	q.slots = make([]int32, len(q.trees.roots))
	for tree := range q.slots {
		k := q.trees.output(tree)
		q.slots[tree] = int32(next[k])
		next[k]++
	}
	return end
}

// fill sets table, values and resume.
func (q *quickScorer[F]) fill(truncated []truncatedTree) {
	words := q.words
	q.table = make([]uint64, words*q.rows)
	q.values = make([][64]F, words)
	none := F(math.Copysign(0, -1)) // for slots without a tree: adding -0 changes no sum, not even -0
	for w := range q.values {
		for i := range q.values[w] {
			q.values[w][i] = none
		}
	}
	// At first each row permits all exits.
	all := q.table[:words]
	for tree, c := range truncated {
		w, shift := q.word(tree)
		all[w] |= c[0].exits << shift
		for i := range c {
			if c[i].child == 0 {
				q.setExit(c[i].node, w, shift+q.index(c[i].exits))
			}
		}
	}
	for r := words; r < len(q.table); r += words {
		copy(q.table[r:], all)
	}
	// Each split excludes the exits on its other side.
	index := byFeature(q.intervals)
	for tree, c := range truncated {
		w, shift := q.word(tree)
		for i := range c {
			if c[i].child == 0 {
				continue
			}
			n := &q.trees.nodes[c[i].node]
			left, right := c[c[i].child].exits<<shift, c[c[i].child+1].exits<<shift
			iv := &q.intervals[index[int(n.meta&featureMask)]]
			for k := range len(iv.cuts) + 1 {
				other := left
				if q.trees.left(n, iv.value(k)) {
					other = right
				}
				q.table[iv.offset+k*words+w] &^= other
			}
		}
	}
}

// word returns the word of a tree's bitvectors, and their shift in it.
func (q *quickScorer[F]) word(tree int) (word, shift int) {
	slot := int(q.slots[tree])
	return slot / q.perWord(), slot % q.perWord() * narrowBits
}

// index returns the index of a bit.
func (q *quickScorer[F]) index(bit uint64) int {
	if q.wide {
		return int(bit * hash64 >> shift64)
	}
	return int(uint32(bit) * hash32 >> shift32)
}

// setExit makes a node the exit of index i in word w.
func (q *quickScorer[F]) setExit(node int32, w, i int) {
	v := F(q.trees.nodes[node].threshold)
	if q.trees.nodes[node].meta&flagLeaf == 0 || q.trees.linear != nil || v != v {
		v = F(math.NaN())
		if q.resume == nil {
			q.resume = make([][64]int32, len(q.values))
		}
		q.resume[w][i] = node
	}
	q.values[w][i] = v
}
