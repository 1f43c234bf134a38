package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// Orders is the orders of all users, with their values. It keeps 16 bytes per
// order. It is not safe for concurrent use.
type Orders struct {
	meanPrice float64
	users     map[string]uint32
	all       []order
	starts    []int // of each user's orders in all, and the end; nil until sorted
}

// maxPrice is far above any price, and such that sums of squares are finite.
const maxPrice = 1e90

// An order is what a prediction is held against.
type order struct {
	at    int64 // event time, Unix microseconds
	user  uint32
	items int32
}

// NewOrders returns an empty Orders. MeanItemPrice is that of rule 1 of
// [basket.Materializer].
func NewOrders(meanItemPrice float64) (*Orders, error) {
	if !(math.Abs(meanItemPrice) <= maxPrice) {
		return nil, fmt.Errorf("the mean item price is %v: want at most %v", meanItemPrice, float64(maxPrice))
	}
	return &Orders{meanPrice: meanItemPrice, users: map[string]uint32{}}, nil
}

// Add adds an order, in any order of arrival. It keeps neither its Items nor its
// UserID.
func (o *Orders) Add(added basket.Order) error {
	if len(added.Items) > math.MaxInt32 {
		return fmt.Errorf("user %.64q has an order of %d items: want at most %d", added.UserID, len(added.Items), math.MaxInt32)
	}
	user, ok := o.users[added.UserID]
	if !ok {
		if uint64(len(o.users)) == math.MaxUint32 {
			return errors.New("orders have too many users: want fewer than 2^32")
		}
		user = uint32(len(o.users))
		o.users[strings.Clone(added.UserID)] = user
	}
	o.all, o.starts = append(o.all, order{micros(added.OrderedAt), user, int32(len(added.Items))}), nil
	return nil
}

// of returns the orders of a user by event time; those of equal time stay in the
// order of arrival.
func (o *Orders) of(userID string) []order {
	if o.starts == nil {
		o.sort()
	}
	user, ok := o.users[userID]
	if !ok {
		return nil
	}
	return o.all[o.starts[user]:o.starts[user+1]:o.starts[user+1]]
}

func (o *Orders) sort() {
	slices.SortStableFunc(o.all, func(a, b order) int {
		return cmp.Or(cmp.Compare(a.user, b.user), cmp.Compare(a.at, b.at))
	})
	o.starts = make([]int, len(o.users)+1)
	for i, a := range o.all {
		o.starts[a.user+1] = i + 1
	}
}

// value is the order's basket value, by rule 3 of [basket.Materializer].
func (o *Orders) value(a order) float64 { return float64(a.items) * o.meanPrice }

// next returns the index of the first order after a time, which is len(orders) if
// there is none.
func next(orders []order, at int64) int {
	return sort.Search(len(orders), func(i int) bool { return orders[i].at > at })
}

// micros is the unit in which times of predictions and orders are compared. A
// prediction and an order of the same microsecond have no order: the prediction
// is not before it. Nanoseconds would not hold every time of a parquet file.
func micros(t time.Time) int64 { return t.UnixMicro() }
