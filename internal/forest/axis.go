package forest

import (
	"math"
	"math/bits"
	"slices"
)

// An axis is the number line of one feature, cut wherever a split of the forest
// changes its mind:
//
//	interval   0      1      2    ..     n-1       n
//	      ---------|------|------|-- .. ------|   NaN
//	            cuts[0] cuts[1]  ..       cuts[n-1] = +Inf
//
// Interval i holds the values above cuts[i-1], up to and with cuts[i]; interval
// n, beyond the last cut, which is always +Inf, holds what is no number. Within
// an interval every split of the feature sends all values to one side, so that
// cuts[i] can stand for all of them.
type axis struct {
	feature int
	cuts    []float64
	wrap    bool // look up the integer's low eight bits; see Categories.Wrap
	base    int  // of the table: where interval 0 has its row of masks

	// To find an interval, the axis is first divided evenly into buckets.
	low, scale float64         // the first one's start, and their number in one unit
	start      [buckets]uint32 // by bucket: how many cuts are in lower ones
	step       int             // a power of two: no bucket has twice as many cuts
	keys       []uint64        // of the cuts, and then so many that steps cannot leave them
}

// Bounds of an axis.
const (
	buckets = 256
	maxCuts = 1<<22 - 1
	maxAxes = 1024
)

// find returns the number of the interval that v is in. It takes no branch that
// depends on v: which buckets there are to look in, and how many steps to go, are
// facts of the axis.
func (a *axis) find(v float64) int {
	if a.wrap {
		v = wrapped(v)
	}
	k, keys := key(v), a.keys
	i := int(a.start[a.bucket(v)])
	for step := a.step; step > 2; step >>= 1 {
		_, above := bits.Sub64(keys[i+step-1], k, 0)
		i += step & -int(above)
	}
	_, above := bits.Sub64(keys[i+1], k, 0)
	i += 2 & -int(above)
	_, above = bits.Sub64(keys[i], k, 0)
	return i + int(above)
}

// magic is so large a number that those which follow are integers, and count up in
// their last bits.
const magic = 0x1.8p52

// bucket returns the bucket of v. No v has a lower bucket than a smaller one, as
// rounding keeps the order; NaN is in the last. The conversion forbids to round
// only once where a processor could.
func (a *axis) bucket(v float64) uint8 {
	const first = 0x4338000000000000 + 1<<63 - 0x000fffffffffffff // key of magic
	b, below := bits.Sub64(key(float64((v-a.low)*a.scale)+magic), first, 0)
	b &= below - 1
	_, above := bits.Sub64(buckets-1, b, 0)
	return uint8(b | -above)
}

// index sorts the cuts and fills the buckets.
func (a *axis) index() {
	a.cuts = append(a.cuts, math.Inf(1))
	slices.Sort(a.cuts)
	a.cuts = slices.Clip(slices.Compact(a.cuts))
	for i, c := range a.cuts {
		if c == 0 {
			a.cuts[i] = 0 // -0 goes where 0 goes, but has a lower key
		}
	}
	finite := a.cuts[:len(a.cuts)-1]
	if len(finite) > 0 && math.IsInf(finite[0], -1) {
		finite = finite[1:]
	}
	most := len(a.cuts)
	if n := len(finite); n > 0 {
		a.low = finite[0]
		a.scale = (buckets - 1) / (finite[n-1] - a.low)
	}
	if a.scale > 0 && !math.IsInf(a.scale, 1) {
		most = 0
		var count [buckets]int
		for _, c := range a.cuts {
			b := a.bucket(c)
			count[b]++
			most = max(most, count[b])
		}
		sum := 0
		for b := range count {
			a.start[b] = uint32(sum)
			sum += count[b]
		}
	}
	a.step = max(2, 1<<(bits.Len(uint(most))-1))
	a.keys = make([]uint64, len(a.cuts)+2*a.step)
	for i := range a.keys {
		a.keys[i] = math.MaxUint64
		if i < len(a.cuts) {
			a.keys[i] = key(a.cuts[i])
		}
	}
}

// key maps numbers to integers in the same order, -0 just below 0, and NaN above
// them all.
func key(v float64) uint64 {
	b := math.Float64bits(v)
	b ^= uint64(int64(b)>>63) | 1<<63 // ascending, from -NaN over -Inf and +Inf to +NaN
	return b - 0x000fffffffffffff     // -Inf is 0, and -NaN wraps around
}

// at returns a value that is in interval i.
func (a *axis) at(i int) float64 {
	if i < len(a.cuts) {
		return a.cuts[i]
	}
	return math.NaN()
}

// wrapped returns the value up to 256 that categorical splits with Wrap send
// where they send v.
func wrapped(v float64) float64 {
	if v >= 256 && v < 1<<31 {
		return float64(int32(v) & 0xff)
	}
	return v
}

// axes cuts the axes of all features that some splits are on, in the features'
// order. It returns nil if there are no splits, or too many features or cuts: the
// room that they take is bounded by a few times that of the nodes.
func (f *Forest) axes(splits []int32) []axis {
	room := 1<<18 + 4*len(f.nodes)
	of := make(map[int]int) // position in axes by feature
	var axes []axis
	for _, i := range splits {
		if axes, room = f.cut(axes, of, &f.nodes[i], room); room < 0 || len(axes) > maxAxes {
			return nil
		}
	}
	for j := range axes {
		if axes[j].index(); len(axes[j].cuts) > maxCuts {
			return nil
		}
	}
	slices.SortFunc(axes, func(a, b axis) int { return a.feature - b.feature })
	return axes
}

// cut cuts the axis of n's feature where n does, and returns the room left, which
// is negative if there is none or the axis cannot be cut.
func (f *Forest) cut(axes []axis, of map[int]int, n *node, room int) ([]axis, int) {
	feature := int(n.meta & featureMask)
	wrap := n.meta&flagCategories != 0 && f.categories[int(n.threshold)].Wrap
	j, ok := of[feature]
	if !ok {
		j = len(axes)
		of[feature] = j
		axes = append(axes, axis{feature: feature, wrap: wrap})
	}
	a := &axes[j]
	if a.wrap != wrap {
		return axes, -1 // would need two axes
	}
	before := len(a.cuts)
	switch {
	case n.meta&flagCategories != 0:
		c := &f.categories[int(n.threshold)]
		if wrap && c.Round32 {
			return axes, -1 // nor do readers make them
		}
		a.cuts = c.cuts(a.cuts, room)
	case n.meta&flagZeroMissing != 0:
		a.cuts = append(a.cuts, n.threshold, math.Nextafter(-ZeroBound, -1), ZeroBound)
	default:
		a.cuts = append(a.cuts, n.threshold)
	}
	return axes, room - (len(a.cuts) - before)
}

// cuts appends the values up to which c sends some values to one side and above
// which to another. It gives up after room more.
func (c *Categories) cuts(cuts []float64, room int) []float64 {
	most := len(cuts) + room
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
