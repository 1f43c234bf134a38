package basket

import (
	"math/bits"
	"math/rand/v2"
)

// A regularSet is a set of pairs of user and variant: a hash table with open
// addressing, in flat arrays without pointers. Most items of orders are no
// regulars of the user; a 16-bit fingerprint rejects them, in an array an eighth of
// the size, more of which fits into the first caches.
type regularSet struct {
	fingerprints []uint16  // by slot: part of the pair's hash, never 0; 0 of an empty slot
	slots        []regular // a power of two long
	n            int
	seed         uint64
}

// A regular is a pair of a regularSet.
type regular struct {
	variant int64
	user    int32
	order   uint32 // the last order that counted this regular, from one
}

func newRegularSet() *regularSet { return &regularSet{seed: rand.Uint64()} }

// slot returns the index of the pair's slot, or of the empty slot where it
// belongs, and the pair's fingerprint.
func (s *regularSet) slot(user int32, variant int64) (index uint64, fingerprint uint16) {
	hi, lo := bits.Mul64(uint64(variant)^s.seed, 0x9e3779b97f4a7c15^uint64(user)<<1)
	hash := hi ^ lo
	fingerprint, mask := uint16(hash>>48)|1, uint64(len(s.fingerprints)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch s.fingerprints[i] {
		case 0:
			return i, fingerprint
		case fingerprint:
			if r := &s.slots[i]; r.user == user && r.variant == variant {
				return i, fingerprint
			}
		}
	}
}

// find returns the set's copy of a pair, or nil.
func (s *regularSet) find(user int32, variant int64) *regular {
	if s.n == 0 {
		return nil
	}
	if i, _ := s.slot(user, variant); s.fingerprints[i] != 0 {
		return &s.slots[i]
	}
	return nil
}

// add adds a pair, and reports whether it is new.
func (s *regularSet) add(user int32, variant int64) bool {
	if 2*s.n >= len(s.slots) {
		old := *s
		s.fingerprints = make([]uint16, max(1024, 2*len(old.slots)))
		s.slots = make([]regular, len(s.fingerprints))
		for i, r := range old.slots {
			if old.fingerprints[i] != 0 {
				s.insert(r)
			}
		}
	}
	if s.find(user, variant) != nil {
		return false
	}
	s.insert(regular{variant: variant, user: user})
	s.n++
	return true
}

// insert adds a pair that the set does not contain.
func (s *regularSet) insert(r regular) {
	i, fingerprint := s.slot(r.user, r.variant)
	s.fingerprints[i], s.slots[i] = fingerprint, r
}
