package basketleaves_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
	"github.com/basket-go/basket/basketparquet"
	"github.com/basket-go/basket/internal/golden"
	"github.com/basket-go/basket/internal/xgboost"
)

const (
	models       = "../testdata/models"
	sharedModels = "../../shared/models" // a larger collection, not part of the repository

	zeroBound = 1.0000000180025095e-35

	noLinearLeaves = "leaves: tree 0: linear leaves: it would predict their constant values"
	noLinear       = "a linear model: want a tree ensemble"
	noCategories   = "is a split by category, which it does not support in XGBoost models"
)

// refused says which models leaves cannot take, and why.
var refused = map[string]string{
	"lightgbm-linear":     noLinearLeaves,
	"lightgbm-linear-3.3": noLinearLeaves,
	"lgbm-linear":         noLinearLeaves,

	"xgboost-categories":      noCategories,
	"xgboost-categories-1.6":  noCategories,
	"xgboost-categories-1.7":  noCategories,
	"xgboost-far-categories":  noCategories,
	"xgboost-one-hot":         noCategories,
	"xgb-categorical":         noCategories,
	"xgboost-linear":          noLinear,
	"xgboost-linear-1.7":      noLinear,
	"xgboost-linear-softprob": noLinear,
	"xgb-linear":              noLinear,
	"xgboost-vector-leaf":     "size_leaf_vector = 2: leaves that are vectors (multi_strategy=multi_output_tree) are not supported",
}

// short reports whether tests ask about fewer rows, which the race detector makes
// slow.
func short() bool { return raced || testing.Short() }

// A predictor is what both engines implement.
type predictor interface {
	basket.Model
	Outputs() int
	Info() basket.ModelInfo
}

// TestModel_sameBits holds the models of the repository against the native engine.
func TestModel_sameBits(t *testing.T) {
	lightgbm, _ := filepath.Glob(models + "/lightgbm-*/model.*")
	xgboost, _ := filepath.Glob(models + "/xgboost-*/model.*")
	if len(lightgbm) == 0 || len(xgboost) == 0 {
		t.Fatal("no models in " + models)
	}
	n := 1000
	if short() {
		n = 200
	}
	for _, path := range append(lightgbm, xgboost...) {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir)+filepath.Ext(path), func(t *testing.T) {
			for _, opts := range [][]basket.ModelOption{nil, {basket.WithMargin()}, {basket.WithBestIteration()}, {basket.WithBestIteration(), basket.WithMargin()}} {
				if native, m, ok := bothEngines(t, path, filepath.Base(dir), opts...); ok {
					rows := append(golden.ReadTable(t, dir+"/rows.csv").Values, wildRows(t, path, native.Info().Features, n)...)
					compare(t, native, m, rows)
				}
			}
		})
	}
}

// TestModel_sameBits_shared does the same with a larger collection, whose
// margins and predictions by the libraries themselves are known besides.
func TestModel_sameBits_shared(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"lgbm-*.txt", "xgb-*.json", "xgb-*.ubj", "xgb-*.bin"} {
		for _, dir := range []string{sharedModels, sharedModels + "/older"} {
			found, _ := filepath.Glob(filepath.Join(dir, pattern))
			paths = append(paths, found...)
		}
	}
	switch {
	case len(paths) > 0:
	case os.Getenv("BASKET_SHARED") != "":
		t.Fatal("BASKET_SHARED demands the larger models: none in " + sharedModels)
	default:
		t.Skip("no models in " + sharedModels)
	}
	for _, path := range paths {
		ext := filepath.Ext(path)
		stem := strings.TrimSuffix(path, ext)
		name := filepath.Base(stem)
		t.Run(name+ext, func(t *testing.T) {
			rows, margins, predictions := readGolden(t, stem+".golden.parquet")
			for _, test := range []struct {
				name   string
				opts   []basket.ModelOption
				golden []float64
			}{
				{"prediction", nil, predictions},
				{"margin", []basket.ModelOption{basket.WithMargin()}, margins},
			} {
				native, m, ok := bothEngines(t, path, name, test.opts...)
				if !ok {
					return
				}
				n := 20_000
				switch {
				case short():
					n = 1000
				case ext == ".ubj", ext == ".bin", native.Info().Leaves > 50_000: // the same model again, or a large one
					n = 2000
				}
				columns := native.Info().Features
				compare(t, native, m, wildRows(t, path, columns, n))

				rows, want := rows, test.golden
				count := len(rows) / columns
				t.Logf("%s: %d random rows and %d golden ones", test.name, n, count)
				if raced {
					count = min(count, 500)
					rows, want = rows[:count*columns], want[:count*m.Outputs()]
				}
				compare(t, native, m, rows)
				got := make([]float64, len(want))
				if err := m.Predict(t.Context(), got, rows); err != nil {
					t.Fatal(err)
				}
				sameBits(t, "the library's "+test.name, got, want, rows)
			}
		})
	}
}

// bothEngines loads the model at path twice. It is not ok if leaves is expected to
// refuse it, and does.
func bothEngines(t *testing.T, path, name string, opts ...basket.ModelOption) (native *basket.FileModel, m *basketleaves.Model, ok bool) {
	t.Helper()
	m, err := basketleaves.Load(path, opts...)
	if reason, ok := refused[name]; ok {
		if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), reason) || !strings.HasPrefix(err.Error(), "basket: "+path+": bad model: ") {
			t.Errorf("error %v, want ErrModelFormat with %q", err, reason)
		}
		return nil, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	native, err = basket.LoadModel(path, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return native, m, true
}

// compare compares the predictions of both engines, for all rows at once and one by
// one.
func compare(t *testing.T, native, m predictor, rows []float64) {
	t.Helper()
	columns, outputs := native.Info().Features, native.Outputs()
	if m.Outputs() != outputs {
		t.Fatalf("%d outputs, want %d", m.Outputs(), outputs)
	}
	n := len(rows) / columns
	got, want := make([]float64, n*outputs), make([]float64, n*outputs)
	if err := errors.Join(native.Predict(t.Context(), want, rows), m.Predict(t.Context(), got, rows)); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "prediction", got, want, rows)
	for i := range min(n, 1000) {
		if err := m.Predict(t.Context(), got[:outputs], rows[i*columns:][:columns]); err != nil {
			t.Fatal(err)
		}
		sameBits(t, "prediction of one row", got[:outputs], want[i*outputs:][:outputs], rows[i*columns:][:columns])
	}
}

func sameBits(t *testing.T, what string, got, want, rows []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	bad := 0
	for i, w := range want {
		if math.Float64bits(got[i]) != math.Float64bits(w) {
			if bad++; bad <= 3 {
				first, last := i*len(rows)/len(want), (i+1)*len(rows)/len(want)
				t.Errorf("%s %d: %v, want %v, of %v", what, i, got[i], w, rows[first:max(last, first+1)])
			}
		}
	}
	if bad > 0 {
		t.Fatalf("%s: %d of %d differ", what, bad, len(want))
	}
}

// wild is what a split may stumble over.
var wild = []float64{
	math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1),
	zeroBound, -zeroBound, math.Nextafter(zeroBound, 1), math.Nextafter(-zeroBound, -1),
	1e-35, -1e-35, math.Nextafter(1e-35, 0), math.Nextafter(1e-35, 1), 2e-35, -2e-35,
	math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64,
	math.MaxFloat32, -math.MaxFloat32, math.MaxFloat32 + 0x1p103, -math.MaxFloat32 - 0x1p103, 1e300, -1e300,
	math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat32 / 2, -math.SmallestNonzeroFloat32 / 2,
	-1, -0.5, -0.999999, math.Nextafter(-1, 0), 0.9, 1, 2, 3, 30, 31, 31.5, 32, 33, 63, 64, 255, 256, 1e6, 1e12,
	1 << 31, 1<<31 - 1, 1<<31 - 0.5, -1 << 31, -1<<31 - 1, 1 << 32, 1<<32 + 1, 1<<32 + 5, -1<<32 + 3, 1 << 53, 1 << 63, 1 << 64, -1 << 63,
}

// wildRows makes n rows of the values that the splits of the model at path and
// wild suggest, and of common ones.
func wildRows(t testing.TB, path string, features, n int) []float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return wildRowsOf(data, features, n)
}

func wildRowsOf(data []byte, features, n int) []float64 {
	near := nearLightGBM(string(data), features)
	if xgboost.Is(data) {
		near = nearXGBoost(data, features)
	}
	random := rand.New(rand.NewPCG(1, uint64(len(data))))
	rows := make([]float64, 0, n*features)
	for i := range n {
		for j := range features {
			var v float64
			switch k := random.IntN(8); {
			case i < len(wild): // first, rows of one value everywhere
				v = wild[i]
			case k < 2:
				v = wild[random.IntN(len(wild))]
			case k == 2:
				v = float64(random.IntN(300))
			case len(near[j]) > 0:
				v = near[j][random.IntN(len(near[j]))]
			default:
				v = random.NormFloat64() * 100
			}
			rows = append(rows, v)
		}
	}
	return rows
}

// nearLightGBM returns thresholds and their neighbours, by feature.
func nearLightGBM(text string, features int) [][]float64 {
	near := make([][]float64, features)
	var of []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "split_feature":
			of = strings.Fields(value)
		case "threshold":
			for i, word := range strings.Fields(value) {
				if i >= len(of) {
					break
				}
				j, err := strconv.Atoi(of[i])
				v, err2 := strconv.ParseFloat(word, 64)
				if err == nil && err2 == nil && j >= 0 && j < features {
					near[j] = append(near[j], v, math.Nextafter(v, math.Inf(1)), math.Nextafter(v, math.Inf(-1)), float64(float32(v)))
				}
			}
		}
	}
	return near
}

// readGolden reads a table of columns x0, x1, ..., margin, ..., y, ...
func readGolden(t *testing.T, path string) (rows, margins, predictions []float64) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := basketparquet.OpenTable(f, stat.Size())
	if err != nil {
		t.Fatal(err)
	}
	for prefix, values := range map[string]*[]float64{"x": &rows, "margin": &margins, "y": &predictions} {
		var names []string
		for _, name := range table.Columns() {
			if rest, ok := strings.CutPrefix(name, prefix); ok && strings.Trim(rest, "0123456789") == "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			t.Fatalf("%s: no column %s", path, prefix)
		}
		for batch, err := range table.Rows(t.Context(), names...) {
			if err != nil {
				t.Fatal(err)
			}
			*values = append(*values, batch...)
		}
	}
	return rows, margins, predictions
}

// TestModel_sameBits_random compares the engines on models that LightGBM would
// hardly write: every kind of split on thresholds around zero, odd layouts.
func TestModel_sameBits_random(t *testing.T) {
	n := 400
	if short() {
		n = 50
	}
	for seed := range n {
		text := randomModel(uint64(seed))
		read, err := basket.ReadModel(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		m, err := basketleaves.Read(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		compare(t, read, m, wildRowsOf([]byte(text), len(m.Features()), 300))
		if t.Failed() {
			t.Fatal(text)
		}
	}
}

// randomModel writes a LightGBM text model in which even features are numbers and
// odd ones categories.
func randomModel(seed uint64) string {
	random := rand.New(rand.NewPCG(2, seed))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	features, perRound := 1+random.IntN(6), 1+2*random.IntN(2)
	trees := perRound * (1 + random.IntN(3))
	objective := one("objective=regression\n", "objective=regression sqrt\n", "objective=tweedie\n", "objective=cross_entropy\n",
		"objective=xentlambda\n", "objective=lambdarank\n", "objective=quantile\n", "")
	if perRound == 1 && random.IntN(3) == 0 {
		objective = "objective=binary sigmoid:0.7\n"
	} else if perRound == 3 {
		objective = one("objective=multiclass num_class:3\n", "objective=multiclassova num_class:3 sigmoid:1.5\n")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree\n%snum_class=%d\nnum_tree_per_iteration=%[2]d\nlabel_index=0\nmax_feature_idx=%d\n%s%sfeature_names=",
		one("version=v2\n", "version=v3\n", "version=v4\n", ""), perRound, features-1, objective, one("average_output\n", ""))
	for j := range features {
		fmt.Fprintf(&b, "%s%s%d", strings.Repeat(" ", min(j, 1)), one("a", "a=b", "Column_", "ä"), j)
	}
	b.WriteString("\nfeature_infos=none\n\n")
	for i := range trees {
		fmt.Fprintf(&b, "Tree=%d\n", i)
		randomTree(&b, random, features)
		b.WriteString(one("\n\n", "\n\n\n"))
	}
	b.WriteString("end of trees\n\nfeature_importances:\n\nparameters:\n[boosting: gbdt]\nend of parameters\n")
	if random.IntN(4) == 0 {
		return strings.ReplaceAll(b.String(), "\n", "\r\n")
	}
	return b.String()
}

func randomTree(b *strings.Builder, random *rand.Rand, features int) {
	lists := map[string][]string{}
	put := func(key string, v any) { lists[key] = append(lists[key], fmt.Sprint(v)) }
	nodes := random.IntN(20)
	put("num_leaves", nodes+1)
	sets, words := 0, 0
	put("cat_boundaries", 0)
	noTypes := random.IntN(8) == 0
	// Children join in the order in which a growing tree gets them.
	type child struct {
		node int
		key  string
	}
	var open []child
	children := map[child]int{}
	for i := range nodes {
		if i > 0 {
			k := random.IntN(len(open))
			children[open[k]] = i
			open = append(open[:k], open[k+1:]...)
		}
		open = append(open, child{i, "left_child"}, child{i, "right_child"})
		j := random.IntN(features)
		if j%2 == 1 && noTypes {
			j--
		}
		put("split_feature", j)
		if j%2 == 1 {
			put("threshold", sets)
			put("decision_type", 1|random.IntN(2)<<3|random.IntN(2)<<1)
			set := make([]uint32, 1+random.IntN(3)*random.IntN(5))
			set[random.IntN(len(set))] = 1 << random.IntN(32) // one category
			if random.IntN(3) > 0 {
				for w := range set {
					set[w] |= random.Uint32() & random.Uint32()
				}
			}
			for _, w := range set {
				put("cat_threshold", w)
			}
			sets, words = sets+1, words+len(set)
			put("cat_boundaries", words)
			continue
		}
		t := random.NormFloat64() * 100
		if random.IntN(2) == 0 {
			for t = math.NaN(); t != t; {
				t = wild[random.IntN(len(wild))]
			}
		}
		put("threshold", strconv.FormatFloat(t, 'g', -1, 64))
		put("decision_type", random.IntN(3)<<2|random.IntN(2)<<1)
	}
	if sets == 0 {
		// The categorical bit means nothing then.
		for i := range lists["decision_type"] {
			if random.IntN(4) == 0 {
				v, _ := strconv.Atoi(lists["decision_type"][i])
				lists["decision_type"][i] = strconv.Itoa(v | 1)
			}
		}
		delete(lists, "cat_boundaries")
	}
	put("num_cat", sets)
	leaf := 0
	for i := range nodes {
		for _, key := range []string{"left_child", "right_child"} {
			to, ok := children[child{i, key}]
			if !ok {
				to, leaf = ^leaf, leaf+1
			}
			put(key, to)
		}
	}
	for range nodes + 1 {
		put("leaf_value", random.NormFloat64())
	}
	if noTypes {
		delete(lists, "decision_type")
	}
	for _, key := range []string{"num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child", "leaf_value", "cat_boundaries", "cat_threshold"} {
		if values, ok := lists[key]; ok {
			fmt.Fprintf(b, "%s=%s\n", key, strings.Join(values, strings.Repeat(" ", 1+random.IntN(2))))
		}
	}
	b.WriteString("is_linear=0\nshrinkage=1\n")
}

// model makes a file of one tree with two splits: the first of feature 0, the
// second of feature b, whose types are t0 and t1.
func model(t0, b, t1, rest string) string {
	return "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\nobjective=regression\nfeature_names=a b\n\n" +
		"Tree=0\nnum_leaves=3\nsplit_feature=0 " + b + "\nthreshold=0 0\ndecision_type=" + t0 + " " + t1 + "\n" +
		"left_child=1 -1\nright_child=-3 -2\nleaf_value=1 2 3\n" + rest + "\n\nend of trees\n"
}

func TestRead_refuses(t *testing.T) {
	tests := []struct{ name, text, reason string }{
		{"nothing", "", "empty"},
		{"linear leaves", model("2", "1", "2", "num_cat=0\nis_linear=1\nleaf_const=1 2 3\nnum_features=0 0 0\nleaf_features=\nleaf_coeff="),
			"leaves: tree 0: linear leaves: it would predict"},
		{"a feature both number and category", model("2", "0", "1", "num_cat=1\ncat_boundaries=0 1\ncat_threshold=6"),
			"leaves: feature 0, \"a\", is split both by number and by category"},
		{"a set of no category", model("2", "1", "1", "num_cat=1\ncat_boundaries=0 1\ncat_threshold=0"), "no bits set"},
		{"a set of no words", model("2", "1", "1", "num_cat=1\ncat_boundaries=0 0\ncat_threshold="), "cat_threshold"},
		{"a cycle, on which leaves never ends", strings.Replace(model("2", "1", "2", "num_cat=0"), "left_child=1 -1", "left_child=1 0", 1), "two parents"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := basketleaves.Read(strings.NewReader(test.text))
			if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("error %v, want ErrModelFormat with %q", err, test.reason)
			}
		})
	}
	others, _ := filepath.Glob(models + "/sklearn-rf-*/model.*")
	for _, path := range others {
		if _, err := basketleaves.Load(path); !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), "a model of scikit-learn") {
			t.Errorf("%s: error %v, want ErrModelFormat that names the library", path, err)
		}
	}
	if _, err := basketleaves.Load("no such file"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of no file: %v", err)
	}
	if _, err := basketleaves.Load(regression, basket.WithFeatureNames("a")); !errors.Is(err, basket.ErrFeatureMismatch) {
		t.Errorf("Load with too few names: %v", err)
	}
}

const regression = models + "/lightgbm-regression/model.txt"

func TestModel_options(t *testing.T) {
	opts := []basket.ModelOption{basket.WithMargin(), basket.WithFeatureNames("d", "c", "b", "a")}
	native, m, _ := bothEngines(t, models+"/lightgbm-poisson/model.txt", "", opts...)
	compare(t, native, m, golden.ReadTable(t, models+"/lightgbm-poisson/rows.csv").Values)
	if got := strings.Join(m.Features(), ""); got != "dcba" {
		t.Errorf("Features: %s", got)
	}
}

func TestModel_describes(t *testing.T) {
	native, m, _ := bothEngines(t, regression, "")
	want := native.Info()
	want.Engine, want.EngineBytes = "leaves", 0
	if m.Info() != want {
		t.Errorf("Info: %+v, want %+v", m.Info(), want)
	}
	if want := native.String() + ", leaves"; m.String() != want {
		t.Errorf("String: %q, want %q", m.String(), want)
	}
}

func TestModel_refusesLengths(t *testing.T) {
	_, m, _ := bothEngines(t, regression, "")
	for _, lengths := range [][2]int{{1, 3}, {1, 5}, {2, 4}, {0, 4}, {1, 0}} {
		dst, rows := make([]float64, lengths[0]), make([]float64, lengths[1])
		if m.Predict(t.Context(), dst, rows) == nil {
			t.Errorf("%d predictions of %d values: no error", lengths[0], lengths[1])
		}
	}
}

func TestModel_stopsWithContext(t *testing.T) {
	_, m, _ := bothEngines(t, regression, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Predict(ctx, make([]float64, 1), make([]float64, 4)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestModel_ConcurrentSafe is for the race detector. Neither the model nor the
// rows may be written to.
func TestModel_ConcurrentSafe(t *testing.T) {
	path := models + "/lightgbm-multiclass/model.txt"
	native, m, _ := bothEngines(t, path, "")
	rows := wildRows(t, path, len(m.Features()), 500)
	want := make([]float64, 500*m.Outputs())
	if err := native.Predict(t.Context(), want, rows); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			got := make([]float64, len(want))
			for range 5 {
				if err := m.Predict(t.Context(), got, rows); err != nil {
					t.Error(err)
					return
				}
				for i, w := range want {
					if math.Float64bits(got[i]) != math.Float64bits(w) {
						t.Errorf("prediction %d: %v, want %v", i, got[i], w)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// FuzzRead looks for files that pass the check and then break leaves or are
// predicted differently.
func FuzzRead(f *testing.F) {
	paths, _ := filepath.Glob(models + "/lightgbm-*/model.txt")
	others, _ := filepath.Glob(models + "/xgboost-*/model.*")
	for _, path := range append(paths, others...) {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("x  \"")) // the first bytes of a cut off zlib stream
	for seed := range uint64(20) {
		f.Add([]byte(randomModel(seed)))
		f.Add([]byte(randomXGBoost(seed)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := basketleaves.Read(strings.NewReader(string(data)))
		if err != nil {
			// What the check lets pass, leaves has no errors of its own for.
			if text := err.Error(); strings.Contains(text, "panic") || strings.Contains(text, "leaves: ") && strings.Contains(text, "EOF") {
				t.Fatal(err)
			}
			return
		}
		if len(m.Features()) > 1000 || m.Outputs() > 1000 {
			return
		}
		read, err := basket.ReadModel(strings.NewReader(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, read, m, wildRowsOf(data, len(m.Features()), 60))
	})
}

// BenchmarkPredict compares the engines.
func BenchmarkPredict(b *testing.B) {
	for format, paths := range map[string][2]string{
		"lightgbm": {sharedModels + "/lgbm-regression.txt", regression},
		"xgboost":  {sharedModels + "/xgb-regression.ubj", models + "/xgboost-regression/model.ubj"},
	} {
		path := paths[0]
		if _, err := os.Stat(path); err != nil {
			path = paths[1]
		}
		b.Run("format="+format, func(b *testing.B) { benchmark(b, path) })
	}
}

func benchmark(b *testing.B, path string) {
	native, err := basket.LoadModel(path)
	if err != nil {
		b.Fatal(err)
	}
	m, err := basketleaves.Load(path)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]float64, 0, 4*1024)
	random := rand.New(rand.NewPCG(3, 3))
	for range 1024 {
		all = append(all, float64(random.IntN(30)), float64(random.IntN(20)), 50*random.ExpFloat64(), 50*random.ExpFloat64())
	}
	for _, n := range []int{1, 1024} {
		for _, engine := range []predictor{native, m} {
			b.Run(fmt.Sprintf("rows=%d/engine=%s", n, engine.Info().Engine), func(b *testing.B) {
				b.ReportAllocs()
				dst := make([]float64, n)
				for i := 0; b.Loop(); i++ {
					at := i * n % 1024 * 4
					if err := engine.Predict(b.Context(), dst, all[at:][:n*4]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
			})
		}
	}
}
