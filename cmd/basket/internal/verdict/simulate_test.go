package verdict

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/basket-go/basket"
)

// A simulation is an A/B test with made-up orders and predictions. The models err
// more for some users than for others, and for each user more to one side, so the
// predictions of one user are far from independent.
type simulation struct {
	predictions int
	worse       float64 // how much larger the errors of route b are, as a share
	shadow      bool    // b is a shadow of a, whose errors are half in common
	mean        float64 // how much larger b's predictions are, as a share
	skew        float64 // of users' scale: sigma of a lognormal distribution
	resamples   int
}

func (s simulation) run(t testing.TB, seed uint64, withOrders bool) *Report {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed*spread, 7))
	orders, err := NewOrders(4)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	items := make([]int64, 1000)
	for user, made := 0, 0; made < s.predictions; user++ {
		id, route := "u"+strconv.Itoa(user), "a"
		if rng.IntN(2) == 0 && !s.shadow {
			route = "b"
		}
		scale := math.Exp(s.skew * rng.NormFloat64())
		lean := rng.NormFloat64()
		at := start.Add(time.Duration(rng.IntN(1_000_000)) * time.Second)
		for range 1 + rng.IntN(9) {
			n := 1 + min(len(items)-1, int(10*scale*rng.ExpFloat64()))
			if err := orders.Add(basket.Order{UserID: id, OrderedAt: at.Add(time.Hour), Items: items[:n]}); err != nil {
				t.Fatal(err)
			}
			predict := func(route, more string, e float64) {
				value := 4*float64(n) + 8*scale*e
				if route == "b" {
					value = 4*float64(n)*(1+s.mean) + 8*scale*e*(1+s.worse)
				}
				fmt.Fprintf(&lines, `{"time":%q,"level":"INFO","msg":"prediction","user_id":%q,"route":%q,"model":"forest","model_id":"basket@%s","latency":3000,%s"value":%v,"total_orders":3,"features":{"x":1}}`+"\n",
					at.Format(time.RFC3339Nano), id, route, route, more, value)
			}
			e, other := lean+rng.NormFloat64(), lean+rng.NormFloat64()
			predict(route, "", e)
			if s.shadow {
				predict("b", `"shadow":true,`, other)
			}
			made++
			at = at.Add(24 * time.Hour)
		}
	}
	if !withOrders {
		orders = nil
	}
	log := NewLog(orders)
	if err := log.Read(t.Context(), &lines); err != nil {
		t.Fatal(err)
	}
	r, err := log.Report(t.Context(), Options{Baseline: "a", Detect: 0.05, Resamples: s.resamples, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts counts the verdicts of repetitions.
func (s simulation) verdicts(t *testing.T, repetitions int, withOrders bool) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for i := range repetitions {
		counts[s.run(t, uint64(i), withOrders).Comparisons[0].Verdict]++
	}
	return counts
}

// The seeds of these simulations are fixed, so their verdicts are too. Of 200
// comparisons of equal models about 6 should find a difference; 13 are three
// standard deviations more. With predictions as units instead of users, some 40
// would.

func TestReport_equalModels(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    simulation
		data bool
	}{
		{"errors", simulation{predictions: 600, skew: 0.5, resamples: 400}, true},
		{"means", simulation{predictions: 600, skew: 0.5}, false},
		{"errors of a shadow", simulation{predictions: 400, skew: 0.5, shadow: true, resamples: 400}, true},
		{"means of a shadow", simulation{predictions: 400, skew: 0.5, shadow: true}, false},
	} {
		got := tt.s.verdicts(t, 200, tt.data)
		if found := got[Better] + got[Worse] + got[Differ]; found > 13 {
			t.Errorf("%s of equal models: %v: want a difference in at most 13 of 200", tt.name, got)
		}
	}
}

func TestReport_worseModel(t *testing.T) {
	s := simulation{predictions: 50_000, worse: 0.05, skew: 0.5, resamples: 400}
	if got := s.run(t, 1, true).Comparisons[0].Verdict; got != Worse {
		t.Errorf("a model that is 5 %% worse, 50,000 predictions: %q, want %q", got, Worse)
	}
	s = simulation{predictions: 5000, worse: -0.2, skew: 0.5, resamples: 400}
	if got := s.run(t, 1, true).Comparisons[0].Verdict; got != Better {
		t.Errorf("a model that is 20 %% better, 5,000 predictions: %q, want %q", got, Better)
	}
	s = simulation{predictions: 10_000, mean: 0.2, skew: 0.3}
	if got := s.run(t, 1, false).Comparisons[0].Verdict; got != Differ {
		t.Errorf("predictions that are 20 %% higher: %q, want %q", got, Differ)
	}
}

// TestSimulation runs the repetitions of SIMULATE, which takes a second each, with
// 50,000 predictions.
func TestSimulation(t *testing.T) {
	repetitions, err := strconv.Atoi(os.Getenv("SIMULATE"))
	if err != nil {
		t.Skip("SIMULATE is not set to a number of repetitions")
	}
	for _, s := range []simulation{
		{predictions: 50_000, skew: 0.5, resamples: 2000},
		{predictions: 50_000, skew: 0.5, resamples: 2000, worse: 0.05},
		{predictions: 50_000, skew: 0.5, resamples: 2000, shadow: true},
		{predictions: 50_000, skew: 0.5, resamples: 2000, worse: 0.05, shadow: true},
	} {
		t.Logf("%+v: %v", s, s.verdicts(t, repetitions, true))
	}
	for _, predictions := range []int{500, 1000, 5000} {
		for _, skew := range []float64{0.3, 1} {
			s := simulation{predictions: predictions, skew: skew, resamples: 2000}
			t.Logf("%+v: errors %v, means %v", s, s.verdicts(t, 10*repetitions, true), s.verdicts(t, 10*repetitions, false))
		}
	}
}
