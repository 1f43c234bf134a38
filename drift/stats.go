package drift

import "math"

// counts are the rows of a window in the bins of a column.
type counts struct {
	Bins     []uint64 `json:"bins"`
	Nulls    uint64   `json:"nulls"`
	Below    uint64   `json:"below"`     // rows of the first bin below the reference's minimum
	Above    uint64   `json:"above"`     // rows of the last bin above its maximum
	Shift    float64  `json:"shift"`     // sum of value minus reference mean, of finite values
	BelowSum float64  `json:"below_sum"` // sum of minimum minus value, of those below
	AboveSum float64  `json:"above_sum"` // sum of value minus maximum, of those above
}

// values returns the number of rows that have a value.
func (c *counts) values() uint64 {
	n := uint64(0)
	for _, b := range c.Bins {
		n += b
	}
	return n
}

func (c *counts) add(o *counts) {
	for b := range c.Bins {
		c.Bins[b] += o.Bins[b]
	}
	c.Nulls += o.Nulls
	c.Below += o.Below
	c.Above += o.Above
	c.Shift = finite(c.Shift + o.Shift)
	c.BelowSum = finite(c.BelowSum + o.BelowSum)
	c.AboveSum = finite(c.AboveSum + o.AboveSum)
}

// finite returns the nearest finite number, which JSON can have, and 0 for NaN.
func finite(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, -math.MaxFloat64), math.MaxFloat64)
}

// psi returns the population stability index of a window with at least one row, and
// the number of bins that it is of.
func psi(ref *Column, c *counts) (index float64, bins int) {
	r, w := make([]float64, 0, maxBins+2), make([]float64, 0, maxBins+2)
	for b := range ref.Counts {
		r, w = append(r, float64(ref.Counts[b])), append(w, float64(c.Bins[b]))
	}
	if len(r) == 1 { // a constant
		w[0] -= float64(c.Below + c.Above)
		for _, outside := range []uint64{c.Below, c.Above} {
			if outside > 0 {
				r, w = append(r, 0), append(w, float64(outside))
			}
		}
	}
	if ref.Nulls > 0 || c.Nulls > 0 {
		r, w = append(r, float64(ref.Nulls)), append(w, float64(c.Nulls))
	}
	toShares(r)
	toShares(w)
	fillZeros(r)
	fillZeros(w)
	for b := range r {
		index += (r[b] - w[b]) * math.Log(r[b]/w[b])
	}
	return finite(index), len(r)
}

// toShares divides by the sum, which is not 0.
func toShares(v []float64) {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	for i := range v {
		v[i] /= sum
	}
}

// fillZeros replaces shares of zero, which have no logarithm: get_binned_data in
// evidently/legacy/calculations/stattests/utils.py of Evidently 0.7.23.
func fillZeros(shares []float64) {
	least := math.Inf(1)
	for _, s := range shares {
		if s > 0 {
			least = min(least, s)
		}
	}
	fill := 0.0001
	if least <= 0.0001 {
		fill = least / 1e6
	}
	for i, s := range shares {
		if s == 0 {
			shares[i] = fill
		}
	}
}

// distances returns the Jensen-Shannon distance, the Kolmogorov-Smirnov statistic and
// the normalised Wasserstein distance of a window that has a value.
func distances(ref *Column, c *counts) (js, ks, wasserstein float64) {
	n, m := 0.0, float64(c.values())
	for _, k := range ref.Counts {
		n += float64(k)
	}
	divergence, cumR, cumW := 0.0, 0.0, 0.0
	last := len(ref.Counts) - 1
	for b := range ref.Counts {
		r, w := float64(ref.Counts[b])/n, float64(c.Bins[b])/m
		divergence += relativeEntropy(r, (r+w)/2) + relativeEntropy(w, (r+w)/2)
		cumR += r
		cumW += w
		ks = max(ks, math.Abs(cumR-cumW))
		if b < last {
			wasserstein += math.Abs(cumR-cumW) * (ref.Edges[b+1] - ref.Edges[b])
		}
	}
	wasserstein += float64(c.Above) / m * (ref.Max - ref.Edges[last])
	wasserstein += (c.BelowSum + c.AboveSum) / m
	js = math.Sqrt(max(divergence, 0) / math.Ln2 / 2)
	return min(js, 1), min(ks, 1), finite(wasserstein / max(ref.Std, 0.001))
}

func relativeEntropy(p, q float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log(p/q)
}

// threshold returns the PSI above which a window of m rows is taken as drifted from a
// reference of n rows.
func threshold(set float64, bins int, n, m float64) float64 {
	if bins < 2 {
		return set
	}
	return max(set, chiSquare999[bins-2]*(n+m)/(n*m))
}

// chiSquare999 are the 99.9 % quantiles of the chi-square distribution with 1, 2, ...
// degrees of freedom: scipy.stats.chi2.ppf(0.999, df) of SciPy 1.17.1. They agree with
// the table of the NIST/SEMATECH e-Handbook of Statistical Methods, section 1.3.6.7.4.
var chiSquare999 = [maxBins]float64{
	10.8275661707, 13.815510558, 16.2662361962, 18.4668269529, 20.5150056524,
	22.4577444848, 24.3218863479, 26.1244815584, 27.8771648713, 29.5882984451,
	31.2641336202, 32.9094904074, 34.5281789749, 36.1232736804, 37.6972982184,
	39.2523547908, 40.7902167069, 42.3123963317, 43.8201959645, 45.3147466181,
}
