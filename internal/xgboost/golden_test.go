package xgboost

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A predictor is what a forest and a linear model have in common.
type predictor interface {
	Features() int
	Margins() int
	Outputs() int
	Margin(dst, rows []float64)
	Predict(dst, rows []float64)
}

func (f *File) predictor() predictor {
	if f.Forest != nil {
		return f.Forest
	}
	return f.Linear
}

// cases returns the directories that make_xgboost.py wrote.
func cases(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("../../testdata/models/xgboost-*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no models in testdata: %v", err)
	}
	return dirs
}

func caseName(dir string) string {
	return strings.TrimPrefix(filepath.Base(dir), "xgboost-")
}

// formats returns the files of one model, by format.
func formats(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for name, ext := range map[string]string{"json": "json", "ubjson": "ubj", "binary": "bin"} {
		data, err := os.ReadFile(filepath.Join(dir, "model."+ext))
		if err == nil {
			files[name] = data
		}
	}
	if len(files) == 0 {
		t.Fatalf("%s has no model", dir)
	}
	return files
}

// table reads a CSV file: its values row by row, and by the names of columns
// without their numbers.
func table(t testing.TB, path string) (rows []float64, columns map[string][]float64) {
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
	columns = map[string][]float64{}
	for _, record := range records[1:] {
		for j, word := range record {
			v := math.NaN()
			if word != "" {
				if v, err = strconv.ParseFloat(word, 64); err != nil {
					t.Fatal(err)
				}
			}
			rows = append(rows, v)
			name := strings.TrimRight(records[0][j], "0123456789")
			columns[name] = append(columns[name], v)
		}
	}
	return rows, columns
}

func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

func wantSame(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values: want %d", what, len(got), len(want))
	}
	for i := range got {
		if !same(got[i], want[i]) {
			t.Errorf("%s %d = %v: want %v", what, i, got[i], want[i])
		}
	}
}

// TestRead_golden compares all predictions with XGBoost's own, bit for bit.
func TestRead_golden(t *testing.T) {
	for _, dir := range cases(t) {
		t.Run(caseName(dir), func(t *testing.T) {
			if caseName(dir) == "vector-leaf" {
				return // is refused, see TestRead_refusesVectorLeaves
			}
			rows, _ := table(t, filepath.Join(dir, "rows.csv"))
			_, want := table(t, filepath.Join(dir, "want.csv"))
			for format, data := range formats(t, dir) {
				if !Is(data) {
					t.Errorf("Is(%s) = false", format)
				}
				for prefix, best := range map[string]bool{"": false, "best_": true} {
					if want[prefix+"y"] == nil {
						continue
					}
					f, err := Read(data, Options{BestIteration: best})
					if err != nil {
						t.Fatal(err)
					}
					if f.Format != format {
						t.Errorf("format %s: want %s", f.Format, format)
					}
					p := f.predictor()
					n := len(rows) / p.Features()
					y := make([]float64, n*p.Outputs())
					p.Predict(y, rows)
					wantSame(t, format+" "+prefix+"y", y, want[prefix+"y"])
					margin := make([]float64, n*p.Margins())
					p.Margin(margin, rows)
					wantSame(t, format+" "+prefix+"margin", margin, want[prefix+"margin"])

					f, err = Read(data, Options{BestIteration: best, Margin: true})
					if err != nil {
						t.Fatal(err)
					}
					f.predictor().Predict(margin, rows)
					wantSame(t, format+" "+prefix+"margin asked for", margin, want[prefix+"margin"])
				}
			}
		})
	}
}

func TestRead_tellsVersionAndObjective(t *testing.T) {
	for _, dir := range cases(t) {
		var origin struct {
			Version string
			Params  struct{ Objective string }
		}
		data, err := os.ReadFile(filepath.Join(dir, "origin.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &origin); err != nil {
			t.Fatal(err)
		}
		for format, data := range formats(t, dir) {
			if caseName(dir) == "vector-leaf" {
				continue
			}
			f, err := Read(data, Options{})
			if err != nil {
				t.Fatal(err)
			}
			version := origin.Version
			switch {
			case version == "0.90": // does not tell
				version = ""
			case format == "binary":
				version = version[:3]
			}
			if f.Version != version || f.Objective != origin.Params.Objective {
				t.Errorf("%s, %s: version %q, objective %q: want %q, %q", dir, format, f.Version, f.Objective, version, origin.Params.Objective)
			}
		}
	}
}

func TestRead_names(t *testing.T) {
	data := formats(t, "../../testdata/models/xgboost-names")["json"]
	f, err := Read(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"price", "items", "the \"n\" of\nregulars", "größe"}
	if strings.Join(f.Names, "|") != strings.Join(want, "|") {
		t.Errorf("names %q: want %q", f.Names, want)
	}
	edited := strings.NewReplacer(`"price"`, `"f0"`, `"items"`, `"f1"`, `"the \"n\" of\nregulars"`, `"\u00662"`, `"größe"`, `"f3"`).Replace(string(data))
	if f, err = Read([]byte(edited), Options{}); err != nil || f.Names != nil {
		t.Errorf("names %q, error %v: want neither, for names made up", f.Names, err)
	}
}

func TestRead_bestIterationWithoutOneUsesAllTrees(t *testing.T) {
	data := formats(t, "../../testdata/models/xgboost-regression")["json"]
	f, err := Read(data, Options{BestIteration: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := f.Forest.Trees(); n != 3 {
		t.Errorf("%d trees: want 3", n)
	}
}

func TestRead_unknownObjectiveGivesMargins(t *testing.T) {
	dir := "../../testdata/models/xgboost-regression"
	data := formats(t, dir)["json"]
	edited := []byte(strings.Replace(string(data), `"reg:squarederror"`, `"reg:ours"`, 1))
	f, err := Read(edited, Options{Margin: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, _ := table(t, filepath.Join(dir, "rows.csv"))
	_, want := table(t, filepath.Join(dir, "want.csv"))
	got := make([]float64, len(want["margin"]))
	f.Forest.Predict(got, rows)
	wantSame(t, "margin", got, want["margin"])
}

func TestIs(t *testing.T) {
	for _, c := range []struct {
		data string
		want bool
	}{
		{"", false},
		{"{", false},
		{"{}", false},
		{`{"learner"`, true},
		{"{\n \t\"learner\"", true},
		{"{L\x00", true},
		{"{x", false},
		{"binf", true},
		{"bin", false},
		{"tree\nversion=v4\n" + strings.Repeat("x", 300), false},
		{"\x80\x04\x95" + strings.Repeat("\x00", 300), false},
		{strings.Repeat("\x00", 300), false},
	} {
		if got := Is([]byte(c.data)); got != c.want {
			t.Errorf("Is(%.20q) = %v: want %v", c.data, got, c.want)
		}
	}
}

func TestLinear_panicsOnLengths(t *testing.T) {
	f, err := Read(formats(t, "../../testdata/models/xgboost-linear")["json"], Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	f.Linear.Predict(make([]float64, 2), make([]float64, f.Linear.Features()))
}
