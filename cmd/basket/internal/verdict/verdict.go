// Package verdict compares the routes of a prediction log: do their predictions
// differ, and, if there are orders to hold them against, which route is nearer.
//
// The unit of every interval is the user, since the predictions of one user are
// not independent.
package verdict

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// The verdicts.
const (
	Better       = "better"
	Worse        = "worse"
	Differ       = "predictions differ"
	NoDifference = "no difference found"
	TooLittle    = "too little data"
)

const (
	alpha = 0.05 // 1 minus the level of intervals
	power = 0.8

	// decisive is 1 minus the level of the interval that must leave out zero for a
	// verdict. It is stricter than alpha: of 100 tests of equal models more than 7
	// find a difference with a probability of 1 %, instead of 13 %.
	decisive = 0.03

	// MinUsers is how many users a route needs for an interval. With fewer, an
	// interval of skewed values holds the true one clearly less often than it says.
	MinUsers = 50

	// maxResamples bounds what several comparisons may add to the resamples.
	maxResamples = 10_000
)

// Options configure a report.
type Options struct {
	Baseline  string  // route; by default the one with the most predictions that is no shadow
	Detect    float64 // what NoDifference must be able to find, as a share of the baseline's value
	Resamples int     // of the bootstrap, for each comparison
	Seed      uint64  // of the bootstrap
}

// A Report is what a log says of its routes. Its JSON form is the output of basket
// compare --json.
type Report struct {
	Baseline    string       `json:"baseline"`
	Measure     string       `json:"measure"`    // what verdicts are about: "mean prediction" or "mean absolute error"
	Confidence  float64      `json:"confidence"` // of intervals; those of comparisons hold together with it
	Decisive    float64      `json:"decisive"`   // confidence that a verdict needs, for all comparisons together
	Power       float64      `json:"power"`
	Detect      float64      `json:"detect"` // share of the baseline's value
	Users       int          `json:"users"`
	Lines       Lines        `json:"lines"`
	Held        *HeldCounts  `json:"orders,omitempty"` // nil without orders
	Routes      []Route      `json:"routes"`           // the baseline, then by name
	Comparisons []Comparison `json:"comparisons"`
	Notes       []string     `json:"notes,omitempty"` // what may deceive
}

// A Route is what is known of one route by itself. An interval is nil if there are
// too few users.
type Route struct {
	Name         string    `json:"route"`
	Shadow       bool      `json:"shadow"`
	Models       []string  `json:"models"` // IDs, the first few
	First        time.Time `json:"first,omitzero"`
	Last         time.Time `json:"last,omitzero"`
	Users        int       `json:"users"` // with a prediction
	Predictions  int       `json:"predictions"`
	Mean         float64   `json:"mean"` // of the users' means
	MeanInterval *Estimate `json:"mean_interval"`
	Errors       int       `json:"errors"`
	UnknownUsers int       `json:"unknown_users"` // failures for want of a feature row, which are no errors
	Canceled     int       `json:"canceled"`
	ErrorRate    *Estimate `json:"error_rate"`         // of predictions and errors
	Accuracy     *Accuracy `json:"accuracy,omitempty"` // nil without orders
}

// Accuracy is how near a route's predictions were to the orders. An interval is
// nil if there are too few users.
type Accuracy struct {
	Users          int       `json:"users"`
	Orders         int       `json:"orders"`
	MAE            float64   `json:"mae"`
	MAEInterval    *Estimate `json:"mae_interval"`
	RMSE           float64   `json:"rmse"`
	RMSEInterval   *Estimate `json:"rmse_interval"`
	Bias           float64   `json:"bias"` // mean of prediction minus value
	BiasInterval   *Estimate `json:"bias_interval"`
	Within         float64   `json:"within_20_percent"` // share of orders
	WithinInterval *Estimate `json:"within_20_percent_interval"`
}

// A Comparison holds a route against the baseline, in the report's measure.
type Comparison struct {
	Route       string    `json:"route"`
	Verdict     string    `json:"verdict"`
	Paired      bool      `json:"paired"` // over what both routes predicted, since one is a shadow
	Users       [2]int    `json:"users"`  // of the baseline and of the route
	Difference  *Estimate `json:"difference"`
	Relative    *Estimate `json:"relative"`     // the difference as a share of the baseline's value
	Detectable  float64   `json:"detectable"`   // share of the baseline's value; 0 is unknown
	UsersNeeded int       `json:"users_needed"` // of both routes together, to find a difference of Detect; 0 is unknown
	Resamples   int       `json:"resamples,omitempty"`
}

// Report compares what has been read. The Log may be read further afterwards.
func (l *Log) Report(ctx context.Context, o Options) (*Report, error) {
	order, err := l.order(o.Baseline)
	if err != nil {
		return nil, err
	}
	r := &Report{
		Baseline: l.routes[order[0]].name, Measure: "mean prediction", Confidence: 1 - alpha, Decisive: 1 - decisive, Power: power, Detect: o.Detect,
		Users: len(l.users), Lines: l.lines,
	}
	for _, route := range order {
		r.Routes = append(r.Routes, l.describe(route))
	}
	if l.orders == nil {
		for _, route := range order[1:] {
			r.Comparisons = append(r.Comparisons, l.compareMeans(order[0], route, o, len(order)-1))
		}
	} else {
		held := l.held
		r.Measure, r.Held = "mean absolute error", &held
		if err := l.compareAccuracy(ctx, r, order, o); err != nil {
			return nil, err
		}
	}
	r.Notes = l.notes(order)
	return r, nil
}

// order returns the indexes of the routes, the baseline first and the others by
// name; or what is wrong with the log.
func (l *Log) order(baseline string) ([]int, error) {
	if l.lines.Predictions == 0 {
		if l.text {
			return nil, errors.New("the log has the text form: want JSON; use --log-format json where predictions are served")
		}
		outside := ""
		if l.lines.Outside > 0 {
			outside = fmt.Sprintf(", %d of other times", l.lines.Outside)
		}
		return nil, fmt.Errorf("the log has no predictions (%d lines, %d damaged%s): want the JSON lines of the model log", l.lines.Read, l.lines.Damaged, outside)
	}
	order := make([]int, len(l.routes))
	for i := range order {
		order[i] = i
	}
	name := func(i int) string { return l.routes[i].name }
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(name(a), name(b)) })
	first := -1
	for at, i := range order {
		if baseline != "" {
			if name(i) == baseline {
				first = at
			}
		} else if !l.routes[i].shadow() && (first < 0 || l.routes[i].predictions > l.routes[order[first]].predictions) {
			first = at
		}
	}
	var names []string
	for _, i := range order {
		names = append(names, fmt.Sprintf("%.64q", name(i)))
	}
	switch list := strings.Join(names, ", "); {
	case first < 0 && baseline != "":
		return nil, fmt.Errorf("--baseline %.64q: no such route: want one of %s", baseline, list)
	case first < 0:
		return nil, fmt.Errorf("all routes are shadows: want --baseline, one of %s", list)
	case len(order) == 1:
		return nil, fmt.Errorf("the log has one route, %s: want two to compare", list)
	case l.orders != nil && l.held.NoOrders == len(l.users):
		return nil, fmt.Errorf("none of the %d users of the log has orders in the data: want the same user IDs; a log that was written with --log-user-id hash cannot be held against orders", len(l.users))
	}
	i := order[first]
	return slices.Insert(slices.Delete(order, first, first+1), 0, i), nil
}

func (l *Log) describe(route int) Route {
	log := l.routes[route]
	r := Route{
		Name: log.name, Shadow: log.shadow(), Models: append([]string{}, log.models...), First: log.first, Last: log.last,
		Predictions: log.predictions, Errors: log.errors, UnknownUsers: log.unknown, Canceled: log.canceled,
	}
	var means []float64
	var trials [][2]float64
	for i := range l.users {
		for _, c := range l.users[i].cells {
			if c.route != route {
				continue
			}
			if c.predictions > 0 {
				means = append(means, c.mean)
			}
			trials = append(trials, [2]float64{float64(c.errors), float64(c.errors + c.predictions)})
		}
	}
	if r.Users = len(means); r.Users > 0 {
		r.Mean = stat.Mean(means, nil)
	}
	if r.Users >= MinUsers {
		e := meanInterval(means, alpha)
		r.MeanInterval = &e
	}
	if len(trials) > 0 {
		e := errorRate(trials, alpha)
		r.ErrorRate = &e
	}
	return r
}

func (l *Log) compareMeans(baseline, route int, o Options, comparisons int) Comparison {
	c := Comparison{Route: l.routes[route].name, Paired: l.routes[route].shadow() || l.routes[baseline].shadow()}
	var x, y []float64
	var pairs [][2]float64
	for i := range l.users {
		var mean [2]float64
		var has [2]bool
		for _, cell := range l.users[i].cells {
			if k := slices.Index([]int{baseline, route}, cell.route); k >= 0 && cell.predictions > 0 {
				mean[k], has[k] = cell.mean, true
			}
		}
		if c.Paired && has[0] != has[1] {
			continue
		}
		if has[0] {
			x = append(x, mean[0])
		}
		if has[1] {
			y = append(y, mean[1])
		}
		if has[0] && has[1] {
			pairs = append(pairs, mean)
		}
	}
	c.Users = [2]int{len(x), len(y)}
	if min(len(x), len(y)) < MinUsers {
		c.Verdict = TooLittle
		return c
	}
	d := welch(x, y, pairs)
	difference := d.interval(alpha / float64(comparisons))
	c.Difference = &difference
	base := math.Abs(stat.Mean(x, nil))
	if base > 0 {
		c.Relative = &Estimate{difference.Value / base, difference.Low / base, difference.High / base}
	}
	level := decisive / float64(comparisons)
	c.decide(o.Detect, base, d.se, tQuantile(1-level/2, d.df), d.interval(level), [2]string{Differ, Differ})
	return c
}

// decide sets the verdict from the decisive interval of the difference; names are
// those of a difference below zero and above. Base is the baseline's value, se the
// difference's standard error, and quantile how many of them half the interval has.
func (c *Comparison) decide(detect, base, se, quantile float64, interval Estimate, names [2]string) {
	// A difference of this size is found with probability power.
	detectable := (quantile + distuv.UnitNormal.Quantile(power)) * se
	if base > 0 {
		c.Detectable = detectable / base
		users := c.Users[0] + c.Users[1]
		if c.Paired {
			users = c.Users[0]
		}
		ratio := c.Detectable / detect
		if needed := math.Ceil(float64(users) * ratio * ratio); needed < 1e15 {
			c.UsersNeeded = max(int(needed), 2*MinUsers)
		}
	}
	switch {
	case interval.High < 0:
		c.Verdict = names[0]
	case interval.Low > 0:
		c.Verdict = names[1]
	case base > 0 && c.Detectable > detect:
		c.Verdict = TooLittle
	default:
		c.Verdict = NoDifference
	}
}

// compareAccuracy holds predictions against orders, for routes and comparisons.
func (l *Log) compareAccuracy(ctx context.Context, r *Report, order []int, o Options) error {
	sample, columns := l.sample(order)
	comparisons := len(order) - 1
	resamples := min(o.Resamples*comparisons, max(o.Resamples, maxResamples))
	re, err := sample.bootstrap(ctx, resamples, o.Seed)
	if err != nil {
		return err
	}
	for i, route := range order[1:] {
		c := Comparison{Route: l.routes[route].name, Paired: columns[i] != [2]int{0, i + 1}, Resamples: resamples}
		c.compareColumns(sample, re, columns[i], o, comparisons)
		r.Comparisons = append(r.Comparisons, c)
	}
	for column := range order { // after the comparisons, which need resamples in their order
		r.Routes[column].Accuracy = sample.accuracy(re, column)
	}
	return nil
}

// sample returns the users' tallies, in a column for each route of order, and the
// columns of each comparison: the routes' own, or, if one is a shadow, two more of
// the orders that both predicted.
func (l *Log) sample(order []int) (*sample, [][2]int) {
	columns, width := make([][2]int, len(order)-1), len(order)
	for i, route := range order[1:] {
		columns[i] = [2]int{0, i + 1}
		if l.routes[route].shadow() || l.routes[order[0]].shadow() {
			columns[i] = [2]int{width, width + 1}
			width += 2
		}
	}
	s := newSample(width)
	for user := range l.users {
		u := &l.users[user]
		byRoute := make([][]held, len(order))
		for _, c := range u.cells {
			byRoute[slices.Index(order, c.route)] = c.held
		}
		for column, all := range byRoute {
			var t tally
			for _, h := range all {
				t.add(h.value, l.orders.value(u.orders[h.order]))
			}
			s.add(user, column, t)
		}
		for i, pair := range columns {
			if pair[0] == 0 {
				continue
			}
			base, own := l.shared(u, byRoute[0], byRoute[i+1])
			s.add(user, pair[0], base)
			s.add(user, pair[1], own)
		}
	}
	return s, columns
}

// shared returns the tallies of two routes over the orders that both predicted.
func (l *Log) shared(u *userLog, a, b []held) (ofA, ofB tally) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i].order < b[j].order:
			i++
		case a[i].order > b[j].order:
			j++
		default:
			value := l.orders.value(u.orders[a[i].order])
			ofA.add(a[i].value, value)
			ofB.add(b[j].value, value)
			i, j = i+1, j+1
		}
	}
	return ofA, ofB
}

func (c *Comparison) compareColumns(s *sample, re resampled, columns [2]int, o Options, comparisons int) {
	baseline, route := columns[0], columns[1]
	c.Users = [2]int{s.users[baseline], s.users[route]}
	if min(c.Users[0], c.Users[1]) < MinUsers {
		c.Verdict = TooLittle
		return
	}
	base := s.total[baseline].statistics()[mae]
	own := s.total[route].statistics()[mae]
	differences := slices.Clone(re[route][mae])
	floats.Sub(differences, re[baseline][mae])
	se := stat.StdDev(differences, nil)
	difference := percentiles(own-base, differences, alpha/float64(comparisons))
	c.Difference = &difference
	if base > 0 {
		ratios := slices.Clone(re[route][mae])
		floats.Div(ratios, re[baseline][mae])
		floats.AddConst(-1, ratios)
		relative := percentiles(own/base-1, ratios, alpha/float64(comparisons))
		if !math.IsInf(relative.High, 0) && !math.IsNaN(relative.Low) { // some resample of the baseline has no error
			c.Relative = &relative
		}
	}
	level := decisive / float64(comparisons)
	c.decide(o.Detect, base, se, distuv.UnitNormal.Quantile(1-level/2), percentiles(own-base, differences, level), [2]string{Better, Worse})
}

func (s *sample) accuracy(re resampled, column int) *Accuracy {
	t := &s.total[column]
	a := &Accuracy{Users: s.users[column], Orders: int(t.orders)}
	if a.Orders == 0 {
		return a
	}
	values := t.statistics()
	a.MAE, a.RMSE, a.Bias, a.Within = values[mae], values[rmse], values[bias], values[within]
	if a.Users < MinUsers {
		return a
	}
	for k, to := range []**Estimate{&a.MAEInterval, &a.RMSEInterval, &a.BiasInterval, &a.WithinInterval} {
		e := percentiles(values[k], re[column][k], alpha)
		*to = &e
	}
	return a
}
