package forest

import (
	"math"
	"math/bits"
	"slices"
)

// intervals divides the values of one feature at cut points, so that each split of
// the forest sends all values of an interval to the same side:
//
//	interval   0      1      2    ..     n-1       n
//	      ---------|------|------|-- .. ------|   NaN
//	            cuts[0] cuts[1]  ..       cuts[n-1] = +Inf
//
// Interval i has the values above cuts[i-1] that are at most cuts[i]; cuts[i]
// represents it. Interval n, after the last cut point, which is always +Inf, has
// NaN.
type intervals struct {
	feature int
	cuts    []float64
	wrap    bool  // take the integer's low eight bits; see Categories.Wrap
	splits  int32 // on the feature
	offset  int   // of the table row of interval 0, in words; see quickScorer

	// A search starts in one of the buckets, which have equal widths.
	low, scale float64         // start of the buckets, and buckets per unit
	start      [buckets]uint32 // by bucket: the number of cut points in lower ones
	step       int             // a power of two; every bucket has fewer than 2*step cut points
	keys       []uint64        // of cuts, padded so that no search reads past the end
}

// Limits of the intervals.
const (
	buckets      = 256
	maxCuts      = 1<<22 - 1 // of one feature
	maxIntervals = 1024      // features
)

// find returns the number of the interval of v. Its branches depend on the
// feature, not on v: they look up a bucket and take as many steps of a binary
// search as the fullest bucket needs.
func (iv *intervals) find(v float64) int {
	if iv.wrap {
		v = wrapped(v)
	}
	k, keys := key(v), iv.keys
	i := int(iv.start[iv.bucket(v)])
	for step := iv.step; step > 2; step >>= 1 {
		_, above := bits.Sub64(keys[i+step-1], k, 0)
		i += step & -int(above)
	}
	_, above := bits.Sub64(keys[i+1], k, 0)
	i += 2 & -int(above)
	_, above = bits.Sub64(keys[i], k, 0)
	return i + int(above)
}

// magic is so large that adding a number to it rounds that to an integer, which is
// left in the low bits.
const magic = 0x1.8p52

// bucket returns the bucket of v. It is monotonic, since rounding is. NaN is in the
// last bucket. The conversion to float64 prevents a fused multiply-add, which
// rounds only once.
func (iv *intervals) bucket(v float64) uint8 {
	const first = 0x4338000000000000 + 1<<63 - 0x000fffffffffffff // key(magic)
	b, below := bits.Sub64(key(float64((v-iv.low)*iv.scale)+magic), first, 0)
	b &= below - 1
	_, above := bits.Sub64(buckets-1, b, 0)
	return uint8(b | -above)
}

// index sorts the cut points and sets what find needs.
func (iv *intervals) index() {
	iv.cuts = append(iv.cuts, math.Inf(1))
	slices.Sort(iv.cuts)
	iv.cuts = slices.Clip(slices.Compact(iv.cuts))
	for i, c := range iv.cuts {
		if c == 0 {
			iv.cuts[i] = 0 // not -0, whose key is lower
		}
	}
	finite := iv.cuts[:len(iv.cuts)-1]
	if len(finite) > 0 && math.IsInf(finite[0], -1) {
		finite = finite[1:]
	}
	most := len(iv.cuts)
	if n := len(finite); n > 0 {
		iv.low = finite[0]
		iv.scale = (buckets - 1) / (finite[n-1] - iv.low)
	}
	if iv.scale > 0 && !math.IsInf(iv.scale, 1) {
		most = 0
		var count [buckets]int
		for _, c := range iv.cuts {
			b := iv.bucket(c)
			count[b]++
			most = max(most, count[b])
		}
		sum := 0
		for b := range count {
			iv.start[b] = uint32(sum)
			sum += count[b]
		}
	}
	iv.step = max(2, 1<<(bits.Len(uint(most))-1))
	iv.keys = make([]uint64, len(iv.cuts)+2*iv.step)
	for i := range iv.keys {
		iv.keys[i] = math.MaxUint64
		if i < len(iv.cuts) {
			iv.keys[i] = key(iv.cuts[i])
		}
	}
}

// key maps numbers to integers in the same order, with -0 just below 0 and NaN
// above all numbers.
func key(v float64) uint64 {
	b := math.Float64bits(v)
	b ^= uint64(int64(b)>>63) | 1<<63 // ascending, from -NaN over -Inf and +Inf to +NaN
	return b - 0x000fffffffffffff     // -Inf is 0, and -NaN wraps around
}

// value returns a value in interval i.
func (iv *intervals) value(i int) float64 {
	if i < len(iv.cuts) {
		return iv.cuts[i]
	}
	return math.NaN()
}

// wrapped returns a value of at most 256 that categorical splits with Wrap send to
// the same side as v.
func wrapped(v float64) float64 {
	if v >= 256 && v < 1<<31 {
		return float64(int32(v) & 0xff)
	}
	return v
}

// newIntervals returns the intervals of all features that the splits test, in the
// order of the features. It returns nil if there are no splits or if a limit is
// exceeded; the number of cut points is limited to a small multiple of the nodes.
func newIntervals(t *trees, splits []int32) []intervals {
	budget := 1<<18 + 4*len(t.nodes)
	index := make(map[int]int) // in all, by feature
	var all []intervals
	for _, i := range splits {
		n := &t.nodes[i]
		var c *Categories
		if n.meta&flagCategories != 0 {
			c = &t.categories[int(n.threshold)]
		}
		feature, wrap := int(n.meta&featureMask), c != nil && c.Wrap
		j, ok := index[feature]
		if !ok {
			j = len(all)
			index[feature] = j
			all = append(all, intervals{feature: feature, wrap: wrap})
		}
		iv := &all[j]
		if iv.wrap != wrap || wrap && c.Round32 {
			return nil // no common intervals; no reader makes such splits
		}
		iv.splits++
		before := len(iv.cuts)
		switch {
		case c != nil:
			iv.cuts = c.cuts(iv.cuts, budget)
		case n.meta&flagZeroMissing != 0:
			iv.cuts = append(iv.cuts, n.threshold, math.Nextafter(-ZeroBound, -1), ZeroBound)
		default:
			iv.cuts = append(iv.cuts, n.threshold)
		}
		if budget -= len(iv.cuts) - before; budget < 0 || len(all) > maxIntervals {
			return nil
		}
	}
	for j := range all {
		if all[j].index(); len(all[j].cuts) > maxCuts {
			return nil
		}
	}
	slices.SortFunc(all, func(a, b intervals) int { return a.feature - b.feature })
	return all
}

// byFeature returns the indices of intervals by feature.
func byFeature(all []intervals) map[int]int {
	index := make(map[int]int, len(all))
	for j := range all {
		index[all[j].feature] = j
	}
	return index
}

// cuts appends the cut points of c. It stops when more than budget are added.
func (c *Categories) cuts(cuts []float64, budget int) []float64 {
	most := len(cuts) + budget
	atMost := func(v float64) {
		if c.Round32 {
			v = AtMostRounded(v)
		}
		cuts = append(cuts, v)
	}
	below := func(v float64) { atMost(math.Nextafter(v, math.Inf(-1))) }

	atMost(-1)
	below(0)
	below(1 << 31)
	if n := len(c.Sparse); n > 0 {
		for _, k := range c.Sparse {
			if len(cuts) > most {
				break
			}
			below(float64(k))
			below(float64(k) + 1)
		}
		below(float64(c.Sparse[n-1]/32+1) * 32)
		return cuts
	}
	last := false
	for k := range 32 * len(c.Left) {
		if len(cuts) > most {
			break
		}
		left := c.Left[k/32]>>(k%32)&1 != 0
		if left != last {
			below(float64(k))
		}
		last = left
	}
	below(float64(32 * len(c.Left)))
	return cuts
}
