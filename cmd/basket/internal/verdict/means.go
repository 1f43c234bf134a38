package verdict

import (
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// An Estimate is a value and the ends of its interval.
type Estimate struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// A difference is the difference of two means, with its standard error and
// degrees of freedom.
type difference struct {
	value, se, df float64
}

// welch is the difference of the means of y and x, whose elements are independent:
// B. L. Welch, "The generalization of 'Student's' problem when several different
// population variances are involved", 1947. Some elements may be pairs, of one
// user in both: pairs has them again, as {x, y}. It is then the test T_new2 of
// B. Derrick, B. Russ, D. Toher and P. White, "Test statistics for the comparison of
// means for two samples that include both paired and independent observations",
// 2017, which is Welch's without pairs, and the paired t-test if all are pairs. Each
// of x and y needs two elements.
func welch(x, y []float64, pairs [][2]float64) difference {
	meanX, varX := stat.MeanVariance(x, nil)
	meanY, varY := stat.MeanVariance(y, nil)
	n1, n2, nc := float64(len(x)), float64(len(y)), float64(len(pairs))
	a, b := varX/n1, varY/n2
	d := difference{value: meanY - meanX, df: math.Inf(1)}
	if a+b == 0 {
		return d
	}
	d.df = (a + b) * (a + b) / (a*a/(n1-1) + b*b/(n2-1))
	variance := a + b
	if len(pairs) >= 2 {
		variance -= 2 * correlation(pairs) * math.Sqrt(varX*varY) * nc / (n1 * n2)
		d.df = nc - 1 + (d.df-nc+1)/(n1+n2)*(n1+n2-2*nc)
	}
	d.se = math.Sqrt(max(0, variance))
	return d
}

func correlation(pairs [][2]float64) float64 {
	x, y := make([]float64, len(pairs)), make([]float64, len(pairs))
	for i, p := range pairs {
		x[i], y[i] = p[0], p[1]
	}
	if r := stat.Correlation(x, y, nil); !math.IsNaN(r) {
		return r
	}
	return 0 // one of them is constant
}

// interval returns the difference and the interval that holds the true one with
// probability 1-alpha.
func (d difference) interval(alpha float64) Estimate {
	if d.se == 0 {
		return Estimate{d.value, d.value, d.value}
	}
	half := d.se * tQuantile(1-alpha/2, d.df)
	return Estimate{d.value, d.value - half, d.value + half}
}

func tQuantile(p, df float64) float64 {
	// Student's distribution and the normal one are equal to nine digits there.
	if df > 1e9 {
		return distuv.UnitNormal.Quantile(p)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df}.Quantile(p)
}

// meanInterval is the mean of x with its interval; x needs two elements.
func meanInterval(x []float64, alpha float64) Estimate {
	mean, variance := stat.MeanVariance(x, nil)
	return difference{mean, math.Sqrt(variance / float64(len(x))), float64(len(x) - 1)}.interval(alpha)
}

// wilson is the share p of n trials with its interval: E. B. Wilson, "Probable
// inference, the law of succession, and statistical inference", 1927. N need not
// be a whole number.
func wilson(p, n, alpha float64) Estimate {
	z := distuv.UnitNormal.Quantile(1 - alpha/2)
	center := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return Estimate{p, max(0, center-half), min(1, center+half)}
}

// errorRate is the share of failures among the trials of users, each {failures,
// trials}, with Wilson's interval. A user's trials are not independent, so the
// interval is that of the effective number of trials: as many independent ones
// would give a share of the same variance, with users as clusters. Without that
// variance (no failures, or nothing else) it is the number of users.
func errorRate(users [][2]float64, alpha float64) Estimate {
	failures, trials := 0.0, 0.0
	for _, u := range users {
		failures += u[0]
		trials += u[1]
	}
	p := failures / trials
	squares := 0.0
	for _, u := range users {
		d := u[0] - p*u[1]
		squares += d * d
	}
	n := float64(len(users))
	effective := n
	if variance := squares * n / ((n - 1) * trials * trials); p > 0 && p < 1 && n > 1 && variance > 0 {
		effective = min(trials, p*(1-p)/variance)
	}
	return wilson(p, effective, alpha)
}
