package xgboost

import (
	"slices"

	"github.com/basket-go/basket/internal/forest"
)

// categories returns the rule of a split that sends the categories right to the
// right and all others to the left. Numbers that are no category, below zero or from
// 2^24 on, go left too, except in versions 1.6.0 to 1.7.2. There they go in the
// missing direction, and so do categories beyond the last word of XGBoost's bit set.
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
	// A bit set is the fastest to look up, but one category with a large number
	// makes it two megabytes large, as it does in XGBoost. Above some four times the
	// size of the list, the list is kept.
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
