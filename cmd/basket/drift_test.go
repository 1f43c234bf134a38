package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"github.com/basket-go/basket/serve"
)

// newProfile runs basket profile for the demo.
func newProfile(t *testing.T) (path string, p *drift.Profile) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "profile.json")
	if out := mustRun(t, "profile", "--data", demo, "--model", demo+"/model.txt", "--out", path); out != "" {
		t.Errorf("output %q, want none", out)
	}
	p, err := drift.LoadProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, p
}

func TestProfile(t *testing.T) {
	_, p := newProfile(t)
	model, err := basket.LoadModel(demo + "/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckModel(model); err != nil {
		t.Error(err)
	}
	// The rows are those of basket features.
	out := filepath.Join(t.TempDir(), "rows.parquet")
	mustRun(t, "features", "--data", demo, "--out", out)
	in, columns, err := openInput(out, model)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	rows, sum := 0, 0.0
	for batch, err := range in.rows(t.Context(), columns) {
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(batch); i += len(columns) {
			rows++
			sum += batch[i]
		}
	}
	if p.Meaning != "last-order" || p.Rows != int64(rows) || math.Abs(p.Features[0].Mean-sum/float64(rows)) > 1e-9 {
		t.Errorf("meaning %q, %d rows, mean %v: want last-order, %d, %v", p.Meaning, p.Rows, p.Features[0].Mean, rows, sum/float64(rows))
	}
}

func TestProfile_faults(t *testing.T) {
	out := filepath.Join(t.TempDir(), "profile.json")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--data", demo, "--model", demo + "/model.txt", "--out", "profile.txt"}, "want a file name that ends in .json"},
		{[]string{"--data", demo, "--model", "none", "--out", out}, "none: no such file"},
		{[]string{"--data", demo, "--model", demo + "/model.txt", "--out", out, "--bins", "1"}, "WithBins(1): want 2 to 20"},
		{[]string{"--data", demo, "--model", models + "lightgbm-multiclass/model.txt", "--out", out}, "3 predictions per row: want 1"},
	} {
		code, _, errs := runBasket(t, append([]string{"profile"}, test.args...)...)
		if code != 1 || !strings.Contains(errs, test.want) {
			t.Errorf("%q: status %d, %s, want %q in it", test.args, code, errs, test.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("there is a profile after faults")
	}
}

// writeLog writes a model log as basket serve does: two windows of 1,000 rows, with
// prices times factor; a value is missing, a prediction failed, a line is cut.
func writeLog(t *testing.T, p *drift.Profile, factor float64) string {
	t.Helper()
	var b strings.Builder
	logger := serve.NewSlogLogger(slog.New(slog.NewJSONHandler(&b, nil)))
	r := rand.New(rand.NewPCG(1, 2))
	var features []string
	for _, c := range p.Features {
		features = append(features, c.Name)
	}
	for i := range 2000 {
		e := basket.ModelEvent{Time: time.Unix(1_800_000_000, 0).Add(time.Duration(i) * 300 * time.Millisecond), Answer: math.NaN()}
		e.UserID, e.Route, e.Model, e.Features = "u", "main", "model", features
		e.Row.Values = make([]float64, len(features))
		k := r.IntN(101)
		for j := range features {
			e.Row.Values[j] = p.Features[j].Quantiles[k]
		}
		e.Row.Values[0] *= factor
		e.Value = p.Prediction.Quantiles[k]
		switch i {
		case 0:
			e.Row.Values[3] = math.NaN()
		case 1:
			e.Err = basket.ErrPrediction
		}
		logger.LogModel(t.Context(), e)
		e.Route, e.Shadow = "next", true
		logger.LogModel(t.Context(), e)
	}
	path := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(path, []byte(b.String()+`{"msg":"predic`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDrift(t *testing.T) {
	profile, p := newProfile(t)
	for _, test := range []struct {
		factor float64
		want   drift.Verdict
	}{{1, drift.Stable}, {2, drift.Drifted}} {
		code, out, errs := runBasket(t, "drift", "--profile", profile, "--log", writeLog(t, p, test.factor), "--json")
		if code != 0 || !strings.Contains(errs, "lines left out: 1, the first is line 4001: ") {
			t.Fatalf("status %d, %s", code, errs)
		}
		var report drift.Report
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		rows := func(route, column int) (n uint64) {
			for _, w := range report.Routes[route].Columns[column].Windows {
				n += w.Rows
			}
			return n
		}
		if len(report.Routes) != 2 || len(report.Routes[0].Columns) != 5 || rows(0, 0) != 1999 || rows(0, 3) != 1999 || rows(0, 4) != 1999 || len(report.Routes[1].Columns) != 1 || rows(1, 0) != 1999 {
			t.Errorf("report %s", out)
		}
		main := report.Routes[0]
		if main.Columns[0].Verdict != test.want || main.Columns[4].Verdict != drift.OtherModel || main.Columns[3].Windows[0].NullRate != 1.0/999 {
			t.Errorf("factor %v: %s: %s, %s: %s, missing %v", test.factor, main.Columns[0].Name, main.Columns[0].Verdict, main.Columns[4].Name, main.Columns[4].Verdict, main.Columns[3].Windows[0].NullRate)
		}
	}
}

func TestDrift_text(t *testing.T) {
	profile, p := newProfile(t)
	code, out, _ := runBasket(t, "drift", "--profile", profile, "--log", writeLog(t, p, 2), "--route", "main")
	if code != 0 {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		"drift: model sha256:", "route main: drift\n", "prior_basket_value: drift since 2027-01-15T08:00:00Z; 2 of 2 windows",
		"prior_item_count: stable;", "prediction: other model;", "░", "█", "    below 19.6251 ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for _, line := range strings.Split(out, "\n") {
		if n := len([]rune(line)); n > 100 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	t.Log(out)
	if strings.Contains(out, "route next") {
		t.Error("--route main reports on the route next")
	}
}

func TestDrift_faults(t *testing.T) {
	profile, p := newProfile(t)
	log := writeLog(t, p, 1)
	record := func(fields string) string {
		return fmt.Sprintf(`{"msg":"prediction","time":"2026-01-02T03:04:05Z",%s}`, fields)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--profile", log, "--log", log}, "drift: bad data: profile: line 1"},
		{[]string{"--profile", profile, "--log", profile}, "line 1: "},
		{[]string{"--profile", profile, "--log", demo}, "is a folder"},
		{[]string{"--profile", profile, "--log", log, "--route", "none"}, "--route none: has no prediction"},
		{[]string{"--profile", profile, "--log", log, "--window", "1ms", "--threshold=-1"}, "WithThreshold(-1)"},
		{[]string{"--profile", profile, "--log", writeInput(t, "")}, "has no line of a prediction"},
		{[]string{"--profile", profile, "--log", writeInput(t, strings.Repeat("x", 3<<20))}, "line 1: over 1048576 bytes"},
		{[]string{"--profile", profile, "--log", writeInput(t, record(`"value":1,"features":{}`))}, "line 1: route: missing"},
		{[]string{"--profile", profile, "--log", writeInput(t, record(`"route":"a","features":{}`))}, "line 1: value: missing"},
		{[]string{"--profile", profile, "--log", writeInput(t, record(`"route":"a","value":1`))}, "line 1: features: missing"},
		{[]string{"--profile", profile, "--log", writeInput(t, record(`"route":"a","value":1,"features":{"prior_item_count":1}`))}, `line 1: features: "prior_basket_value" is missing`},
		{[]string{"--profile", profile, "--log", writeInput(t, record(`"route":"a","value":"x","features":{}`))}, "line 1: "},
	} {
		code, _, errs := runBasket(t, append([]string{"drift"}, test.args...)...)
		if code != 1 || !strings.Contains(errs, test.want) {
			t.Errorf("%q: status %d, %.300s, want %q in it", test.args, code, errs, test.want)
		}
	}
}

// FuzzReadPrediction checks that a line of a log is a prediction of the profile's
// features or a fault.
func FuzzReadPrediction(f *testing.F) {
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","msg":"prediction","route":"a","value":1.5,"features":{"x":null,"y":2}}`))
	f.Add([]byte(`{"time":"2026-01-02T03:04:05Z","msg":"prediction","route":"a","value":1.5,"features":{"x":"!ERROR:json: unsupported value: NaN","y":2}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok, err := readPrediction(line, []string{"x", "y"})
		if ok && (err != nil || len(e.Row.Values) != 2 || e.Route == "" || e.Time.Year() < 1970) {
			t.Fatalf("%+v, %v", e, err)
		}
	})
}
