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

	// ulps is how far a prediction may be off, in units of the last place of the
	// largest number that it is a sum of: 0 but where the library itself is not
	// defined to the last bit.
	ulps float64
}

// sklearnUlps is the tolerance for scikit-learn's linear models, whose sums BLAS
// adds in an order that depends on the CPU and on the number of rows (two runs of
// scikit-learn differ), and for its exp, log and their like, for which numpy has
// code of its own for each CPU. Its trees have none.
func sklearnUlps(m basket.Model, name string) float64 {
	p, ok := m.(interface{ Info() basket.ModelInfo })
	if !ok || p.Info().Format != "scikit-learn" {
		return 0
	}
	for _, part := range []string{"poisson", "gamma", "log", "target"} {
		if strings.Contains(name, part) {
			return 4
		}
	}
	if p.Info().Trees == 0 {
		return 4
	}
	return 0
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
	sizes := make([]float64, len(g.y))
	if g.ulps > 0 {
		sizes = summands(t, m, g)
	}
	compareBits(t, "y", got, g.y, sizes, g)
	if g.margins > 0 {
		got = make([]float64, len(g.margin))
		if err := f.Margin(t.Context(), got, g.rows); err != nil {
			t.Fatal(err)
		}
		compareBits(t, "margin", got, g.margin, make([]float64, len(got)), g)
	}
	// One row at a time must give the same.
	one := make([]float64, g.outputs)
	for i := range len(g.y) / g.outputs {
		if err := f.Predict(t.Context(), one, g.rows[i*g.columns:][:g.columns]); err != nil {
			t.Fatal(err)
		}
		for k, v := range one {
			if want := g.y[i*g.outputs+k]; !same(v, want, sizes[i*g.outputs+k]*g.ulps) {
				t.Fatalf("row %d alone: %v, want %v", i, one, g.y[i*g.outputs:][:g.outputs])
			}
		}
	}
}

// same reports whether two numbers have the same bits, are both NaN, or differ
// by no more than some units of the last place of size.
func same(got, want, tolerance float64) bool {
	return math.Float64bits(got) == math.Float64bits(want) || math.IsNaN(got) && math.IsNaN(want) ||
		tolerance > 0 && math.Abs(got-want) <= tolerance
}

// summands returns, for each prediction of a model of one output, the unit in
// the last place of the largest number that it is a sum of: the prediction, or a
// contribution to it. What a TransformedTargetRegressor adds is not known here;
// it is about as large as the mean prediction.
func summands(t *testing.T, m basket.Model, g golden) []float64 {
	t.Helper()
	n := len(g.y)
	sizes := make([]float64, n)
	mean, count := 0.0, 0.0
	for _, y := range g.y {
		if !math.IsNaN(y) && !math.IsInf(y, 0) && math.Abs(y) < 1e6 {
			mean, count = mean+y, count+1
		}
	}
	for i := range n {
		size := max(math.Abs(g.y[i]), math.Abs(mean/count))
		contributions := make([]float64, g.columns)
		bias, err := m.(basket.Explainer).Explain(t.Context(), contributions, g.rows[i*g.columns:][:g.columns])
		if err != nil {
			t.Fatal(err)
		}
		size = max(size, math.Abs(bias))
		for _, c := range contributions {
			size = max(size, math.Abs(c))
		}
		sizes[i] = math.Nextafter(size, math.Inf(1)) - size
	}
	return sizes
}

func compareBits(t *testing.T, name string, got, want, sizes []float64, g golden) {
	t.Helper()
	width := len(got) * g.columns / len(g.rows)
	bad := 0
	for i := range want {
		if !same(got[i], want[i], sizes[i]*g.ulps) {
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
func readCSV(t testing.TB, path string) (header []string, values [][]float64) {
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
	files, _ := filepath.Glob("testdata/models/*/model.*")
	if len(files) < 110 {
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
			g := csvGolden(t, dir, "")
			g.ulps = sklearnUlps(m, dir)
			checkGolden(t, m, g)
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
func csvGolden(t testing.TB, dir, prefix string) golden {
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

// TestExplain_addsUp: for every row of every model that can be explained, bias
// and contributions add up to the margin.
func TestExplain_addsUp(t *testing.T) {
	files, _ := filepath.Glob("testdata/models/*/model.*")
	explained := 0
	for _, file := range files {
		m, err := basket.LoadModel(file)
		if err != nil {
			continue // vector leaves; TestReadModel_golden knows
		}
		e := m.(basket.Explainer)
		g := csvGolden(t, filepath.Dir(file), "")
		contributions, margin := make([]float64, g.columns), make([]float64, 1)
		worst, finite := 0.0, 0
		for i := range len(g.rows) / g.columns {
			row := g.rows[i*g.columns:][:g.columns]
			bias, err := e.Explain(t.Context(), contributions, row)
			if errors.Is(err, errors.ErrUnsupported) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := m.(interface {
				Margin(ctx context.Context, dst, rows []float64) error
			}).Margin(t.Context(), margin, row); err != nil {
				t.Fatal(err)
			}
			sum, size := bias, math.Abs(bias)
			for _, c := range contributions {
				sum, size = sum+c, max(size, math.Abs(c))
			}
			if math.IsNaN(margin[0]) || math.IsInf(margin[0], 0) {
				continue // refused by scikit-learn, or beyond float32
			}
			if math.IsNaN(sum) {
				t.Errorf("%s: row %v: sum %v, margin %v", file, row, sum, margin[0])
			} else {
				worst = max(worst, math.Abs(sum-margin[0])/size)
				finite++
			}
		}
		if finite > 0 {
			explained++
		}
		if worst > 1e-9 {
			t.Errorf("%s: sums are off by %v of a row's largest number", file, worst)
		}
	}
	if explained < 70 {
		t.Errorf("only %d of %d models were explained", explained, len(files))
	}
}

// TestForest_PredictParallel_ConcurrentSafe: the same bits, whatever the number
// of workers and rows.
func TestForest_PredictParallel_ConcurrentSafe(t *testing.T) {
	g := csvGolden(t, "testdata/models/lightgbm-multiclass", "")
	f := loadForest(t, "testdata/models/lightgbm-multiclass/model.txt")
	var rows, want []float64
	for len(rows) < 5000*g.columns {
		rows, want = append(rows, g.rows...), append(want, g.y...)
	}
	for _, n := range []int{0, 1, 1023, 1024, 1025, 4097} {
		for _, workers := range []int{-1, 0, 1, 2, 3, 100} {
			got := make([]float64, n*g.outputs)
			if err := f.PredictParallel(t.Context(), got, rows[:n*g.columns], workers); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
					t.Fatalf("%d rows, %d workers: prediction %d is %v, want %v", n, workers, i, got[i], want[i])
				}
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.PredictParallel(ctx, make([]float64, 3*5000), rows[:5000*g.columns], 2); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that is done: %v", err)
	}
	if err := f.PredictParallel(t.Context(), make([]float64, 1), rows, 2); err == nil {
		t.Error("lengths that do not fit: no error")
	}
}
