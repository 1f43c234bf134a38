package basket_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/internal/golden"
	"github.com/google/go-cmp/cmp"
)

// answers are rows for a model and the answers of the model's library.
type answers struct {
	columns int
	rows    []float64
	margin  []float64
	margins int // a row; 0 if the library has none
	y       []float64
	outputs int

	// ulps is the tolerance of a prediction, in units of the last place of its
	// largest summand: 0 unless the library itself is not defined to the last bit.
	ulps float64
}

// sklearnUlps is the tolerance for scikit-learn's linear models, whose sums BLAS
// adds in an order that depends on the CPU and on the number of rows (two runs of
// scikit-learn differ), and for its exp, log and their like, for which numpy has
// code of its own for each CPU. Its trees have none.
func sklearnUlps(m *basket.FileModel, name string) float64 {
	if m.Info().Library != "scikit-learn" {
		return 0
	}
	for _, part := range []string{"poisson", "gamma", "log", "target"} {
		if strings.Contains(name, part) {
			return 4
		}
	}
	if m.Info().Trees == 0 {
		return 4
	}
	return 0
}

// checkFile compares the model of a file, and its margin model, with the golden
// answers of its library.
func checkFile(t *testing.T, path string, g answers, opts ...basket.ModelOption) {
	t.Helper()
	m := loadModel(t, path, opts...)
	g.ulps = sklearnUlps(m, path)
	checkGolden(t, m, g)
	if g.margins > 0 {
		g.y, g.outputs = g.margin, g.margins
		checkGolden(t, loadModel(t, path, append(opts, basket.WithMargin())...), g)
	}
}

// checkGolden compares a model with the golden answers of its library, bit by bit.
func checkGolden(t *testing.T, m *basket.FileModel, g answers) {
	t.Helper()
	if len(m.Features()) != g.columns || m.Outputs() != g.outputs {
		t.Fatalf("%d features, %d outputs: want %d, %d", len(m.Features()), m.Outputs(), g.columns, g.outputs)
	}
	got := make([]float64, len(g.y))
	if err := m.Predict(t.Context(), got, g.rows); err != nil {
		t.Fatal(err)
	}
	sizes := make([]float64, len(g.y))
	if g.ulps > 0 {
		sizes = summands(t, m, g)
	}
	compareBits(t, "y", got, g.y, sizes, g)
	// One row at a time must give the same.
	one := make([]float64, g.outputs)
	for i := range len(g.y) / g.outputs {
		if err := m.Predict(t.Context(), one, g.rows[i*g.columns:][:g.columns]); err != nil {
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
func summands(t *testing.T, m *basket.FileModel, g answers) []float64 {
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
		bias, err := m.Explain(t.Context(), contributions, g.rows[i*g.columns:][:g.columns])
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

func compareBits(t *testing.T, name string, got, want, sizes []float64, g answers) {
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

// TestReadModel_golden reads every model of testdata/models, in each format that
// is there. Their rows hold thresholds and their neighbours, zeros,
// infinities and missing values.
func TestReadModel_golden(t *testing.T) {
	files, _ := filepath.Glob("testdata/models/*/model.*")
	if len(files) < 110 {
		t.Fatalf("only %d models in testdata/models", len(files))
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(strings.TrimPrefix(file, "testdata/models/"), func(t *testing.T) {
			if strings.Contains(dir, "vector-leaf") {
				_, err := basket.LoadModel(file)
				if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), "leaves that are vectors") {
					t.Errorf("leaves that are vectors: %v", err)
				}
				return
			}
			checkFile(t, file, readGolden(t, dir, ""))
			if best := readGolden(t, dir, "best_"); best.outputs > 0 {
				checkFile(t, file, best, basket.WithBestIteration())
			}
		})
	}
}

// readGolden returns the golden rows and answers of a folder of testdata/models;
// prefix is that of the columns of answers.
func readGolden(t testing.TB, dir, prefix string) answers {
	t.Helper()
	c := golden.Cases(t, dir)[0]
	a := answers{columns: len(c.Rows.Header), rows: c.Rows.Values}
	a.margin, a.margins = c.Want.Columns(prefix + "margin")
	a.y, a.outputs = c.Want.Columns(prefix + "y")
	return a
}

func loadModel(t testing.TB, path string, opts ...basket.ModelOption) *basket.FileModel {
	t.Helper()
	m, err := basket.LoadModel(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const regressionModel = "testdata/models/lightgbm-regression/model.txt"

func TestFileModel_describes(t *testing.T) {
	f := loadModel(t, regressionModel)
	info := f.Info()
	if !strings.HasPrefix(info.Digest, "sha256:") || len(info.Digest) != len("sha256:")+64 {
		t.Errorf("digest %q", info.Digest)
	}
	if want := "lightgbm v4, 6 trees, " + info.Digest[:18]; f.String() != want {
		t.Errorf("String: %q, want %q", f.String(), want)
	}
	info.Digest, info.Engine, info.EngineBytes, info.Depth = "", "", 0, 0
	want := basket.ModelInfo{
		Library: "lightgbm", Format: "text", Version: "v4", Objective: "regression", Trees: 6, Leaves: 48,
		Features: 4, NamesFrom: "default", Outputs: 1,
	}
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
	text, err := os.ReadFile(regressionModel)
	if err != nil {
		t.Fatal(err)
	}
	custom := strings.Replace(string(text), "objective=regression\n", "objective=my_own\n", 1)
	if _, err := basket.ReadModel(strings.NewReader(custom)); err == nil || !strings.Contains(err.Error(), "my_own") {
		t.Errorf("unknown objective: %v", err)
	}
	if _, err := basket.ReadModel(strings.NewReader(custom), basket.WithMargin()); err != nil {
		t.Errorf("unknown objective, margins asked for: %v", err)
	}
	const poisson = "testdata/models/lightgbm-poisson/model.txt"
	prediction, margin := loadModel(t, poisson), loadModel(t, poisson, basket.WithMargin())
	if prediction.String() == margin.String() || prediction.Info().Margin || !margin.Info().Margin {
		t.Errorf("the margin model is %q, the prediction model %q: want them to differ", margin, prediction)
	}
}

func TestFileModel_Predict_refusesLengths(t *testing.T) {
	f := loadModel(t, regressionModel)
	for _, lengths := range [][2]int{{1, 3}, {1, 5}, {2, 4}, {0, 4}} {
		if err := f.Predict(t.Context(), make([]float64, lengths[0]), make([]float64, lengths[1])); !errors.Is(err, basket.ErrInvalidRequest) {
			t.Errorf("%d predictions of %d values: %v, want ErrInvalidRequest", lengths[0], lengths[1], err)
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
			continue // vector leaves; see TestReadModel_golden
		}
		marginModel := loadModel(t, file, basket.WithMargin())
		g := readGolden(t, filepath.Dir(file), "")
		contributions, margin := make([]float64, g.columns), make([]float64, 1)
		worst, finite := 0.0, 0
		for i := range len(g.rows) / g.columns {
			row := g.rows[i*g.columns:][:g.columns]
			bias, err := m.Explain(t.Context(), contributions, row)
			if errors.Is(err, errors.ErrUnsupported) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := marginModel.Predict(t.Context(), margin, row); err != nil {
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

// TestFileModel_PredictParallel_ConcurrentSafe: the same bits, for any number of
// goroutines and rows.
func TestFileModel_PredictParallel_ConcurrentSafe(t *testing.T) {
	g := readGolden(t, "testdata/models/lightgbm-multiclass", "")
	f := loadModel(t, "testdata/models/lightgbm-multiclass/model.txt")
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
