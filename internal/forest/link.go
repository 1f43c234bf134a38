package forest

import (
	"math"

	"github.com/basket-go/basket/internal/libm"
)

// A Link turns a row's margins into its predictions.
type Link int8

// The links of a margin s. Those with 32 compute in float32, as XGBoost does.
const (
	LinkIdentity     Link = iota
	LinkSignedSquare      // sign(s)*s*s
	LinkExp               // exp(s)
	LinkSigmoid           // 1/(1+exp(-p*s)), where p is Model.Sigmoid
	LinkLog1pExp          // log(1+exp(s))
	LinkSoftmax           // exp(s), divided by its sum over all margins
	LinkExp32             // exp(s)
	LinkSigmoid32         // 1/(1+exp(-s))
	LinkSoftmax32         // exp(s), divided by its sum over all margins
	LinkArgmax            // the number of the largest margin; of equal ones, the first
	LinkPositive          // 1 if s > 0, else 0
	LinkSorted            // the margins in ascending order

	linkEnd
)

// Outputs is the number of predictions that l makes of the margins of a row.
func (l Link) Outputs(margins int) int {
	if l == LinkArgmax {
		return 1
	}
	return margins
}

// finish turns the margins of one row, in s, into its predictions, in place.
func (f *Forest) finish(s []float64) {
	if f.average > 0 {
		for k := range s {
			s[k] /= f.average
		}
	}
	f.link.Apply(s, f.sigmoid)
}

// Apply turns the margins of one row, in s, into its predictions, in place; p is
// the factor of LinkSigmoid. With LinkArgmax only s[0] is a prediction. The margins
// of links with 32 must be float32 values.
func (l Link) Apply(s []float64, p float64) {
	switch l {
	case LinkIdentity:
	case LinkSignedSquare:
		for k, x := range s {
			s[k] = math.Copysign(x*x, x)
			if x == 0 || x != x { // sign(s) is 0 for 0 and -0; NaN remains NaN
				s[k] = float64(x * x)
			}
		}
	case LinkExp:
		for k, x := range s {
			s[k] = libm.Exp(x)
		}
	case LinkSigmoid:
		for k, x := range s {
			s[k] = 1 / (1 + libm.Exp(-p*x))
		}
	case LinkLog1pExp:
		for k, x := range s {
			s[k] = libm.Log1p(libm.Exp(x))
		}
	case LinkSoftmax:
		softmax(s)
	case LinkExp32:
		for k, x := range s {
			s[k] = float64(libm.Exp32(float32(x)))
		}
	case LinkSigmoid32:
		for k, x := range s {
			s[k] = float64(sigmoid32(float32(x)))
		}
	case LinkSoftmax32:
		softmax32(s)
	case LinkArgmax:
		best := 0
		for k, x := range s {
			if x > s[best] {
				best = k
			}
		}
		s[0] = float64(best)
	case LinkPositive:
		for k, x := range s {
			s[k] = 0
			if x > 0 {
				s[k] = 1
			}
		}
	case LinkSorted:
		for i, x := range s { // insertion sort, which places NaN as XGBoost's sort does
			for i > 0 && s[i-1] > x {
				s[i] = s[i-1]
				i--
			}
			s[i] = x
		}
	}
}

// softmax is LightGBM's: include/LightGBM/utils/common.h, Softmax.
func softmax(s []float64) {
	most := s[0]
	for _, x := range s[1:] {
		most = max(x, most)
	}
	sum := 0.0
	for k, x := range s {
		s[k] = libm.Exp(x - most)
		sum += s[k]
	}
	for k := range s {
		s[k] /= sum
	}
}

// sigmoid32 is XGBoost's: src/common/math.h, Sigmoid, 3.2.0. That adds 1e-16 to
// the denominator, which in float32 does not change it.
func sigmoid32(x float32) float32 {
	x = -x
	if 88.7 < x { // false for NaN
		x = 88.7
	}
	return 1 / (libm.Exp32(x) + 1)
}

// softmax32 is XGBoost's: src/common/math.h, Softmax, 3.2.0. Only the sum is
// float64.
func softmax32(s []float64) {
	most := float32(s[0])
	for _, v := range s[1:] {
		if x := float32(v); x > most || most != most { // as fmaxf, which ignores NaN
			most = x
		}
	}
	sum := 0.0
	for k, x := range s {
		s[k] = float64(libm.Exp32(float32(x) - most))
		sum += s[k]
	}
	for k, x := range s {
		s[k] = float64(float32(x) / float32(sum))
	}
}
