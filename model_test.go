package basket_test

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// A golden is a model file with rows and its own library's answers for them.
type golden struct {
	columns int
	rows    []float64
	margin  []float64
	margins int // a row; 0 if the library has none
	y       []float64
	outputs int
}

// checkGolden holds a model against the answers of its own library, to the last
// bit.
func checkGolden(t *testing.T, m basket.Model, g golden) {
	t.Helper()
	f, ok := m.(interface {
		basket.Model
		Outputs() int
		Margins() int
		Margin(ctx context.Context, dst, rows []float64) error
	})
	if !ok {
		t.Fatalf("%T gives no margins", m)
	}
	if len(f.Features()) != g.columns || f.Outputs() != g.outputs || g.margins != 0 && f.Margins() != g.margins {
		t.Fatalf("%d features, %d margins, %d outputs: want %d, %d, %d", len(f.Features()), f.Margins(), f.Outputs(), g.columns, g.margins, g.outputs)
	}
	got := make([]float64, len(g.y))
	if err := f.Predict(t.Context(), got, g.rows); err != nil {
		t.Fatal(err)
	}
	compareBits(t, "y", got, g.y, g)
	if g.margins > 0 {
		got = make([]float64, len(g.margin))
		if err := f.Margin(t.Context(), got, g.rows); err != nil {
			t.Fatal(err)
		}
		compareBits(t, "margin", got, g.margin, g)
	}
	// One row at a time must give the same.
	one := make([]float64, g.outputs)
	for i := range len(g.y) / g.outputs {
		if err := f.Predict(t.Context(), one, g.rows[i*g.columns:][:g.columns]); err != nil {
			t.Fatal(err)
		}
		for k, v := range one {
			if want := g.y[i*g.outputs+k]; math.Float64bits(v) != math.Float64bits(want) && !(math.IsNaN(v) && math.IsNaN(want)) {
				t.Fatalf("row %d alone: %v, want %v", i, one, g.y[i*g.outputs:][:g.outputs])
			}
		}
	}
}

func compareBits(t *testing.T, name string, got, want []float64, g golden) {
	t.Helper()
	width := len(got) * g.columns / len(g.rows)
	bad := 0
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) && !(math.IsNaN(got[i]) && math.IsNaN(want[i])) {
			if bad++; bad <= 3 {
				row := i / width
				t.Errorf("%s of row %d %v: %v, want %v", name, row, g.rows[row*g.columns:][:g.columns], got[i], want[i])
			}
		}
	}
	if bad > 0 {
		t.Errorf("%s: %d of %d differ", name, bad, len(want))
	}
}

// readCSV reads numbers under a header; empty is NaN.
func readCSV(t *testing.T, path string) (header []string, values [][]float64) {
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
	for _, record := range records[1:] {
		row := make([]float64, len(record))
		for j, field := range record {
			row[j] = math.NaN()
			if field != "" {
				if row[j], err = strconv.ParseFloat(field, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		values = append(values, row)
	}
	return records[0], values
}

// TestReadModel_golden reads every model of testdata/models, in each format that
// is there. Their rows stand at thresholds and their neighbours, and at zeros,
// infinities and missing values.
func TestReadModel_golden(t *testing.T) {
	files, _ := filepath.Glob("testdata/models/[lx]*/model.*")
	if len(files) < 55 {
		t.Fatalf("only %d models in testdata/models", len(files))
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(strings.TrimPrefix(file, "testdata/models/"), func(t *testing.T) {
			m, err := basket.LoadModel(file)
			if strings.Contains(dir, "vector-leaf") {
				if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), "leaves that are vectors") {
					t.Errorf("leaves that are vectors: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, m, csvGolden(t, dir, ""))
			if best := csvGolden(t, dir, "best_"); best.outputs > 0 {
				if m, err = basket.LoadModel(file, basket.WithBestIteration()); err != nil {
					t.Fatal(err)
				}
				checkGolden(t, m, best)
			}
		})
	}
}

// csvGolden reads rows.csv, and the columns margin and y of want.csv, the names
// of which start with a prefix.
func csvGolden(t *testing.T, dir, prefix string) golden {
	t.Helper()
	var g golden
	header, values := readCSV(t, filepath.Join(dir, "rows.csv"))
	g.columns = len(header)
	for _, row := range values {
		g.rows = append(g.rows, row...)
	}
	header, values = readCSV(t, filepath.Join(dir, "want.csv"))
	for _, name := range header {
		switch strings.TrimRight(name, "0123456789") {
		case prefix + "margin":
			g.margins++
		case prefix + "y":
			g.outputs++
		}
	}
	for _, row := range values {
		for k, name := range header {
			switch strings.TrimRight(name, "0123456789") {
			case prefix + "margin":
				g.margin = append(g.margin, row[k])
			case prefix + "y":
				g.y = append(g.y, row[k])
			}
		}
	}
	return g
}

func loadForest(t testing.TB, path string, opts ...basket.ModelOption) *basket.Forest {
	t.Helper()
	m, err := basket.LoadModel(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*basket.Forest)
}

const regressionModel = "testdata/models/lightgbm-regression/model.txt"

func TestForest_describes(t *testing.T) {
	f := loadForest(t, regressionModel)
	info := f.Info()
	if !strings.HasPrefix(info.Digest, "sha256:") || len(info.Digest) != len("sha256:")+64 {
		t.Errorf("digest %q", info.Digest)
	}
	if want := "lightgbm v4, 6 trees, " + info.Digest[:18]; f.String() != want {
		t.Errorf("String: %q, want %q", f.String(), want)
	}
	info.Digest, info.Engine, info.Depth = "", "", 0
	want := basket.ModelInfo{Format: "lightgbm", Version: "v4", Objective: "regression", Trees: 6, Leaves: 48, Features: 4, Outputs: 1}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("Info (-want +got):\n%s", diff)
	}
}

func TestReadModel_names(t *testing.T) {
	own := []string{"a", "b", "c", "d"}
	text, err := os.ReadFile(regressionModel)
	if err != nil {
		t.Fatal(err)
	}
	madeUp := string(text) // LightGBM was given no names
	named := strings.Replace(madeUp, "Column_0 Column_1 Column_2 Column_3", "a b c d", 1)
	wide, err := os.ReadFile("testdata/models/lightgbm-categorical/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		opts       []basket.ModelOption
		want       []string
		err        error
	}{
		{"the file's own", named, nil, own, nil},
		{"the file's own, and the caller agrees", named, []basket.ModelOption{basket.WithFeatureNames(own...)}, own, nil},
		{"the file's own, and the caller does not", named, []basket.ModelOption{basket.WithFeatureNames("a", "b", "d", "c")}, nil, basket.ErrFeatureMismatch},
		{"made up, so the caller's", madeUp, []basket.ModelOption{basket.WithFeatureNames(own...)}, own, nil},
		{"made up, so those of a Materializer", madeUp, nil, basket.FeatureNames(), nil},
		{"made up, and too many for a Materializer", string(wide), nil, []string{"Column_0", "Column_1", "Column_2", "Column_3", "Column_4"}, nil},
		{"too few of the caller's", madeUp, []basket.ModelOption{basket.WithFeatureNames("a")}, nil, basket.ErrFeatureMismatch},
		{"one twice", madeUp, []basket.ModelOption{basket.WithFeatureNames("a", "b", "c", "a")}, nil, basket.ErrFeatureMismatch},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := basket.ReadModel(strings.NewReader(test.text), test.opts...)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil {
				if diff := cmp.Diff(test.want, m.Features()); diff != "" {
					t.Errorf("Features (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestReadModel_refuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", "empty"},
		{"something else", "<html>", `unknown format, starting with "<html>": want`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := basket.ReadModel(strings.NewReader(test.text))
			if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want ErrModelFormat with %q", err, test.want)
			}
		})
	}
	if _, err := basket.LoadModel("no such file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadModel of no file: %v", err)
	}
}

func TestReadModel_margin(t *testing.T) {
	f := loadForest(t, "testdata/models/lightgbm-poisson/model.txt", basket.WithMargin())
	g := csvGolden(t, "testdata/models/lightgbm-poisson", "")
	g.y = g.margin
	checkGolden(t, f, g)

	text, err := os.ReadFile(regressionModel)
	if err != nil {
		t.Fatal(err)
	}
	custom := strings.Replace(string(text), "objective=regression\n", "objective=my_own\n", 1)
	if _, err := basket.ReadModel(strings.NewReader(custom)); err == nil || !strings.Contains(err.Error(), "objective=my_own") {
		t.Errorf("unknown objective: %v", err)
	}
	if _, err := basket.ReadModel(strings.NewReader(custom), basket.WithMargin()); err != nil {
		t.Errorf("unknown objective, margins asked for: %v", err)
	}
}

func TestForest_Predict_refusesLengths(t *testing.T) {
	f := loadForest(t, regressionModel)
	for _, lengths := range [][2]int{{1, 3}, {1, 5}, {2, 4}, {0, 4}} {
		if err := f.Predict(t.Context(), make([]float64, lengths[0]), make([]float64, lengths[1])); err == nil {
			t.Errorf("%d predictions of %d values: no error", lengths[0], lengths[1])
		}
	}
}
