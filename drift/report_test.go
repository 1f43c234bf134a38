package drift_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/basket-go/basket/drift"
	"github.com/google/go-cmp/cmp"
)

// serve logs n predictions of new rows in a window; the baskets cost factor times as much.
func serve(t testing.TB, m *drift.Monitor, r *rand.Rand, window, n int, factor float64) {
	t.Helper()
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = newRow(r)
		rows[i][0] *= factor
	}
	predictions := predict(t, loadedModel, rows)
	for i, row := range rows {
		m.LogModel(t.Context(), event(row, predictions[i], at(window)))
	}
}

// TestReport_pricesTimes1_3 reports prices that rise by 30 % when two windows are over,
// and tells since when.
func TestReport_pricesTimes1_3(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 20_000)))
	r := rand.New(rand.NewPCG(5, 6))
	verdict := func(window int) drift.ColumnReport { return m.Report(at(window)).Routes[0].Columns[0] }
	for window := range 4 {
		serve(t, m, r, window, 1000, 1)
	}
	if c := verdict(4); c.Verdict != drift.Stable || c.Since != nil {
		t.Errorf("before: %s since %v, want stable", c.Verdict, c.Since)
	}
	serve(t, m, r, 4, 1000, 1.3)
	if c := verdict(5); c.Verdict != drift.Stable {
		t.Errorf("after one window: %s, want stable", c.Verdict)
	}
	serve(t, m, r, 5, 1000, 1.3)
	if c := verdict(5); c.Verdict != drift.Stable {
		t.Errorf("in the second window: %s, want stable", c.Verdict)
	}
	if c := verdict(6); c.Verdict != drift.Drifted || c.Since == nil || !c.Since.Equal(at(4)) {
		t.Errorf("after two windows: %s since %v, want drift since %v", c.Verdict, c.Since, at(4))
	}
	report := m.Report(at(6))
	if report.Verdict != drift.Drifted || report.Routes[0].Verdict != drift.Drifted {
		t.Errorf("verdict %s, of the route %s: want drift", report.Verdict, report.Routes[0].Verdict)
	}
	for _, c := range report.Routes[0].Columns[1:4] { // counts of items and regulars stay
		if c.Verdict != drift.Stable {
			t.Errorf("%s: %s, want stable", c.Name, c.Verdict)
		}
	}
	serve(t, m, r, 6, 1000, 1)
	if c := verdict(7); c.Verdict != drift.Stable || c.Since != nil {
		t.Errorf("after a window at the old prices: %s since %v, want stable", c.Verdict, c.Since)
	}
}

// TestReport_falseAlarms serves 1,000 windows of 1,000 rows each that are like the
// reference. With the least threshold, a window is above it in 0.1 % of the cases, which
// checks the chi-square quantiles too.
func TestReport_falseAlarms(t *testing.T) {
	const windows, rows = 1000, 1000
	m := newMonitor(t, newProfile(t, newRows(1, 20_000)), drift.WithWindows(windows), drift.WithThreshold(1e-6))
	r := rand.New(rand.NewPCG(7, 8))
	for window := range windows {
		serve(t, m, r, window, rows, 1)
	}
	above, alarms, judged, aboveDefault := 0, 0, 0, 0
	for _, c := range m.Report(at(windows)).Routes[0].Columns {
		for i, w := range c.Windows {
			judged++
			if w.PSI > 0.1 {
				aboveDefault++
			}
			if w.Above {
				above++
				if i > 0 && c.Windows[i-1].Above {
					alarms++
				}
			}
		}
	}
	t.Logf("%d of %d windows above the least threshold, %d alarms; %d above 0.1", above, judged, alarms, aboveDefault)
	if judged != 5*windows || above < 1 || above > 20 { // 5 are expected
		t.Errorf("%d of %d windows above the least threshold, want 1 to 20 of %d", above, judged, 5*windows)
	}
	if alarms > 2 || aboveDefault > 2 {
		t.Errorf("%d alarms, %d windows above the default threshold: want at most 2", alarms, aboveDefault)
	}
}

// TestReport_verdict walks through windows: the number of rows, and the factor of the
// prices.
func TestReport_verdict(t *testing.T) {
	type window struct {
		rows   int
		factor float64
	}
	tests := []struct {
		name    string
		windows []window
		want    drift.Verdict
		since   int // window; -1 for none
	}{
		{"one window", []window{{1000, 2}}, drift.TooFewRows, -1},
		{"few rows", []window{{499, 2}, {499, 2}, {499, 2}}, drift.TooFewRows, -1},
		{"two windows", []window{{500, 2}, {500, 2}}, drift.Drifted, 0},
		{"windows of few rows are passed over", []window{{1000, 2}, {100, 1}, {0, 0}, {1000, 2}, {100, 1}}, drift.Drifted, 0},
		{"not in a row", []window{{1000, 2}, {1000, 1}, {1000, 2}}, drift.Stable, -1},
		{"for longer", []window{{1000, 2}, {1000, 1}, {1000, 2}, {1000, 3}, {1000, 2}}, drift.Drifted, 2},
		{"over", []window{{1000, 2}, {1000, 2}, {1000, 1}}, drift.Stable, -1},
	}
	p := newProfile(t, newRows(1, 20_000))
	for _, test := range tests {
		m := newMonitor(t, p)
		r := rand.New(rand.NewPCG(9, 10))
		for i, w := range test.windows {
			if w.rows > 0 {
				serve(t, m, r, i, w.rows, w.factor)
			}
		}
		c := m.Report(at(len(test.windows))).Routes[0].Columns[0]
		since := -1
		if c.Since != nil {
			since = int(c.Since.Sub(at(0)) / (5 * time.Minute))
		}
		if c.Verdict != test.want || since != test.since {
			t.Errorf("%s: %s since window %d, want %s since %d", test.name, c.Verdict, since, test.want, test.since)
		}
	}
}

// TestReport_otherModel does not judge the predictions of a model that the profile does
// not belong to, such as a shadow's, but its rows.
func TestReport_otherModel(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 20_000)))
	rows := newRows(11, 1000)
	log := func(window int, model string) {
		for _, row := range rows {
			e := event(row, 1, at(window))
			e.Model = model
			m.LogModel(t.Context(), e)
			e.Route, e.Shadow = "next", true
			m.LogModel(t.Context(), e)
		}
	}
	verdicts := func(window int) (all []string) {
		for _, r := range m.Report(at(window)).Routes {
			for _, c := range r.Columns {
				all = append(all, r.Route+" "+c.Name+" "+string(c.Verdict))
			}
		}
		return all
	}
	log(0, otherModel(t).String())
	log(1, otherModel(t).String())
	want := []string{
		"main prior_basket_value stable", "main prior_item_count stable", "main prior_regulars_count stable",
		"main regulars_count stable", "main prediction other model", "next prediction other model",
	}
	if diff := cmp.Diff(want, verdicts(2)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	log(2, "price@1, "+profileModel)
	want[4], want[5] = "main prediction too few rows", "next prediction too few rows"
	if diff := cmp.Diff(want, verdicts(3)); diff != "" {
		t.Errorf("one window of the profile's model: -want +got\n%s", diff)
	}
	log(3, profileModel)
	want[4], want[5] = "main prediction drift", "next prediction drift" // all are 1
	if diff := cmp.Diff(want, verdicts(4)); diff != "" {
		t.Errorf("two windows of it: -want +got\n%s", diff)
	}
	log(4, loadModel(t, marginOption).String())
	want[4], want[5] = "main prediction other model", "next prediction other model"
	if diff := cmp.Diff(want, verdicts(5)); diff != "" {
		t.Errorf("margins: -want +got\n%s", diff)
	}
	log(5, profileModel)
	want[4], want[5] = "main prediction too few rows", "next prediction too few rows"
	if diff := cmp.Diff(want, verdicts(6)); diff != "" {
		t.Errorf("one window of the profile's model again: -want +got\n%s", diff)
	}
}

func TestMonitor_EachColumn(t *testing.T) {
	m := newMonitor(t, newProfile(t, newRows(1, 20_000)))
	r := rand.New(rand.NewPCG(13, 14))
	serve(t, m, r, 0, 1000, 1)
	serve(t, m, r, 1, 1000, 3)
	serve(t, m, r, 2, 1000, 2)
	serve(t, m, r, 3, 10, 1)
	first := m.Report(at(4)).Routes[0].Columns[0]
	var got []string
	m.EachColumn(at(4), func(route, column string, psi, nullRate float64, verdict string) {
		got = append(got, fmt.Sprint(route, " ", column, " ", nullRate, " ", verdict))
		if column == first.Name && psi != first.Windows[2].PSI {
			t.Errorf("PSI %v, want that of the last window with enough rows, %v", psi, first.Windows[2].PSI)
		}
	})
	want := []string{
		"main prior_basket_value 0 drift", "main prior_item_count 0 stable", "main prior_regulars_count 0 stable",
		"main regulars_count 0 stable", "main prediction 0 drift",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	m.EachColumn(at(1), func(route, column string, _, _ float64, _ string) {
		t.Errorf("%s %s: called before two windows are over", route, column)
	})
}
