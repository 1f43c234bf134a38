// Package drift tells whether the rows that a service predicts still look like the
// rows that were there when its model was made.
//
// A [Profile] is the reference: for each feature and for the prediction, the counts of
// rows in bins, and some figures. [NewProfile] makes it of rows and a model, and it is
// kept in a file beside the model. A [Monitor] is a basket.ModelLogger that counts what
// is served into the same bins, by route, in windows of time. Its [Report] compares
// each window with the reference:
//
//	psi          population stability index: the sum over the bins of (r-c)*ln(r/c),
//	             where r and c are the shares of reference and window. The rows
//	             without a value are one more bin, and for a feature that was
//	             constant the other values are two. A share of zero is replaced as
//	             Evidently 0.7.23 does: by 0.0001, or, if the least other share is at
//	             most that, by a millionth of the least share.
//	js_distance  Jensen-Shannon distance with logarithms of base 2, from 0 to 1: the
//	             root of the mean of the divergences of both from their mean.
//	ks           Kolmogorov-Smirnov statistic on the bins: the largest difference of
//	             the cumulative shares.
//	wasserstein  the sum over the bins of the difference of the cumulative shares at
//	             the bin's end, times the bin's width, between the least and the
//	             largest value of the reference; plus what the values outside are
//	             away from it, per row with a value. It is divided by the reference's
//	             standard deviation, but by 0.001 at least.
//
// All but psi are of the rows that have a value. The definitions are those of Evidently
// 0.7.23 (psi, the divisor of wasserstein) and NannyML 0.13.1 (the others), for equal
// bins.
//
// # Verdict
//
// A window of few rows has a large PSI although nothing changed. Without drift, PSI
// times NM/(N+M), for N rows of the reference and M of the window, follows about the
// chi-square distribution with one degree of freedom less than there are bins. The
// threshold of a window is the set one, or the 99.9 % quantile of this distribution
// divided by NM/(N+M) if that is larger. The verdict on a feature is drift while its
// last two windows, of those that are over and have enough rows, are both above their
// thresholds. The rows are taken as independent: a service that gets the same few
// users again and again drifts from its reference by that alone.
package drift

import (
	"errors"
	"fmt"

	"github.com/basket-go/basket"
)

// maxFaults is how many faults an error names.
const maxFaults = 20

// faults collects what is wrong with an input.
type faults struct {
	kind error
	list []error
	more int
}

func (f *faults) add(format string, args ...any) {
	if len(f.list) == maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Errorf("drift: %w: "+format, append([]any{f.kind}, args...)...))
}

// err joins the faults; it is nil if there are none.
func (f *faults) err() error {
	if f.more > 0 {
		return errors.Join(append(f.list, fmt.Errorf("drift: %w: and %d more faults", f.kind, f.more))...)
	}
	return errors.Join(f.list...)
}

func invalidConfig() *faults { return &faults{kind: basket.ErrInvalidConfig} }
func badData() *faults       { return &faults{kind: basket.ErrData} }
