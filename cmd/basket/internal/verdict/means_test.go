package verdict

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The expected figures of this file are those of scipy 1.17.1 and statsmodels
// 0.15.0, as the comments say.

// near allows for the rounding of the figures and of the quantiles.
var near = cmpopts.EquateApprox(1e-9, 1e-12)

var (
	sampleX = []float64{0, 1.25, 4.5, 9.75, 17, 9.25, 3.5, 16.75, 15, 15.25, 17.5, 4.75}
	sampleY = []float64{3, 9.5, 16, 22.5, 6, 12.5, 19, 2.5, 9}
)

func TestWelch(t *testing.T) {
	pairs := func(x, y []float64) (p [][2]float64) {
		for i := range y {
			p = append(p, [2]float64{x[i], y[i]})
		}
		return p
	}
	// sampleY and its continuation
	longY := append(append([]float64{}, sampleY...), 15.5, -1, 5.5)
	for _, tt := range []struct {
		name  string
		y     []float64
		pairs [][2]float64
		alpha float64
		df    float64
		want  Estimate
	}{
		{ // scipy.stats.ttest_ind(y, x, equal_var=False).confidence_interval(0.95)
			"independent", sampleY, nil, 0.05, 16.797734629738642,
			Estimate{1.5694444444444446, -4.7837423041699765, 7.922631193058866},
		},
		{ // the same, 0.99
			"independent 99 %", sampleY, nil, 0.01, 16.797734629738642,
			Estimate{1.5694444444444446, -7.162853219143827, 10.301742108032716},
		},
		{ // scipy.stats.ttest_rel(y, x).confidence_interval(0.95)
			"paired", longY, pairs(sampleX, longY), 0.05, 11,
			Estimate{0.4583333333333333, -6.509971923571545, 7.426638590238211},
		},
		{ // T_new2 of Derrick and others by numpy.corrcoef, var and scipy.stats.t.ppf
			"five pairs", sampleY, pairs(sampleX[:5], sampleY[:5]), 0.05, 10.70357528224405,
			Estimate{1.5694444444444446, -4.821966103850387, 7.960854992739276},
		},
	} {
		d := welch(sampleX, tt.y, tt.pairs)
		if diff := cmp.Diff(tt.df, d.df, near); diff != "" {
			t.Errorf("%s: degrees of freedom (-want +got):\n%s", tt.name, diff)
		}
		if diff := cmp.Diff(tt.want, d.interval(tt.alpha), near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestWelch_constant(t *testing.T) {
	constant := []float64{2, 2, 2}
	if got, want := welch(constant, []float64{5, 5}, nil).interval(0.05), (Estimate{3, 3, 3}); got != want {
		t.Errorf("two constants: %v, want %v", got, want)
	}
	pairs := [][2]float64{{2, 4}, {2, 5}, {2, 6}}
	got, want := welch(constant, []float64{4, 5, 6}, pairs), welch(constant, []float64{4, 5, 6}, nil)
	if got.se != want.se || got.value != 3 {
		t.Errorf("pairs with a constant: %v, want the standard error of %v", got, want)
	}
}

func TestMeanInterval(t *testing.T) {
	// scipy.stats.t.interval(0.95, 11, loc=x.mean(), scale=scipy.stats.sem(x))
	want := Estimate{9.541666666666666, 5.352849419372243, 13.73048391396109}
	if diff := cmp.Diff(want, meanInterval(sampleX, 0.05), near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTQuantile(t *testing.T) {
	for _, tt := range []struct{ p, df, want float64 }{ // scipy.stats.t.ppf(p, df)
		{0.975, 3, 3.1824463052837078},
		{0.975, 11.5, 2.1893658938043634},
		{0.995, 48, 2.6822040269502154},
		{0.9999, 1e6, 3.719030274762571},
		{0.975, 5e7, 1.9599640319854799},
		{0.975, math.Inf(1), 1.959963984540054}, // scipy.stats.norm.ppf(0.975)
	} {
		if got := tQuantile(tt.p, tt.df); math.Abs(got-tt.want) > 1e-7 {
			t.Errorf("tQuantile(%v, %v) = %v, want %v", tt.p, tt.df, got, tt.want)
		}
	}
}

func TestWilson(t *testing.T) {
	for _, tt := range []struct {
		k, n float64
		want Estimate
	}{ // statsmodels.stats.proportion.proportion_confint(k, n, 0.05, method="wilson")
		{0, 50, Estimate{0, 0, 0.07134759913335874}},
		{1, 50, Estimate{0.02, 0.003539259271646236, 0.10495443589637815}},
		{7, 20, Estimate{0.35, 0.18119182410108203, 0.5671457233147638}},
		{50, 50, Estimate{1, 0.9286524008666412, 1}},
		{123, 10000, Estimate{0.0123, 0.01031929142332744, 0.01465526058743051}},
	} {
		if diff := cmp.Diff(tt.want, wilson(tt.k/tt.n, tt.n, 0.05), near); diff != "" {
			t.Errorf("%v of %v (-want +got):\n%s", tt.k, tt.n, diff)
		}
	}
}

func TestErrorRate(t *testing.T) {
	failures, trials := []float64{0, 2, 0, 1, 0, 0, 3, 0, 1, 0}, []float64{4, 5, 3, 6, 2, 7, 5, 4, 3, 1}
	var users [][2]float64
	for i := range trials {
		users = append(users, [2]float64{failures[i], trials[i]})
	}
	// Failure regressed on a constant by statsmodels' OLS, fit(cov_type="cluster",
	// use_correction=False), its variance times 10/9 and proportion_confint for
	// p(1-p)/variance = 23.31 instead of 40 trials.
	want := Estimate{0.175, 0.07084622769658208, 0.37111596298917326}
	if diff := cmp.Diff(want, errorRate(users, 0.05), near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Without failures, the number of users counts: 0 of 50 above.
	none := make([][2]float64, 50)
	for i := range none {
		none[i][1] = 20
	}
	if diff := cmp.Diff(Estimate{0, 0, 0.07134759913335874}, errorRate(none, 0.05), near); diff != "" {
		t.Errorf("no failures (-want +got):\n%s", diff)
	}
}

// TestBootstrap_deltaMethod compares the spread of resamples with the standard
// error of a ratio of sums over clusters, by linearization (W. G. Cochran, Sampling
// Techniques, 1977, section 6.4).
func TestBootstrap_deltaMethod(t *testing.T) {
	const users = 2000
	rng := rand.New(rand.NewPCG(3, 3))
	s := newSample(2)
	var tallies [users]tally
	for u := range users {
		persistent := rng.NormFloat64()
		for range 1 + rng.IntN(6) {
			tallies[u].add(10+persistent+rng.NormFloat64(), 10)
		}
		s.add(u, 0, tallies[u])
		s.add(u, 1, tallies[u]) // the same users, so that the difference is zero
	}
	re, err := s.bootstrap(t.Context(), 4000, 1)
	if err != nil {
		t.Fatal(err)
	}
	ratio, variance := s.total[0].absolute/s.total[0].orders, 0.0
	for u := range tallies {
		d := tallies[u].absolute - ratio*tallies[u].orders
		variance += d * d
	}
	want := math.Sqrt(variance) / s.total[0].orders
	e := percentiles(ratio, append([]float64{}, re[0][mae]...), 0.05)
	// The relative standard error of this half width is some 2 %.
	if got := (e.High - e.Low) / 2 / 1.96; math.Abs(got/want-1) > 0.07 {
		t.Errorf("standard error by resamples %v, by linearization %v", got, want)
	}
	for i := range re[0][mae] {
		if re[0][mae][i] != re[1][mae][i] {
			t.Fatalf("resample %d: a user has different weights in two columns", i)
		}
	}
}

func TestPoisson(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 1_000_000
	var counts [8]float64
	for range n {
		counts[min(int(poisson(rng)), 7)]++
	}
	// scipy.stats.poisson.pmf(k, 1), the last one scipy.stats.poisson.sf(6, 1)
	for k, want := range []float64{0.36787944117144233, 0.36787944117144233, 0.18393972058572114, 0.06131324019524039, 0.015328310048810101, 0.00306566200976202, 0.0005109436682936699, 8.324114928797301e-05} {
		if got := counts[k] / n; math.Abs(got-want) > 5*math.Sqrt(want/n) {
			t.Errorf("share of %d: %v, want about %v", k, got, want)
		}
	}
}
