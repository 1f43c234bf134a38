package forest

import "math"

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

	linkEnd
)

// finish turns the margins of one row, in s, into its predictions, in place.
// With LinkArgmax only s[0] is one.
func (f *Forest) finish(s []float64) {
	if f.average > 0 {
		for k := range s {
			s[k] /= f.average
		}
	}
	switch f.link {
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
			s[k] = math.Exp(x)
		}
	case LinkSigmoid:
		for k, x := range s {
			s[k] = 1 / (1 + math.Exp(-f.sigmoid*x))
		}
	case LinkLog1pExp:
		for k, x := range s {
			s[k] = math.Log1p(math.Exp(x))
		}
	case LinkSoftmax:
		softmax(s)
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
		s[k] = math.Exp(x - most)
		sum += s[k]
	}
	for k := range s {
		s[k] /= sum
	}
}
