package basket

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"time"
)

// A History is the orders of one user, from which it computes the user's feature
// rows by rules 3 to 6 of [Materializer]. A distributed engine, which groups orders
// by user, adds all of them at once by Add. A program that follows each order inserts
// one at a time by Insert, and may store the history by AppendBinary. The rows are
// the same, and those of a Materializer.
//
// A History keeps 24 bytes per order, 32 if it is filled by Insert, not the order
// itself. It is not safe for concurrent use.
type History struct {
	userID    string
	meaning   Meaning
	meanPrice float64
	regulars  regularSet
	facts     []orderFact // by event time; those of equal time by sequence, or in the order of arrival
	sequences []int64     // of Insert, one for each fact; empty after Add
	variants  []int64     // memory of Reset
}

// NewHistory returns the history of a user without orders. Regulars are the
// user's; repeats count once. MeanItemPrice is that of rule 1: see
// [MeanItemPrice]. NewHistory copies regulars.
func NewHistory(userID string, regulars []int64, meanItemPrice float64, meaning Meaning) *History {
	h := &History{meaning: meaning, meanPrice: meanItemPrice}
	h.Reset(userID, regulars)
	return h
}

// Reset makes h the history of another user without orders, and uses its memory
// again. Rows that h has returned stay as they are. Reset copies regulars.
func (h *History) Reset(userID string, regulars []int64) {
	h.userID, h.facts, h.sequences = userID, h.facts[:0], h.sequences[:0]
	h.variants = append(h.variants[:0], regulars...)
	slices.Sort(h.variants)
	h.regulars = h.regulars.reset(slices.Compact(h.variants))
}

// Add adds orders of the user, of any event time; an order's UserID is not read.
// The order of arrival decides between orders of equal time. Add does not keep
// the orders' Items. On error it adds none of the orders. After Insert or Merge it is
// an ErrInvalidConfig.
func (h *History) Add(orders ...Order) error {
	if len(h.sequences) > 0 {
		return fmt.Errorf("basket: %w: Add to a history with sequence numbers: want Insert", ErrInvalidConfig)
	}
	n := len(h.facts)
	h.facts = slices.Grow(h.facts, len(orders))
	sorted := true
	for _, o := range orders {
		f, err := h.fact(o)
		if err != nil {
			h.facts = h.facts[:n]
			return err
		}
		sorted = sorted && (len(h.facts) == 0 || !f.before(&h.facts[len(h.facts)-1]))
		h.facts = append(h.facts, f)
	}
	if !sorted {
		sortByTime(h.facts, nil)
	}
	return nil
}

// fact returns what h keeps of an order.
func (h *History) fact(o Order) (orderFact, error) {
	if len(o.Items) > math.MaxInt32 {
		return orderFact{}, errManyItems(o)
	}
	return orderFact{
		sec: o.OrderedAt.Unix(), nsec: int32(o.OrderedAt.Nanosecond()),
		items: int32(len(o.Items)), regulars: h.regulars.count(o.Items),
	}, nil
}

// Rows yields the user's feature rows, by event time. The caller may keep them.
func (h *History) Rows() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		h.each(func(j join) bool { return yield(h.row(j, make([]float64, 4))) })
	}
}

// Latest returns the last of the user's feature rows, and whether there is one.
// The caller may keep it.
func (h *History) Latest() (Row, bool) {
	last := h.last()
	if last.number == 0 {
		return Row{}, false
	}
	return h.row(last, make([]float64, 4)), true
}

// An orderFact is what rules 2 to 5 need of an order.
type orderFact struct {
	sec      int64  // event time, Unix seconds
	nsec     int32  // and nanoseconds
	user     uint32 // of a shard; not used by a History
	items    int32
	regulars int32
}

func errManyItems(o Order) error {
	return fmt.Errorf("basket: %w: user %.64q has an order of %d items: want at most %d", ErrData, o.UserID, len(o.Items), math.MaxInt32)
}

// A join is a feature row before its values are computed: the indexes of the row's
// own order and of the order before it in facts, and the number of the row among the
// user's rows.
type join struct{ own, prior, number uint32 }

// each calls yield for the user's rows, in the order of rule 6, until it returns
// false.
func (h *History) each(yield func(join) bool) {
	facts := h.facts
	if h.meaning == NextOrder {
		for i := range facts {
			if !yield(join{uint32(i), uint32(i), uint32(i + 1)}) {
				return
			}
		}
		return
	}
	// Rules 4 and 5. Orders of equal time form a group; two groups never share a
	// place, so only the previous group can have the place one less.
	number := uint32(0)
	previous, previousPlace := 0, -1 // of the group before: its start and place
	for lo := 0; lo < len(facts); {
		hi := lo + 1
		for hi < len(facts) && facts[hi].sec == facts[lo].sec && facts[hi].nsec == facts[lo].nsec {
			hi++
		}
		place := (lo + 1 + hi) / 2
		if place == previousPlace+1 {
			for own := lo; own < hi; own++ {
				for prior := previous; prior < lo; prior++ {
					number++
					if !yield(join{uint32(own), uint32(prior), number}) {
						return
					}
				}
			}
		}
		previous, previousPlace = lo, place
		lo = hi
	}
}

// last returns the join of the user's last row; its number is 0 if there is none.
func (h *History) last() (last join) {
	h.each(func(j join) bool {
		last = j
		return true
	})
	return last
}

// row computes the values of rule 5, of which there are four, into values.
func (h *History) row(j join, values []float64) Row {
	own, prior := &h.facts[j.own], &h.facts[j.prior]
	regulars := int(own.regulars)
	if h.meaning == NextOrder {
		regulars = h.regulars.n
	}
	values[0] = float64(prior.items) * h.meanPrice
	values[1] = float64(prior.items)
	values[2] = float64(prior.regulars)
	values[3] = float64(regulars)
	return Row{
		UserID:    h.userID,
		OrderedAt: time.Unix(own.sec, int64(own.nsec)).UTC(),
		Number:    int(j.number),
		Values:    values,
	}
}
