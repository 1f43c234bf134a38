package xgboost

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/golden"
)

const models = "../../testdata/models/xgboost-*"

// A predictor is a forest or a linear model.
type predictor interface {
	Features() int
	Outputs() int
	Predict(dst, rows []float64)
}

func (f *File) predictor() predictor {
	if f.Forest != nil {
		return f.Forest
	}
	return f.Linear
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

// TestRead_golden compares all predictions and margins with XGBoost's own, bit for
// bit.
func TestRead_golden(t *testing.T) {
	for _, c := range golden.Cases(t, models) {
		t.Run(caseName(c.Dir), func(t *testing.T) {
			if caseName(c.Dir) == "vector-leaf" {
				return // see TestRead_refusesVectorLeaves
			}
			for format, data := range formats(t, c.Dir) {
				if !Is(data) {
					t.Errorf("Is(%s) = false", format)
				}
				for prefix, best := range map[string]bool{"": false, "best_": true} {
					for column, margin := range map[string]bool{"y": false, "margin": true} {
						want, width := c.Want.Columns(prefix + column)
						if width == 0 && best {
							continue
						}
						f, err := Read(data, Options{BestIteration: best, Margin: margin})
						if err != nil {
							t.Fatal(err)
						}
						if f.Format != format {
							t.Errorf("format %s: want %s", f.Format, format)
						}
						p := f.predictor()
						if p.Features() != len(c.Rows.Header) || p.Outputs() != width {
							t.Fatalf("%s %s%s: %d features, %d outputs: want %d, %d", format, prefix, column, p.Features(), p.Outputs(), len(c.Rows.Header), width)
						}
						got := make([]float64, len(want))
						p.Predict(got, c.Rows.Values)
						golden.Compare(t, format+" "+prefix+column, got, want)
					}
				}
			}
		})
	}
}

func TestRead_versionAndObjective(t *testing.T) {
	for _, c := range golden.Cases(t, models) {
		dir := c.Dir
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
			case version == "0.90": // not in the file
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
		t.Errorf("names %q, error %v: want neither for generated names", f.Names, err)
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
	c := golden.Cases(t, "../../testdata/models/xgboost-regression")[0]
	data := formats(t, c.Dir)["json"]
	edited := []byte(strings.Replace(string(data), `"reg:squarederror"`, `"reg:ours"`, 1))
	f, err := Read(edited, Options{Margin: true})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := c.Want.Columns("margin")
	got := make([]float64, len(want))
	f.Forest.Predict(got, c.Rows.Values)
	golden.Compare(t, "margin", got, want)
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
