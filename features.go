package basket

import (
	"fmt"
	"iter"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A Row is a feature row: what is known of one user just after one order.
type Row struct {
	UserID    string
	OrderedAt time.Time // event time of the order, in UTC
	Orders    int       // feature rows the user has, this one included
	Values    []float64 // by feature name; NaN is missing; shared, not to be modified
}

// FeatureNames returns the names of the values that a [Materializer]
// computes, in their order. The caller owns the slice.
func FeatureNames() []string {
	return []string{"prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"}
}

// A Meaning says which order a feature row describes.
type Meaning int

const (
	// LastOrder rows describe an order that has happened together with the one
	// before it, as the Python service that basket replaces computes them. A user
	// needs two orders to have a row.
	LastOrder Meaning = iota

	// NextOrder rows describe the order that has not happened yet: the prior
	// values are those of the order just made, and regulars_count is how many
	// regulars the user has in all. A user needs one order to have a row.
	NextOrder
)

// String returns "last-order" or "next-order".
func (m Meaning) String() string {
	switch m {
	case LastOrder:
		return "last-order"
	case NextOrder:
		return "next-order"
	}
	return fmt.Sprintf("Meaning(%d)", int(m))
}

// A Materializer computes feature rows from orders. It keeps a few dozen bytes
// an order, not the order. It is not safe for concurrent use.
//
// The rules, with the sums in the order in which pandas and numpy do them, so
// that every bit of a value equals that of the Python service:
//
//  1. The mean item price is the sum of the inventory's prices, unknown ones
//     counted as zero, by numpy's pairwise summation, divided by the number of
//     known ones.
//  2. Orders are sorted by user ID and event time; orders of equal time stay in
//     the order of arrival.
//  3. An order's item count is the length of its Items, repeats counted. Its
//     regulars count is the number of distinct items among the user's regulars.
//     Its basket value is the item count times the mean item price.
//  4. An order's place is its rank by event time among the user's orders, from
//     one; orders of equal time share the mean of their ranks, cut to an integer.
//  5. LastOrder: each order is joined with every order of the same user whose
//     place is one less, in sorted order. The joined order gives
//     prior_basket_value, prior_item_count and prior_regulars_count, the order
//     itself regulars_count. No join, no row: orders of equal time can leave gaps.
//     NextOrder: each order gives one row, with its own values as the prior ones
//     and the number of the user's distinct regulars as regulars_count.
//  6. Rows come in the sorted order of their orders; Row.Orders counts the
//     user's rows so far.
type Materializer struct {
	meaning   Meaning
	meanPrice float64
	users     map[string]int32 // user ID to user number
	ids       []string         // user number to user ID
	regulars  regularSet
	owned     []int32 // user number to number of distinct regulars
	facts     []orderFact
}

// An orderFact is what rules 2 to 5 need of an order.
type orderFact struct {
	sec      int64 // event time, Unix seconds
	nsec     int32 // and nanoseconds
	user     int32
	items    int32
	regulars int32
}

// NewMaterializer starts from the users' regulars and the inventory; m chooses
// LastOrder or NextOrder rows. Repeated regulars count once. An inventory
// without a single known price, or with an infinite one, is an error that
// wraps ErrData.
func NewMaterializer(regulars iter.Seq[Regular], inventory iter.Seq[Item], m Meaning) (*Materializer, error) {
	if m != LastOrder && m != NextOrder {
		return nil, fmt.Errorf("basket: meaning %v: want LastOrder or NextOrder", m)
	}
	mean, err := meanItemPrice(inventory)
	if err != nil {
		return nil, err
	}
	mat := &Materializer{meaning: m, meanPrice: mean, users: map[string]int32{}}
	mat.regulars.seed = rand.Uint64()
	for r := range regulars {
		u, err := mat.intern(r.UserID)
		if err != nil {
			return nil, err
		}
		if mat.regulars.add(u, r.VariantID) {
			mat.owned[u]++
		}
	}
	return mat, nil
}

// Add takes one order, in any order of arrival. It keeps neither o.Items nor,
// of a user that it knows, o.UserID.
func (m *Materializer) Add(o Order) error {
	u, err := m.intern(o.UserID)
	if err != nil {
		return err
	}
	if len(m.facts) == math.MaxInt32 || len(o.Items) > math.MaxInt32 {
		return fmt.Errorf("basket: %w: more than %d orders, or items in one order", ErrData, math.MaxInt32)
	}
	// Rule 3: a regular that this order has counted carries the order's number.
	stamp := uint32(len(m.facts)) + 1
	n := int32(0)
	if m.owned[u] > 0 {
		for _, item := range o.Items {
			if s := m.regulars.find(u, item); s != nil && s.stamp != stamp {
				s.stamp = stamp
				n++
			}
		}
	}
	m.facts = append(m.facts, orderFact{
		sec: o.CreatedAt.Unix(), nsec: int32(o.CreatedAt.Nanosecond()),
		user: u, items: int32(len(o.Items)), regulars: n,
	})
	return nil
}

// Rows yields every feature row, by user ID and then event time. The values of
// a row that the caller keeps stay as they are.
func (m *Materializer) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var mem rowMemory
		m.each(func(f joined) bool { return yield(m.row(f, &mem)) })
	}
}

// Latest yields the last row of each user that has one, by user ID.
func (m *Materializer) Latest() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var mem rowMemory
		var last joined
		ok := true
		m.each(func(f joined) bool {
			if last.nth > 0 && f.own.user != last.own.user {
				ok = yield(m.row(last, &mem))
			}
			last = f
			return ok
		})
		if ok && last.nth > 0 {
			yield(m.row(last, &mem))
		}
	}
}

// joined is a feature row before it has values: the row's own order, the order
// before it, and the number of the row among the user's rows, from one.
type joined struct {
	own, prior orderFact
	nth        int
}

// each walks the rows in the order of rule 6.
func (m *Materializer) each(yield func(joined) bool) {
	sorted, ends := m.sorted()
	start := int32(0)
	for _, end := range ends {
		facts := sorted[start:end]
		start = end
		if m.meaning == NextOrder {
			for i, f := range facts {
				if !yield(joined{f, f, i + 1}) {
					return
				}
			}
			continue
		}
		// Rules 4 and 5. Orders of equal time form a group; two groups never
		// share a place, so only the group just before can be one place less.
		nth := 0
		var before []orderFact
		beforePlace := -1
		for lo := 0; lo < len(facts); {
			hi := lo + 1
			for hi < len(facts) && facts[hi].sec == facts[lo].sec && facts[hi].nsec == facts[lo].nsec {
				hi++
			}
			group := facts[lo:hi]
			place := (lo + 1 + hi) / 2
			if place == beforePlace+1 {
				for _, own := range group {
					for _, prior := range before {
						nth++
						if !yield(joined{own, prior, nth}) {
							return
						}
					}
				}
			}
			before, beforePlace = group, place
			lo = hi
		}
	}
}

// sorted returns the facts in the order of rule 2 and, for each user in the
// order of IDs, where the user's facts end.
func (m *Materializer) sorted() ([]orderFact, []int32) {
	order := make([]int32, len(m.ids))
	for u := range order {
		order[u] = int32(u)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(m.ids[a], m.ids[b]) })

	next := make([]int32, len(m.ids)) // where the user's next fact goes
	for _, f := range m.facts {
		next[f.user]++
	}
	sum := int32(0)
	for _, u := range order {
		sum, next[u] = sum+next[u], sum
	}
	sorted := make([]orderFact, len(m.facts))
	for _, f := range m.facts {
		sorted[next[f.user]] = f
		next[f.user]++
	}
	ends := make([]int32, len(order))
	start := int32(0)
	var room []orderFact
	for i, u := range order {
		ends[i] = next[u]
		room = sortByTime(sorted[start:ends[i]], room)
		start = ends[i]
	}
	return sorted, ends
}

// before reports whether the event of f comes before that of g.
func (f *orderFact) before(g *orderFact) bool {
	return f.sec < g.sec || f.sec == g.sec && f.nsec < g.nsec
}

// sortByTime sorts by event time and leaves facts of equal time in their order: a
// merge sort, which is twice as fast as the standard library's stable sort, for it
// takes room for as many facts, which it returns for the next call.
func sortByTime(facts, room []orderFact) []orderFact {
	const run = 8
	sorted := true
	for start := 0; start < len(facts); start += run {
		part := facts[start:min(start+run, len(facts))]
		for i := 1; i < len(part); i++ {
			for k := i; k > 0 && part[k].before(&part[k-1]); k-- {
				part[k], part[k-1] = part[k-1], part[k]
			}
		}
		sorted = sorted && (start == 0 || !part[0].before(&facts[start-1]))
	}
	if sorted {
		return room
	}
	if len(room) < len(facts) {
		room = make([]orderFact, 2*len(facts))
	}
	from, to := facts, room[:len(facts)]
	for width := run; width < len(facts); width *= 2 {
		for start := 0; start < len(facts); start += 2 * width {
			middle, end := min(start+width, len(facts)), min(start+2*width, len(facts))
			a, b, out := from[start:middle], from[middle:end], to[start:end]
			for len(a) > 0 && len(b) > 0 {
				if b[0].before(&a[0]) {
					out[0], b = b[0], b[1:]
				} else {
					out[0], a = a[0], a[1:]
				}
				out = out[1:]
			}
			copy(out[copy(out, a):], b)
		}
		from, to = to, from
	}
	if &from[0] != &facts[0] {
		copy(facts, from)
	}
	return room
}

func (m *Materializer) row(f joined, mem *rowMemory) Row {
	own := f.own.regulars
	if m.meaning == NextOrder {
		own = m.owned[f.own.user]
	}
	v := mem.next(4)
	v[0] = float64(f.prior.items) * m.meanPrice
	v[1] = float64(f.prior.items)
	v[2] = float64(f.prior.regulars)
	v[3] = float64(own)
	return Row{
		UserID:    m.ids[f.own.user],
		OrderedAt: time.Unix(f.own.sec, int64(f.own.nsec)).UTC(),
		Orders:    f.nth,
		Values:    v,
	}
}

// rowMemory hands out the rows' values from blocks, so that a table of rows is
// not as many small allocations.
type rowMemory struct{ block []float64 }

func (m *rowMemory) next(n int) []float64 {
	if len(m.block) < n {
		m.block = make([]float64, 256*n)
	}
	v := m.block[:n:n]
	m.block = m.block[n:]
	return v
}

func (m *Materializer) intern(userID string) (int32, error) {
	if u, ok := m.users[userID]; ok {
		return u, nil
	}
	if len(m.ids) == math.MaxInt32 {
		return 0, fmt.Errorf("basket: %w: more than %d users", ErrData, math.MaxInt32)
	}
	u := int32(len(m.ids))
	userID = strings.Clone(userID) // the caller's may be a piece of a page
	m.users[userID] = u
	m.ids = append(m.ids, userID)
	m.owned = append(m.owned, 0)
	return u, nil
}

// meanItemPrice is rule 1.
func meanItemPrice(inventory iter.Seq[Item]) (float64, error) {
	var prices []float64
	known := 0
	for item := range inventory {
		switch {
		case math.IsInf(item.Price, 0):
			return 0, fmt.Errorf("basket: %w: inventory: variant %d has the price %v; want a finite one, or none", ErrData, item.VariantID, item.Price)
		case math.IsNaN(item.Price):
			prices = append(prices, 0)
		default:
			prices = append(prices, item.Price)
			known++
		}
	}
	if known == 0 {
		return 0, fmt.Errorf("basket: %w: inventory: none of its %d lines has a price, so no basket has a value; want at least one", ErrData, len(prices))
	}
	return pairwiseSum(prices) / float64(known), nil
}

// pairwiseSum adds as numpy does: numpy/_core/src/umath/loops_utils.h.src,
// pairwise_sum. The last bits depend on it.
func pairwiseSum(a []float64) float64 {
	n := len(a)
	switch {
	case n < 8:
		s := math.Copysign(0, -1)
		for _, x := range a {
			s += x
		}
		return s
	case n <= 128:
		var r [8]float64
		copy(r[:], a)
		i := 8
		for ; i < n-n%8; i += 8 {
			for j := range r {
				r[j] += a[i+j]
			}
		}
		s := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
		for ; i < n; i++ {
			s += a[i]
		}
		return s
	}
	half := n / 2
	half -= half % 8
	return pairwiseSum(a[:half]) + pairwiseSum(a[half:])
}

// A regularSet is a set of pairs of user and variant: one flat table with open
// addressing, so that the garbage collector has nothing to walk. Most items are
// nobody's regular, and for these the prints tell so: an eighth of the memory, which
// stays in a cache that is near.
type regularSet struct {
	prints []uint16      // by slot: some bits of the pair's hash; 0 of an empty slot
	slots  []regularSlot // a power of two long
	n      int
	seed   uint64
}

type regularSlot struct {
	variant int64
	user    int32
	stamp   uint32 // the last order that counted this regular, from one
}

// slot returns the number of the pair's slot, and its print: if the set does not
// have the pair, of the empty slot where it would go.
func (s *regularSet) slot(user int32, variant int64) (uint64, uint16) {
	hi, lo := bits.Mul64(uint64(variant)^s.seed, 0x9e3779b97f4a7c15^uint64(user)<<1)
	hash := hi ^ lo
	print, mask := uint16(hash>>48)|1, uint64(len(s.prints)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch s.prints[i] {
		case 0:
			return i, print
		case print:
			if p := &s.slots[i]; p.user == user && p.variant == variant {
				return i, print
			}
		}
	}
}

// find returns the slot of a pair, or nil.
func (s *regularSet) find(user int32, variant int64) *regularSlot {
	if s.n == 0 {
		return nil
	}
	if i, _ := s.slot(user, variant); s.prints[i] != 0 {
		return &s.slots[i]
	}
	return nil
}

// add reports whether the pair is new.
func (s *regularSet) add(user int32, variant int64) bool {
	if 2*s.n >= len(s.slots) {
		old := *s
		s.prints = make([]uint16, max(1024, 2*len(old.slots)))
		s.slots = make([]regularSlot, len(s.prints))
		for i, p := range old.slots {
			if old.prints[i] != 0 {
				s.put(p)
			}
		}
	}
	if s.find(user, variant) != nil {
		return false
	}
	s.put(regularSlot{variant: variant, user: user})
	s.n++
	return true
}

// put adds a pair that the set does not have.
func (s *regularSet) put(p regularSlot) {
	i, print := s.slot(p.user, p.variant)
	s.prints[i], s.slots[i] = print, p
}
