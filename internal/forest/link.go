package forest

import (
	"math"

	"github.com/basket-go/basket/internal/libm"
)

// A Link turns a row's margins into its predictions.
type Link int8

// The links. Those with 32 compute in float32, as XGBoost does.
const (
	LinkIdentity     Link = iota
	LinkSignedSquare      // sign(s)*s*s
	LinkExp               // exp(s)
	LinkSigmoid           // 1/(1+exp(-p*s)), p being Model.Sigmoid
	LinkLog1pExp          // log(1+exp(s))
	LinkSoftmax           // exp(s) of each over the sum of all
	LinkExp32             // exp(s)
	LinkSigmoid32         // 1/(1+exp(-s))
	LinkSoftmax32         // exp(s) of each over the sum of all
	LinkArgmax            // the number of the largest margin, the first of equals
	LinkPositive          // 1 if s > 0, else 0
	LinkSorted            // the margins in ascending order

	linkEnd
)

// Outputs is the number of predictions that l makes of a row's margins.
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
// the factor of LinkSigmoid. With LinkArgmax only s[0] is a prediction. The links
// with 32 want float32 values.
func (l Link) Apply(s []float64, p float64) {
	switch l {
	case LinkIdentity:
	case LinkSignedSquare:
		for k, x := range s {
			s[k] = math.Copysign(x*x, x)
			if x == 0 || x != x { // sign(0) is 0, of either sign; NaN stays NaN
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
		for i, x := range s { // by insertion, so that NaN stays as XGBoost leaves it
			for i > 0 && s[i-1] > x {
				s[i] = s[i-1]
				i--
			}
			s[i] = x
		}
	}
}

// softmax follows LightGBM's: include/LightGBM/utils/common.h, Softmax.
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

// sigmoid32 follows XGBoost's: src/common/math.h, Sigmoid, 3.2.0. The 1e-16 that
// it adds to the denominator is lost there, for float32 has no room for it.
func sigmoid32(x float32) float32 {
	x = -x
	if 88.7 < x { // false for NaN
		x = 88.7
	}
	return 1 / (libm.Exp32(x) + 1)
}

// softmax32 follows XGBoost's: src/common/math.h, Softmax, 3.2.0. The sum alone
// is kept in float64.
func softmax32(s []float64) {
	most := float32(s[0])
	for _, v := range s[1:] {
		if x := float32(v); x > most || most != most { // fmaxf: NaN loses
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
