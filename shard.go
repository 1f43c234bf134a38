package basket

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// A shard is the users whose IDs have hashes of one range, with their regulars
// and orders, in arrays without pointers.
type shard struct {
	sync.Mutex // held by add
	userTable
	facts chunks[orderFact]
	runs  []run    // of facts, in the order of addition; after arrange, one
	ends  []uint32 // after arrange, by user: where the user's facts end
	last  []join   // after arrange, by user: the last row
}

// A run is a part of a shard's facts that arrived together. Runs of several
// goroutines are added in any order; their number says in which they arrived.
type run struct {
	arrival     uint64 // runs of a lower number arrived earlier
	start, size uint32
}

// dealRows is the number of rows of a batch that are added together: so few that
// their users' records stay in the first cache.
const dealRows = 64

// add adds those regulars or orders of a batch that are in rows. Hashes and
// addresses are those of the batch's users; unknown addresses are set.
func (s *shard) add(b *batch, rows []uint32, hashes []uint64, addresses []uint32) error {
	s.Lock()
	defer s.Unlock() // also after a panic, or other goroutines would wait for ever
	if s.facts.n > maxShard-len(rows) {
		return fmt.Errorf("basket: %w: more than %d orders of one shard", ErrData, maxShard)
	}
	for part := range slices.Chunk(rows, dealRows) {
		if err := s.find(b, hashes, part, addresses); err != nil {
			return err
		}
		if b.orders {
			s.addOrders(b, part, addresses)
			continue
		}
		for _, i := range part {
			if b.Items[i] == NoVariant {
				return fmt.Errorf("basket: %w: regulars: user %.64q has the variant ID %d, which stands for an unknown variant", ErrData, b.ID(int(i)), NoVariant)
			}
			if err := s.addRegular(addresses[i], b.Items[i]); err != nil {
				return err
			}
		}
	}
	if b.orders {
		s.runs = append(s.runs, run{arrival: b.arrival, size: uint32(len(rows))})
	}
	return nil
}

func (s *shard) addOrders(b *batch, rows, addresses []uint32) {
	s.seal()
	part := s.facts.room()
	for _, i := range rows {
		start := 0
		if i > 0 {
			start = b.Ends[i-1]
		}
		items := b.Items[start:b.Ends[i]]
		r := s.record(addresses[i])
		if len(*part) == cap(*part) {
			part = s.facts.room()
		}
		*part = append(*part, orderFact{
			sec: b.Times[i].Sec, nsec: b.Times[i].Nsec, user: uint32(r[0]),
			items: int32(len(items)), regulars: s.regulars(r).count(items),
		})
		s.facts.n++
	}
}

// arrange sorts the facts by user, and those of a user by event time and then in
// the order of arrival, and finds each user's last row, while the facts are in the
// cache. Scratch is the memory that it uses for it, which the next call may use
// again.
func (s *shard) arrange(meaning Meaning, scratch *[]orderFact) {
	s.seal()
	if len(s.runs) <= 1 && len(s.ends) == len(s.records) {
		return // nothing was added since the last call
	}
	start := uint32(0)
	for i := range s.runs {
		s.runs[i].start = start
		start += s.runs[i].size
	}
	slices.SortFunc(s.runs, func(a, b run) int { return cmp.Compare(a.arrival, b.arrival) })

	s.ends = slices.Grow(s.ends[:0], len(s.records))[:len(s.records)]
	clear(s.ends)
	for part := range s.facts.all(0, s.facts.n) {
		for i := range part {
			s.ends[part[i].user]++
		}
	}
	sum := uint32(0)
	for u, n := range s.ends {
		s.ends[u] = sum
		sum += n
	}
	if len(*scratch) < s.facts.n {
		*scratch = make([]orderFact, s.facts.n)
	}
	sorted := (*scratch)[:s.facts.n]
	for _, r := range s.runs {
		for part := range s.facts.all(int(r.start), int(r.start+r.size)) {
			for _, f := range part {
				sorted[s.ends[f.user]] = f
				s.ends[f.user]++
			}
		}
	}
	start = 0
	var merge []orderFact
	s.last = slices.Grow(s.last[:0], len(s.records))
	for _, end := range s.ends {
		merge = sortByTime(sorted[start:end], merge)
		h := History{meaning: meaning, facts: sorted[start:end]}
		s.last = append(s.last, h.last())
		start = end
	}
	for part := range s.facts.all(0, s.facts.n) {
		sorted = sorted[copy(part, sorted):]
	}
	s.runs = append(s.runs[:0], run{size: uint32(s.facts.n)})
}

// history returns the facts of a user, after arrange. Scratch is memory that it
// may use for them.
func (s *shard) history(user uint32, scratch *[]orderFact) []orderFact {
	start, end := 0, int(s.ends[user])
	if user > 0 {
		start = int(s.ends[user-1])
	}
	*scratch = (*scratch)[:0]
	for part := range s.facts.all(start, end) {
		if len(part) == end-start {
			return part
		}
		*scratch = append(*scratch, part...)
	}
	return *scratch
}

// load reads parts of what the last row of a user needs, so that those are in the
// cache.
func (s *shard) load(user uint32) int64 {
	loaded := int64(0)
	record := s.record(s.records[user])
	for k := 0; k < min(len(record), 4*lineWords); k += lineWords {
		loaded |= record[k]
	}
	if j := s.last[user]; j.number > 0 {
		start := uint32(0)
		if user > 0 {
			start = s.ends[user-1]
		}
		for _, i := range []uint32{start + j.own, start + j.prior} {
			loaded |= int64(s.facts.parts[i/chunk][i%chunk].items)
		}
	}
	return loaded
}

// chunks is a list that grows without being copied: in parts of chunk values, of
// which only the last may be shorter.
type chunks[T any] struct {
	parts [][]T
	n     int
}

const chunk = 1024

// room returns the last part, which has room for a value.
func (c *chunks[T]) room() *[]T {
	last := len(c.parts) - 1
	switch {
	case last < 0 || len(c.parts[last]) == chunk:
		size := chunk
		if last < 0 {
			size = 16
		}
		c.parts = append(c.parts, make([]T, 0, size))
		last++
	case len(c.parts[last]) == cap(c.parts[last]): // of the first part
		c.parts[last] = append(make([]T, 0, min(4*cap(c.parts[last]), chunk)), c.parts[last]...)
	}
	return &c.parts[last]
}

func (c *chunks[T]) append(v T) {
	part := c.room()
	*part = append(*part, v)
	c.n++
}

// all yields the values from lo to hi, in the parts in which they are stored.
func (c *chunks[T]) all(lo, hi int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for lo < hi {
			part := c.parts[lo/chunk][lo%chunk:]
			part = part[:min(len(part), hi-lo)]
			if !yield(part) {
				return
			}
			lo += len(part)
		}
	}
}
