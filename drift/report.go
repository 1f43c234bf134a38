package drift

import (
	"math"
	"time"
)

// A Verdict says whether a feature, the predictions, a route or the service has drifted.
type Verdict string

// The verdicts, from the mildest on. That on a route is the gravest of its features and
// predictions, that on the service the gravest of its routes.
const (
	// TooFewRows means that fewer than two windows that are over have enough rows.
	TooFewRows Verdict = "too few rows"

	// OtherModel means that the predictions cannot be judged: some of the last such
	// window are of a model that the profile does not belong to.
	OtherModel Verdict = "other model"

	// Stable means that one of the last two such windows is within its threshold.
	Stable Verdict = "stable"

	// Drifted means that the last two such windows are above their thresholds.
	Drifted Verdict = "drift"
)

func (v Verdict) grade() int {
	switch v {
	case OtherModel:
		return 1
	case Stable:
		return 2
	case Drifted:
		return 3
	}
	return 0
}

func graver(a, b Verdict) Verdict {
	if b.grade() > a.grade() {
		return b
	}
	return a
}

// A Report compares what was served with the reference. Its figures are finite; one that
// needs a row or a value is 0 where there is none.
type Report struct {
	Time      time.Time     `json:"time"`
	Verdict   Verdict       `json:"verdict"`
	Model     string        `json:"model"`          // that of the profile
	Profile   string        `json:"profile"`        // digest
	Window    int64         `json:"window_seconds"` // width of a window
	MinRows   int           `json:"min_rows"`       // that a window needs to be judged
	Threshold float64       `json:"threshold"`      // of PSI, as set
	Late      uint64        `json:"late"`           // events that were dropped, because their window was no longer kept
	Routes    []RouteReport `json:"routes"`         // by name
}

// A RouteReport is the part of a route. A feature without any row is left out, such as
// those of a shadow.
type RouteReport struct {
	Route   string         `json:"route"`
	Verdict Verdict        `json:"verdict"`
	Columns []ColumnReport `json:"columns"` // features in the profile's order, then "prediction"
}

// A ColumnReport is about one feature, or about the predictions.
type ColumnReport struct {
	Name    string         `json:"name"`
	Verdict Verdict        `json:"verdict"`
	Since   *time.Time     `json:"since,omitempty"` // of drift: start of the first of the windows above the threshold, as far as they are kept
	Windows []WindowReport `json:"windows"`         // that have rows, by time
}

// A WindowReport compares a window with the reference; the package doc defines the
// figures.
type WindowReport struct {
	Start       time.Time `json:"start"`
	Over        bool      `json:"over"` // its time has passed
	Rows        uint64    `json:"rows"`
	PSI         float64   `json:"psi"`
	Threshold   float64   `json:"threshold"` // of PSI, for so many rows
	Above       bool      `json:"above"`     // the window counts for the verdict, and PSI is above the threshold
	JSDistance  float64   `json:"js_distance"`
	KS          float64   `json:"ks"`
	Wasserstein float64   `json:"wasserstein"`
	NullRate    float64   `json:"null_rate"`             // share of the rows without a value
	OutOfRange  float64   `json:"out_of_range_rate"`     // share of the rows whose value is below the reference's minimum or above its maximum
	Mean        float64   `json:"mean"`                  // an infinite value counts as the reference's mean
	MeanShift   float64   `json:"mean_shift"`            // mean minus the reference's, in standard deviations of the reference, of 0.001 at least
	OtherModel  uint64    `json:"other_model,omitempty"` // predictions of another model than the profile's
	Counts      []uint64  `json:"counts"`                // rows by bin
}

// Report compares what was counted so far with the profile; now tells which windows are
// over.
func (m *Monitor) Report(now time.Time) *Report { return m.Snapshot().Report(now) }

// Report compares the counts with the profile; now tells which windows are over.
func (s *Snapshot) Report(now time.Time) *Report {
	r := &Report{
		Time: now.UTC(), Verdict: TooFewRows, Model: s.profile.Model.String(), Profile: s.counted.Profile, Window: s.counted.Seconds,
		MinRows: s.minRows, Threshold: s.threshold, Late: s.counted.Late, Routes: []RouteReport{},
	}
	columns := s.profile.columns()
	for i := range s.counted.Routes {
		counted := &s.counted.Routes[i]
		route := RouteReport{Route: counted.Route, Verdict: TooFewRows, Columns: []ColumnReport{}}
		for j, ref := range columns {
			c := s.column(counted, j, ref, s.number(now))
			if len(c.Windows) > 0 {
				route.Columns = append(route.Columns, c)
				route.Verdict = graver(route.Verdict, c.Verdict)
			}
		}
		r.Routes = append(r.Routes, route)
		r.Verdict = graver(r.Verdict, route.Verdict)
	}
	return r
}

// column reports on a column of a route; the windows before open are over.
func (s *Snapshot) column(route *routeCounts, j int, ref *Column, open int64) ColumnReport {
	c := ColumnReport{Name: ref.Name, Verdict: TooFewRows, Windows: []WindowReport{}}
	judged, above := 0, 0 // windows; and the last of them in a row that are above
	var first time.Time   // of those
	for k := range route.Windows {
		w := s.window(&route.Windows[k], j, ref, open)
		if w.Rows == 0 {
			continue
		}
		c.Windows = append(c.Windows, w)
		if !s.judged(&w) {
			continue
		}
		if w.OtherModel > 0 {
			judged, above, c.Verdict = 0, 0, OtherModel
			continue
		}
		if judged++; !w.Above {
			above = 0
		} else if above++; above == 1 {
			first = w.Start
		}
		switch {
		case above >= 2:
			c.Verdict = Drifted
		case judged >= 2:
			c.Verdict = Stable
		default:
			c.Verdict = TooFewRows
		}
	}
	if c.Verdict == Drifted {
		c.Since = &first
	}
	return c
}

// judged reports whether a window counts for the verdict.
func (s *Snapshot) judged(w *WindowReport) bool { return w.Over && w.Rows >= uint64(s.minRows) }

func (s *Snapshot) window(counted *windowCounts, j int, ref *Column, open int64) WindowReport {
	c := &counted.Columns[j]
	values := c.values()
	w := WindowReport{
		Start: time.Unix(counted.Number*s.counted.Seconds, 0).UTC(), Over: counted.Number < open,
		Rows: values + c.Nulls, Counts: c.Bins,
	}
	if w.Rows == 0 {
		return w
	}
	if j == len(counted.Columns)-1 {
		w.OtherModel = counted.OtherModel
	}
	rows := float64(w.Rows)
	var bins int
	w.PSI, bins = psi(ref, c)
	w.Threshold = threshold(s.threshold, bins, float64(s.profile.Rows), rows)
	w.Above = s.judged(&w) && w.OtherModel == 0 && w.PSI > w.Threshold
	w.NullRate = float64(c.Nulls) / rows
	w.OutOfRange = float64(c.Below+c.Above) / rows
	if values > 0 {
		w.JSDistance, w.KS, w.Wasserstein = distances(ref, c)
		shift := c.Shift / float64(values)
		w.Mean = finite(ref.Mean + shift)
		w.MeanShift = finite(shift / math.Max(ref.Std, 0.001))
	}
	return w
}

// EachColumn calls f for each route and column that has a verdict other than TooFewRows,
// with figures of the last window that was judged: for metrics. The column is a feature's
// name or "prediction".
func (m *Monitor) EachColumn(now time.Time, f func(route, column string, psi, nullRate float64, verdict string)) {
	s := m.Snapshot()
	for _, r := range s.Report(now).Routes {
		for _, c := range r.Columns {
			for k := len(c.Windows) - 1; k >= 0 && c.Verdict != TooFewRows; k-- {
				if w := &c.Windows[k]; s.judged(w) {
					f(r.Route, c.Name, w.PSI, w.NullRate, string(c.Verdict))
					break
				}
			}
		}
	}
}
