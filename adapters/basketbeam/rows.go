package basketbeam

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/basket-go/basket"
)

// A userKey is a user ID, with a coder of its own.
type userKey struct{ id string }

// A fact is an order or a regular of a user. Both have one type, so that they meet in
// a GroupByKey: a CoGroupByKey, whose DoFn has a side input, does not run on Flink.
type fact struct {
	order   Order
	regular int64
	kind    factKind
}

type factKind int

const (
	orderKind factKind = iota
	regularKind
)

func init() {
	register.DoFn3x0[string, Order, func(userKey, fact)](&orderFactFn{})
	register.DoFn3x0[string, int64, func(userKey, fact)](&regularFactFn{})
	register.DoFn4x1[userKey, func(*fact) bool, float64, func(basket.Row), error](&rowsFn{})
	register.Emitter2[userKey, fact]()
	register.Emitter1[basket.Row]()
	register.Iter1[fact]()
}

// Rows computes the feature rows of all users: [basket.Row], as Materializer.Rows has
// them, in any order.
func Rows(s beam.Scope, t Tables, m basket.Meaning) beam.PCollection {
	return rows(s.Scope("basketbeam.Rows"), t, rowsFn{Meaning: m})
}

// Latest computes the last feature row of each user that has one: [basket.Row], as
// Materializer.Latest has them, in any order.
func Latest(s beam.Scope, t Tables, m basket.Meaning) beam.PCollection {
	return rows(s.Scope("basketbeam.Latest"), t, rowsFn{Meaning: m, Latest: true})
}

func rows(s beam.Scope, t Tables, fn rowsFn) beam.PCollection {
	if fn.Meaning != basket.LastOrder && fn.Meaning != basket.NextOrder {
		panic(fmt.Sprintf("basketbeam: meaning %v: want basket.LastOrder or basket.NextOrder", fn.Meaning))
	}
	facts := beam.Flatten(s, beam.ParDo(s, &orderFactFn{}, t.Orders), beam.ParDo(s, &regularFactFn{}, t.Regulars))
	return beam.ParDo(s, &fn, beam.GroupByKey(s, facts), beam.SideInput{Input: t.MeanItemPrice})
}

type orderFactFn struct{}

func (*orderFactFn) ProcessElement(userID string, o Order, emit func(userKey, fact)) {
	emit(userKey{userID}, fact{order: o, kind: orderKind})
}

type regularFactFn struct{}

func (*regularFactFn) ProcessElement(userID string, variantID int64, emit func(userKey, fact)) {
	emit(userKey{userID}, fact{regular: variantID, kind: regularKind})
}

type rowsFn struct {
	Meaning basket.Meaning
	Latest  bool
}

// ProcessElement computes the rows of one user.
func (fn *rowsFn) ProcessElement(user userKey, facts func(*fact) bool, meanItemPrice float64, emit func(basket.Row)) error {
	var orders []Order
	var regulars []int64
	for f := new(fact); facts(f); {
		if f.kind == regularKind {
			regulars = append(regulars, f.regular)
		} else {
			orders = append(orders, f.order)
		}
	}
	slices.SortFunc(orders, func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Row, b.Row))
	})
	h := basket.NewHistory(user.id, regulars, meanItemPrice, fn.Meaning)
	arrived := make([]basket.Order, len(orders))
	for i, o := range orders {
		arrived[i] = o.Order
	}
	if err := h.Add(arrived...); err != nil {
		return err
	}
	if fn.Latest {
		if row, ok := h.Latest(); ok {
			emit(row)
		}
		return nil
	}
	for row := range h.Rows() {
		emit(row)
	}
	return nil
}
