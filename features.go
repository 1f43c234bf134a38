package basket

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"
)

// A Row is a feature row: what is known of one user just after one order.
type Row struct {
	UserID    string
	OrderedAt time.Time // event time of the order, in UTC
	Number    int       // which of the user's feature rows it is, from one, by event time
	Values    []float64 // by feature name; NaN is missing; shared, not to be modified
}

// FeatureNames returns the names of the values that a [Materializer]
// computes, in their order. The caller owns the slice.
func FeatureNames() []string {
	return []string{"prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"}
}

// A Meaning says which order a feature row describes. It is an option of
// [NewMaterializer].
type Meaning int

const (
	// LastOrder rows describe an order that has happened and the order before it,
	// as the Python service that basket replaces computes them. A user needs two
	// orders to have a row. It is the default.
	LastOrder Meaning = iota

	// NextOrder rows describe the order that has not happened yet: the prior
	// values are those of the order just made, and regulars_count is the number of
	// the user's regulars. A user needs one order to have a row.
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

func (m Meaning) apply(mat *Materializer) { mat.meaning = m }

// A Materializer computes feature rows from orders. It keeps a few dozen bytes
// per order, not the order itself. It is not safe for concurrent use.
//
// The rules, with sums in the order in which pandas and numpy add, so that every
// bit of a value equals that of the Python service:
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
//     one; orders of equal time share the mean of their ranks, truncated to an
//     integer.
//  5. LastOrder: each order is joined with every order of the same user whose
//     place is one less, in sorted order. The joined order gives
//     prior_basket_value, prior_item_count and prior_regulars_count, the order
//     itself regulars_count. Without a join there is no row: orders of equal time
//     can leave gaps. NextOrder: each order gives one row, with its own values as
//     the prior ones and the number of the user's distinct regulars as
//     regulars_count.
//  6. Rows come in the sorted order of their orders; Row.Number counts the user's
//     rows so far.
type Materializer struct {
	meaning   Meaning
	meanPrice float64
	users     map[string]int32 // user ID to user number
	ids       []string         // user number to user ID
	regulars  *regularSet
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

// NewMaterializer starts from the users' regulars and the inventory, which it
// reads first. Repeated regulars count once. An inventory without a known price,
// or with an infinite one, is an error that wraps ErrData; an error of a sequence
// is returned as it is.
func NewMaterializer(regulars iter.Seq2[Regular, error], inventory iter.Seq2[Item, error], opts ...MaterializerOption) (*Materializer, error) {
	m := &Materializer{users: map[string]int32{}, regulars: newRegularSet()}
	for _, o := range opts {
		o.apply(m)
	}
	if m.meaning != LastOrder && m.meaning != NextOrder {
		return nil, fmt.Errorf("basket: %w: %v: want LastOrder or NextOrder", ErrInvalidConfig, m.meaning)
	}
	var err error
	if m.meanPrice, err = meanItemPrice(inventory); err != nil {
		return nil, err
	}
	for r, err := range regulars {
		if err != nil {
			return nil, err
		}
		if r.VariantID == NoVariant {
			return nil, fmt.Errorf("basket: %w: regulars: user %.64q has the variant ID %d, which stands for an unknown variant", ErrData, r.UserID, NoVariant)
		}
		u, err := m.intern(r.UserID)
		if err != nil {
			return nil, err
		}
		if m.regulars.add(u, r.VariantID) {
			m.owned[u]++
		}
	}
	return m, nil
}

// meanItemPrice is rule 1.
func meanItemPrice(inventory iter.Seq2[Item, error]) (float64, error) {
	var prices []float64
	known := 0
	for item, err := range inventory {
		switch {
		case err != nil:
			return 0, err
		case math.IsInf(item.Price, 0):
			return 0, fmt.Errorf("basket: %w: inventory: variant %d has the price %v: want a finite one, or none", ErrData, item.VariantID, item.Price)
		case math.IsNaN(item.Price):
			prices = append(prices, 0)
		default:
			prices = append(prices, item.Price)
			known++
		}
	}
	if known == 0 {
		return 0, fmt.Errorf("basket: %w: inventory: none of its %d lines has a price, so no basket has a value: want at least one", ErrData, len(prices))
	}
	return pairwiseSum(prices) / float64(known), nil
}

// intern returns the number of a user, a new one for a new user.
func (m *Materializer) intern(userID string) (int32, error) {
	if u, ok := m.users[userID]; ok {
		return u, nil
	}
	if len(m.ids) == math.MaxInt32 {
		return 0, fmt.Errorf("basket: %w: more than %d users", ErrData, math.MaxInt32)
	}
	u := int32(len(m.ids))
	userID = strings.Clone(userID) // the caller's may be part of a large buffer
	m.users[userID] = u
	m.ids = append(m.ids, userID)
	m.owned = append(m.owned, 0)
	return u, nil
}

// Add adds one order, in any order of arrival. It does not keep o.Items.
func (m *Materializer) Add(o Order) error {
	u, err := m.intern(o.UserID)
	if err != nil {
		return err
	}
	if len(m.facts) == math.MaxInt32 || len(o.Items) > math.MaxInt32 {
		return fmt.Errorf("basket: %w: more than %d orders, or items in one order", ErrData, math.MaxInt32)
	}
	// Rule 3. A regular that this order has counted carries the order's number.
	order := uint32(len(m.facts)) + 1
	n := int32(0)
	if m.owned[u] > 0 {
		for _, item := range o.Items {
			if r := m.regulars.find(u, item); r != nil && r.order != order {
				r.order = order
				n++
			}
		}
	}
	m.facts = append(m.facts, orderFact{
		sec: o.OrderedAt.Unix(), nsec: int32(o.OrderedAt.Nanosecond()),
		user: u, items: int32(len(o.Items)), regulars: n,
	})
	return nil
}

// AddAll adds orders until the sequence ends or yields an error, which it
// returns as it is.
func (m *Materializer) AddAll(orders iter.Seq2[Order, error]) error {
	for o, err := range orders {
		if err != nil {
			return err
		}
		if err := m.Add(o); err != nil {
			return err
		}
	}
	return nil
}

// Rows yields every feature row, by user ID and then event time. The caller may
// keep the rows. If ctx is done, Rows yields ctx.Err() and ends.
func (m *Materializer) Rows(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var memory rowMemory
		if err := m.each(ctx, func(j join) bool { return yield(m.row(j, &memory), nil) }); err != nil {
			yield(Row{}, err)
		}
	}
}

// Latest yields the last row of each user that has one, by user ID. The caller
// may keep the rows. If ctx is done, Latest yields ctx.Err() and ends.
func (m *Materializer) Latest(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var memory rowMemory
		var last join
		ok := true
		err := m.each(ctx, func(j join) bool {
			if last.number > 0 && j.own.user != last.own.user {
				ok = yield(m.row(last, &memory), nil)
			}
			last = j
			return ok
		})
		switch {
		case !ok:
		case err != nil:
			yield(Row{}, err)
		case last.number > 0:
			yield(m.row(last, &memory), nil)
		}
	}
}

// A join is a feature row before its values are computed: the row's own order,
// the order before it, and the number of the row among the user's rows.
type join struct {
	own, prior orderFact
	number     int
}

// each calls yield for the rows in the order of rule 6, until it returns false.
// Its error is that of ctx.
func (m *Materializer) each(ctx context.Context, yield func(join) bool) error {
	sorted, ends, err := m.sorted(ctx)
	if err != nil {
		return err
	}
	start := int32(0)
	for i, end := range ends {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		facts := sorted[start:end]
		start = end
		if m.meaning == NextOrder {
			for i, f := range facts {
				if !yield(join{f, f, i + 1}) {
					return nil
				}
			}
			continue
		}
		// Rules 4 and 5. Orders of equal time form a group; two groups never
		// share a place, so only the previous group can have the place one less.
		number := 0
		var previous []orderFact
		previousPlace := -1
		for lo := 0; lo < len(facts); {
			hi := lo + 1
			for hi < len(facts) && facts[hi].sec == facts[lo].sec && facts[hi].nsec == facts[lo].nsec {
				hi++
			}
			group := facts[lo:hi]
			place := (lo + 1 + hi) / 2
			if place == previousPlace+1 {
				for _, own := range group {
					for _, prior := range previous {
						number++
						if !yield(join{own, prior, number}) {
							return nil
						}
					}
				}
			}
			previous, previousPlace = group, place
			lo = hi
		}
	}
	return nil
}

// sorted returns the facts in the order of rule 2 and, for each user in the
// order of IDs, where the user's facts end.
func (m *Materializer) sorted(ctx context.Context) ([]orderFact, []int32, error) {
	users := make([]int32, len(m.ids))
	for u := range users {
		users[u] = int32(u)
	}
	slices.SortFunc(users, func(a, b int32) int { return strings.Compare(m.ids[a], m.ids[b]) })

	next := make([]int32, len(m.ids)) // where the user's next fact goes
	for _, f := range m.facts {
		next[f.user]++
	}
	sum := int32(0)
	for _, u := range users {
		sum, next[u] = sum+next[u], sum
	}
	sorted := make([]orderFact, len(m.facts))
	for _, f := range m.facts {
		sorted[next[f.user]] = f
		next[f.user]++
	}
	ends := make([]int32, len(users))
	start := int32(0)
	var scratch []orderFact
	for i, u := range users {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		ends[i] = next[u]
		scratch = sortByTime(sorted[start:ends[i]], scratch)
		start = ends[i]
	}
	return sorted, ends, nil
}

// row computes the values of rule 5.
func (m *Materializer) row(j join, memory *rowMemory) Row {
	regulars := j.own.regulars
	if m.meaning == NextOrder {
		regulars = m.owned[j.own.user]
	}
	v := memory.next(4)
	v[0] = float64(j.prior.items) * m.meanPrice
	v[1] = float64(j.prior.items)
	v[2] = float64(j.prior.regulars)
	v[3] = float64(regulars)
	return Row{
		UserID:    m.ids[j.own.user],
		OrderedAt: time.Unix(j.own.sec, int64(j.own.nsec)).UTC(),
		Number:    j.number,
		Values:    v,
	}
}

// rowMemory allocates the values of many rows in one block.
type rowMemory struct{ block []float64 }

func (m *rowMemory) next(n int) []float64 {
	if len(m.block) < n {
		m.block = make([]float64, 256*n)
	}
	v := m.block[:n:n]
	m.block = m.block[n:]
	return v
}
