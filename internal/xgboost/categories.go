package xgboost

import (
	"slices"

	"github.com/basket-go/basket/internal/forest"
)

// categories makes a rule of the categories that go right; all others go left.
// What is no category, being below zero or 2^24 and above, goes left as well in
// all versions but those from 1.6.0 to 1.7.2. There it goes where what is missing
// goes, and so do categories beyond the bits that XGBoost has for those listed.
// Before 1.6 numbers between -1 and 0 are category 0 (src/common/categorical.h,
// Decision, of 1.5.2, 1.7.2 and 1.7.3).
func (d *document) categories(right []int32, missingLeft bool) *forest.Categories {
	c := &forest.Categories{RestLeft: true, NegativeLeft: true, BelowZero: true, Round32: true}
	switch {
	case d.before(1, 6, 0):
		c.BelowZero = false
	case d.before(1, 7, 3):
		c.RestLeft, c.NegativeLeft = missingLeft, missingLeft
	}
	// Bits for each category from zero on are quick to look up. XGBoost has always
	// those, two megabytes for one category if its number is large enough. Here
	// they may take some four times the room that the list takes.
	words := int(slices.Max(right))/32 + 1
	if words > 8+4*len(right) {
		c.Sparse = slices.Clone(right)
		slices.Sort(c.Sparse)
		return c
	}
	c.Left = make([]uint32, words)
	for i := range c.Left {
		c.Left[i] = ^uint32(0)
	}
	for _, i := range right {
		c.Left[i/32] &^= 1 << (i % 32)
	}
	return c
}
