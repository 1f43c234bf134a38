package drift_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/basket-go/basket/drift"
)

// TestMonitor_figures compares with what Evidently and NannyML compute with the same
// bins; testdata/make_figures.py made the figures.
func TestMonitor_figures(t *testing.T) {
	text, err := os.ReadFile("testdata/figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name   string
		Column drift.Column
		Window []*float64
		Want   map[string]float64
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	wasserstein := 0
	for _, c := range cases {
		rows := c.Column.Nulls
		for _, n := range c.Column.Counts {
			rows += n
		}
		p := newProfile(t, newRows(1, 100))
		p.Rows, p.Features = rows, []drift.Column{c.Column}
		p.Prediction = c.Column
		m := newMonitor(t, p)
		for _, v := range c.Window {
			value := math.NaN()
			if v != nil {
				value = *v
			}
			e := event([]float64{value}, value, time.Unix(0, 0))
			e.Features = []string{"x", "y"}[:1]
			m.LogModel(t.Context(), e)
		}
		w := m.Report(time.Unix(600, 0)).Routes[0].Columns[0].Windows[0]
		got := map[string]float64{
			"psi": w.PSI, "js_distance": w.JSDistance, "ks": w.KS, "wasserstein": w.Wasserstein,
			"mean": w.Mean, "null_rate": w.NullRate, "out_of_range_rate": w.OutOfRange,
		}
		for name, want := range c.Want {
			if math.Abs(got[name]-want) > 1e-12*max(1, math.Abs(want)) {
				t.Errorf("%s: %s is %v, want %v", c.Name, name, got[name], want)
			}
			if name == "wasserstein" {
				wasserstein++
			}
		}
	}
	if len(cases) < 10 || wasserstein < 8 {
		t.Errorf("%d cases, %d of them with wasserstein: want more", len(cases), wasserstein)
	}
}
