package basket

import "time"

// An Order is one purchase by one user.
type Order struct {
	UserID    string    // entity key
	CreatedAt time.Time // event time
	Items     []int64   // variant IDs, one per unit bought; repeats count
}

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
