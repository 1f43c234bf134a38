package verdict

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// A tally is sums over orders: of one user, of all, or of a resample.
type tally struct {
	orders   float64
	absolute float64 // of errors, prediction minus value
	squared  float64
	signed   float64
	within   float64 // number of orders whose error is at most a fifth of the value
}

// closeTo is the error, as a share of the order's value, of a prediction that is
// counted as within.
const closeTo = 0.2

func (t *tally) add(prediction, value float64) {
	e := prediction - value
	t.orders++
	t.absolute += math.Abs(e)
	t.squared += e * e
	t.signed += e
	if math.Abs(e) <= closeTo*math.Abs(value) {
		t.within++
	}
}

func (t *tally) addTimes(w float64, u *tally) {
	t.orders += w * u.orders
	t.absolute += w * u.absolute
	t.squared += w * u.squared
	t.signed += w * u.signed
	t.within += w * u.within
}

// The statistics of a tally.
const (
	mae = iota
	rmse
	bias
	within
	statistics
)

func (t *tally) statistics() [statistics]float64 {
	return [statistics]float64{t.absolute / t.orders, math.Sqrt(t.squared / t.orders), t.signed / t.orders, t.within / t.orders}
}

// A sample is the tallies of users, in columns: the routes, and for a shadow the
// orders that it and the baseline share.
type sample struct {
	rows  []sampleRow // those of one user stand together
	total []tally     // of each column
	users []int       // of each column
}

type sampleRow struct {
	user, column int
	tally
}

func newSample(columns int) *sample {
	return &sample{total: make([]tally, columns), users: make([]int, columns)}
}

func (s *sample) add(user, column int, t tally) {
	if t.orders == 0 {
		return
	}
	s.rows = append(s.rows, sampleRow{user, column, t})
	s.total[column].addTimes(1, &t)
	s.users[column]++
}

// spread sets the seeds of successive resamples far apart: repetitions of a
// simulation whose seeds were 0, 1, 2 and so on were not quite independent.
const spread = 0x9e3779b97f4a7c15

// A resampled is the statistics of resamples, by column and statistic.
type resampled [][statistics][]float64

// bootstrap resamples users n times: each user counts as often as a Poisson number
// of mean 1 says, independently of the others (N. Chamandy and others, "Estimating
// uncertainty for massive data streams", 2012), which is the bootstrap for ratios of
// sums. A user who is in several columns counts equally in all, so differences of
// columns allow for users in both. The result depends on the seed, not on the
// number of processors.
func (s *sample) bootstrap(ctx context.Context, n int, seed uint64) (resampled, error) {
	result := make(resampled, len(s.total))
	for column := range result {
		for k := range statistics {
			result[column][k] = make([]float64, n)
		}
	}
	workers := min(runtime.GOMAXPROCS(0), n)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			sums := make([]tally, len(s.total))
			for i := worker; i < n && ctx.Err() == nil; i += workers {
				s.resample(rand.New(rand.NewPCG(seed, uint64(i)*spread)), sums)
				for column := range sums {
					for k, v := range sums[column].statistics() {
						result[column][k][i] = v
					}
				}
			}
		})
	}
	wait.Wait()
	return result, ctx.Err()
}

// resample sets sums to those of a resample.
func (s *sample) resample(rng *rand.Rand, sums []tally) {
	clear(sums)
	for i := 0; i < len(s.rows); {
		user, w := s.rows[i].user, poisson(rng)
		for ; i < len(s.rows) && s.rows[i].user == user; i++ {
			if w > 0 {
				sums[s.rows[i].column].addTimes(w, &s.rows[i].tally)
			}
		}
	}
}

// poissonCDF is the distribution of Poisson numbers of mean 1, up to a
// probability that float64 cannot tell from 1.
var poissonCDF = sync.OnceValue(func() []float64 {
	var cdf []float64
	for k := 0; len(cdf) == 0 || cdf[len(cdf)-1] < 1-1e-15; k++ {
		cdf = append(cdf, distuv.Poisson{Lambda: 1}.CDF(float64(k)))
	}
	return cdf
})

// poisson returns a Poisson number of mean 1. Package distuv has one too, which
// takes a logarithm or more a number.
func poisson(rng *rand.Rand) float64 {
	cdf := poissonCDF()
	u := rng.Float64()
	for k, p := range cdf {
		if u < p {
			return float64(k)
		}
	}
	return float64(len(cdf))
}

// percentiles returns value with the interval of its resamples, which it sorts.
func percentiles(value float64, resamples []float64, alpha float64) Estimate {
	slices.Sort(resamples)
	return Estimate{
		Value: value,
		Low:   stat.Quantile(alpha/2, stat.LinInterp, resamples, nil),
		High:  stat.Quantile(1-alpha/2, stat.LinInterp, resamples, nil),
	}
}
