package basket

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// hashFactor is a random odd number, so that nobody can choose variants of equal
// hashes (multiply-shift hashing, Dietzfelbinger et al. 1997).
var hashFactor = rand.Uint64() | 1

// A regularSet is the regulars of a user: few in a list, more in a hash table.
type regularSet struct {
	n     int
	few   []int64
	slots []int64 // open addressing, a power of two long; NoVariant is an empty slot
}

// newRegularSet returns the set of variants without repeats.
func newRegularSet(variants []int64) regularSet { return regularSet{}.reset(variants) }

// reset returns the set of variants without repeats. It keeps variants, and uses the
// memory of s, which is not to be used again.
func (s regularSet) reset(variants []int64) regularSet {
	if len(variants) <= inlineRegulars {
		return regularSet{n: len(variants), few: variants}
	}
	return regularSet{n: len(variants), slots: appendSlots(s.slots[:0], variants)}
}

// count is the second part of rule 3: the number of distinct items among the
// regulars.
func (s regularSet) count(items []int64) int32 {
	if s.slots == nil {
		n := int32(0)
		for _, v := range s.few {
			if slices.Contains(items, v) {
				n++
			}
		}
		return n
	}
	var marks [32]uint64 // a bit for each slot whose variant has been counted
	if len(s.slots) > 64*len(marks) {
		return s.countInMany(items)
	}
	n := int32(0)
	for _, item := range items {
		if i := s.find(item); s.slots[i] != NoVariant && marks[i/64]>>(i%64)&1 == 0 {
			marks[i/64] |= 1 << (i % 64)
			n++
		}
	}
	return n
}

// countInMany is count for a table that is too large to mark its slots.
func (s regularSet) countInMany(items []int64) int32 {
	var found []int64
	for _, item := range items {
		if s.slots[s.find(item)] != NoVariant {
			found = append(found, item)
		}
	}
	slices.Sort(found)
	return int32(len(slices.Compact(found)))
}

// find returns the slot of an item, or the empty slot that shows that it is not
// there.
func (s regularSet) find(item int64) uint64 {
	mask := uint64(len(s.slots) - 1)
	i := uint64(item) * hashFactor >> (64 - bits.Len64(mask))
	for s.slots[i] != item && s.slots[i] != NoVariant {
		i = (i + 1) & mask
	}
	return i
}

// slotCount returns the number of slots for n variants.
func slotCount(n int) int { return 1 << bits.Len(uint(2*n-1)) }

// appendSlots appends a table of variants.
func appendSlots(dst, variants []int64) []int64 {
	size := slotCount(len(variants))
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	s := regularSet{slots: dst[start:]}
	for i := range s.slots {
		s.slots[i] = NoVariant
	}
	for _, v := range variants {
		s.slots[s.find(v)] = v
	}
	return dst
}
