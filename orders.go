package basket

import (
	"iter"
	"math"
	"time"
)

// An Order is one purchase by one user.
type Order struct {
	UserID    string    // entity key
	OrderedAt time.Time // event time
	Items     []int64   // variant IDs, one per unit bought; repeats count
}

// NoVariant is the variant ID, in an Order, of an item whose variant is unknown.
// It counts as an item and is never a regular.
const NoVariant int64 = math.MinInt64

// A Regular says that a user buys a variant by habit.
type Regular struct {
	UserID    string
	VariantID int64
}

// An Item is one line of the inventory.
type Item struct {
	VariantID int64
	Price     float64 // in the shop's currency; NaN if unknown
}

// Values yields the elements of s with nil errors: it adapts a slice to the
// functions of this package that read a sequence with errors.
func Values[T any](s []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range s {
			if !yield(v, nil) {
				return
			}
		}
	}
}
