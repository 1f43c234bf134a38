package sklearn

import (
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const models = "../../testdata/models/"

// readModel returns the bytes of a case's model.
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

// readTable returns the cells of a CSV file, and its number of columns.
func readTable(t *testing.T, path string) ([]float64, int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var cells []float64
	for _, record := range records[1:] {
		for _, text := range record {
			v := math.NaN()
			if text != "" {
				if v, err = strconv.ParseFloat(text, 64); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
			}
			cells = append(cells, v)
		}
	}
	return cells, len(records[0])
}

// summand is the largest number that the prediction for row is a sum of, and
// whether the prediction is one that need not agree to the bit.
func summand(p *Pipeline, row []float64, prediction float64) (float64, bool) {
	most, loose := math.Abs(prediction), p.forest == nil
	for j, c := range p.coef {
		seen := column{from: j}
		if p.columns != nil {
			seen = p.columns[j]
		}
		v, _ := seen.of(row)
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
	folders, err := filepath.Glob(models + "sklearn-*")
	if err != nil || len(folders) < 30 {
		t.Fatalf("%d models, %v", len(folders), err)
	}
	for _, folder := range folders {
		name := filepath.Base(folder)
		t.Run(strings.TrimPrefix(name, "sklearn-"), func(t *testing.T) {
			file, err := Read(readModel(t, folder), Options{})
			if err != nil {
				t.Fatal(err)
			}
			rows, width := readTable(t, filepath.Join(folder, "rows.csv"))
			want, _ := readTable(t, filepath.Join(folder, "want.csv"))
			if file.Pipeline.Features() != width {
				t.Fatalf("%d features, want %d", file.Pipeline.Features(), width)
			}
			got := make([]float64, len(want))
			file.Pipeline.Predict(got, rows)
			for i, v := range got {
				row := rows[i*width:][:width]
				one := make([]float64, 1)
				if file.Pipeline.Predict(one, row); math.Float64bits(one[0]) != math.Float64bits(v) {
					t.Errorf("row %d: %v alone, %v among others", i, one[0], v)
				}
				most, loose := summand(file.Pipeline, row, want[i])
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

func TestRead_margin(t *testing.T) {
	data := readModel(t, models+"sklearn-hist-poisson")
	rows, _ := readTable(t, models+"sklearn-hist-poisson/rows.csv")
	with, err := Read(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	without, err := Read(data, Options{Margin: true})
	if err != nil {
		t.Fatal(err)
	}
	var prediction, margin, of [1]float64
	with.Pipeline.Predict(prediction[:], rows[:4])
	without.Pipeline.Predict(margin[:], rows[:4])
	with.Forest.Margin(of[:], rows[:4])
	if margin != of || math.Abs(math.Log(prediction[0])-margin[0]) > 1e-12 {
		t.Errorf("margin %v, want %v, the log of %v", margin, of, prediction)
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
