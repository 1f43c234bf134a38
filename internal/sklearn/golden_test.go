package sklearn

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/golden"
	"github.com/basket-go/basket/internal/libm"
)

const models = "../../testdata/models/"

// readModel returns the model of a case.
func readModel(t testing.TB, folder string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "model.joblib"))
	if err != nil {
		data, err = os.ReadFile(filepath.Join(folder, "model.pkl"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// summand returns the largest summand of the prediction for row, and whether the
// prediction may differ from scikit-learn's by some ulps of it.
func summand(p *Pipeline, row []float64, prediction float64) (float64, bool) {
	most, loose := math.Abs(prediction), p.forest == nil
	for j, c := range p.coef {
		seen := column{from: j}
		if p.columns != nil {
			seen = p.columns[j]
		}
		v, _ := seen.compute(row)
		most = max(most, math.Abs(c*v))
	}
	if p.forest == nil {
		most = max(most, math.Abs(p.intercept))
	}
	for _, o := range p.target {
		switch {
		case o.kind >= opLog1p:
			loose = true
		case o.kind == opMultiply:
			most *= math.Abs(o.a)
		case o.kind == opAdd:
			most = max(most, math.Abs(o.a))
		}
	}
	return max(most, math.Abs(prediction)), loose
}

func TestGolden(t *testing.T) {
	cases := golden.Cases(t, models+"sklearn-*")
	if len(cases) < 30 {
		t.Fatalf("%d models", len(cases))
	}
	for _, c := range cases {
		name := strings.TrimPrefix(filepath.Base(c.Dir), "sklearn-")
		t.Run(name, func(t *testing.T) {
			file, err := Read(readModel(t, c.Dir), Options{})
			if err != nil {
				t.Fatal(err)
			}
			rows, width := c.Rows.Values, len(c.Rows.Header)
			want, outputs := c.Want.Columns("y")
			p := file.Pipeline
			if p.Features() != width || p.Outputs() != outputs {
				t.Fatalf("%d features, %d outputs: want %d, %d", p.Features(), p.Outputs(), width, outputs)
			}
			got := make([]float64, len(want))
			p.Predict(got, rows)
			for i, v := range got {
				row := rows[i*width:][:width]
				one := make([]float64, 1)
				if p.Predict(one, row); math.Float64bits(one[0]) != math.Float64bits(v) {
					t.Errorf("row %d: %v alone, %v among others", i, one[0], v)
				}
				most, loose := summand(p, row, want[i])
				// exp of a forest's sum
				loose = loose || strings.Contains(name, "poisson") && strings.Contains(name, "hist") || strings.Contains(name, "gamma")
				ulp := math.Nextafter(most, math.Inf(1)) - most
				switch {
				case v != v || want[i] != want[i]:
					if (v != v) != (want[i] != want[i]) {
						t.Errorf("row %d %v: %v, want %v", i, row, v, want[i])
					}
				case loose && math.Abs(v-want[i]) > 4*ulp, !loose && v != want[i]:
					t.Errorf("row %d %v: %v, want %v: %.1f ulp of the largest summand", i, row, v, want[i], math.Abs(v-want[i])/ulp)
				}
			}
		})
	}
}

func TestFile(t *testing.T) {
	for _, c := range []struct {
		name, version, estimator string
		names                    string
		forest                   bool
	}{
		{"rf-frame", "1.9.1", "RandomForestRegressor", "value,items,regulars,known share", true},
		{"tree-1.2", "1.2.2", "DecisionTreeRegressor", "", true},
		{"columns-name", "1.9.1", "Pipeline", "value,items,regulars,known share", false},
		{"target-log1p", "1.9.1", "TransformedTargetRegressor", "", false},
		{"hist-categorical-1.3", "1.3.2", "HistGradientBoostingRegressor", "", true},
		{"hist-sparse-categories", "1.9.1", "HistGradientBoostingRegressor", "", false},
	} {
		f, err := Read(readModel(t, models+"sklearn-"+c.name), Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if f.Version != c.version || f.Estimator != c.estimator || strings.Join(f.Names, ",") != c.names || (f.Forest != nil) != c.forest {
			t.Errorf("%s: %+v, want %+v", c.name, f, c)
		}
		if f.Forest != nil && f.Forest.Features() != f.Pipeline.Features() {
			t.Errorf("%s: the forest has %d features, the pipeline %d", c.name, f.Forest.Features(), f.Pipeline.Features())
		}
	}
}

// TestRead_margin checks that the link and the target's transformation of margins give
// the predictions, and that Explain adds up to the margins.
func TestRead_margin(t *testing.T) {
	for _, c := range golden.Cases(t, models+"sklearn-*") {
		data := readModel(t, c.Dir)
		with, err := Read(data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		without, err := Read(data, Options{Margin: true})
		if err != nil {
			t.Fatal(err)
		}
		width := len(c.Rows.Header)
		contributions := make([]float64, width)
		for i := range len(c.Rows.Values) / width {
			row := c.Rows.Values[i*width:][:width]
			var prediction, margin [1]float64
			with.Pipeline.Predict(prediction[:], row)
			without.Pipeline.Predict(margin[:], row)
			bias, err := with.Pipeline.Explain(t.Context(), contributions, row)
			if err != nil {
				t.Fatal(err)
			}
			sum, size := bias, math.Abs(bias)
			for _, c := range contributions {
				sum, size = sum+c, max(size, math.Abs(c))
			}
			if d := math.Abs(sum - margin[0]); d > 1e-9*size || math.IsNaN(d) && !math.IsNaN(margin[0]) && !math.IsInf(margin[0], 0) {
				t.Errorf("%s: row %v: contributions add up to %v, want %v", c.Dir, row, sum, margin[0])
			}
			want := margin[0]
			if name := filepath.Base(c.Dir); strings.Contains(name, "poisson") || strings.Contains(name, "gamma") {
				want = libm.Exp(want)
			}
			for k, ok := 0, true; k < len(with.Pipeline.target) && ok; k++ {
				if want, ok = with.Pipeline.target[k].apply(want); !ok {
					want = math.NaN()
				}
			}
			golden.Compare(t, c.Dir, prediction[:], []float64{want})
		}
	}
}

func TestPipeline_allocatesNothing(t *testing.T) {
	for _, name := range []string{"rf-missing", "pipeline-imputer-gb", "columns-bool", "target-pipeline", "elasticnet"} {
		f, err := Read(readModel(t, models+"sklearn-"+name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]float64, 100*f.Pipeline.Features())
		dst := make([]float64, 100)
		if n := testing.AllocsPerRun(10, func() { f.Pipeline.Predict(dst, rows) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestDot(t *testing.T) {
	for _, c := range []struct {
		a, b   []float64
		want   float64
		reason string
	}{
		{nil, nil, 0, ""},
		{[]float64{1e16, 1, -1e16}, []float64{1, 1, 1}, 1, "a plain sum loses the 1"},
		{[]float64{0x1p-30 + 1, -1}, []float64{0x1p-30 + 1, 1 + 0x1p-29}, 0x1p-60, "a product's low half counts"},
		{[]float64{1e200, 1}, []float64{1e200, 1}, math.Inf(1), "not NaN, although the rest is"},
	} {
		if got := dot(c.a, c.b); got != c.want {
			t.Errorf("dot(%v, %v) = %v, want %v: %s", c.a, c.b, got, c.want, c.reason)
		}
	}
}
