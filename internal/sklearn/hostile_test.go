package sklearn

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket/internal/golden"
)

// A node is a node of a scikit-learn tree.
type node struct {
	left, right, feature int
	threshold            float64
	missing              byte
}

// split is a split on feature 0 with two leaves.
var split = []node{{1, 2, 0, 1.5, 1}, {-1, -1, -2, -2, 0}, {-1, -1, -2, -2, 0}}

// tree returns a fitted DecisionTreeRegressor of two features.
func tree(nodes []node, change ...any) pyObject {
	a := array{
		shape: tuple{len(nodes)}, code: "V41",
		names: []string{"left_child", "right_child", "feature", "threshold", "weighted_n_node_samples", "missing_go_to_left"},
		codes: []string{"i8", "i8", "i8", "f8", "f8", "u1"},
	}
	values := []float64{}
	for i, n := range nodes {
		for _, v := range []int{n.left, n.right, n.feature} {
			a.data = binary.LittleEndian.AppendUint64(a.data, uint64(v))
		}
		a.data = binary.LittleEndian.AppendUint64(a.data, math.Float64bits(n.threshold))
		a.data = binary.LittleEndian.AppendUint64(a.data, math.Float64bits(1))
		a.data = append(a.data, n.missing)
		values = append(values, float64(i))
	}
	state := attrs{"nodes", a, "values", floats(values...)}
	args := tuple{2, floats(1), 1}
	for i := 0; i < len(change); i += 2 {
		switch change[i] {
		case "features":
			args[0] = change[i+1]
		case "outputs":
			args[2] = change[i+1]
		default:
			state = append(state, change[i], change[i+1])
		}
	}
	return pyObject{"sklearn.tree._classes.DecisionTreeRegressor", nil, attrs{
		"n_features_in_", 2, "_sklearn_version", "1.9.1", "tree_", pyObject{"sklearn.tree._tree.Tree", args, state},
	}}
}

// with returns o with more attributes, which replace those of the same name.
func with(o pyObject, more ...any) pyObject {
	o.state = append(append(attrs{}, o.state.(attrs)...), more...)
	return o
}

func forestOf(trees ...any) pyObject {
	return pyObject{"sklearn.ensemble._forest.RandomForestRegressor", nil, attrs{"n_features_in_", 2, "_sklearn_version", "1.9.1", "estimators_", list(trees)}}
}

func ridge(change ...any) pyObject {
	return with(pyObject{"sklearn.linear_model._ridge.Ridge", nil, attrs{"n_features_in_", 2, "coef_", floats(1, 10), "intercept_", 100.0}}, change...)
}

func scaler(change ...any) pyObject {
	return with(pyObject{"sklearn.preprocessing._data.StandardScaler", nil, attrs{
		"n_features_in_", 2, "with_mean", true, "mean_", floats(1, 2), "with_std", true, "scale_", floats(2, 4),
	}}, change...)
}

func pipeline(steps ...any) pyObject {
	var named list
	for i, s := range steps {
		named = append(named, tuple{fmt.Sprint("s", i), s})
	}
	return pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", named}}
}

func target(transformer any) pyObject {
	return pyObject{"sklearn.compose._target.TransformedTargetRegressor", nil, attrs{"regressor_", ridge(), "transformer_", transformer}}
}

func columnTransformer(transformers list, indices attrs) pyObject {
	return pyObject{"sklearn.compose._column_transformer.ColumnTransformer", nil, attrs{
		"n_features_in_", 2, "transformers_", transformers, "_transformer_to_input_indices", indices,
	}}
}

// TestRead_built checks that the models of the functions above are valid, so that the
// edits of the next test are the reason for the errors.
func TestRead_built(t *testing.T) {
	for _, c := range []struct {
		name  string
		model any
		want  float64 // for the row 2, 3
	}{
		{"tree", tree(split), 2},
		{"leaf", tree(split[1:2]), 0},
		{"forest", forestOf(tree(split), tree(split[1:2])), 1},
		{"ridge", ridge(), 132},
		{"pipeline", pipeline(scaler(), nil, "passthrough", ridge()), 103},
		{"pipeline after one that does nothing", pipeline(pipeline("passthrough", nil), scaler(), ridge()), 103},
		{"columns", pipeline(columnTransformer(list{tuple{"a", "passthrough", list{1}}, tuple{"b", "drop", list{}}, tuple{"c", "passthrough", list{}}},
			attrs{"a", list{1, 0}, "c", list{}}), ridge()), 123},
		{"target", target(scaler("mean_", floats(1), "scale_", floats(2), "n_features_in_", 1)), 265},
	} {
		f, err := Read(pickled(c.model), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := []float64{0}
		if f.Pipeline.Predict(got, []float64{2, 3}); got[0] != c.want {
			t.Errorf("%s: %v, want %v", c.name, got[0], c.want)
		}
	}
}

// TestPipeline_steps checks rules of single steps (scikit-learn 1.9.1).
func TestPipeline_steps(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	encoder := pyObject{"sklearn.preprocessing._encoders.OrdinalEncoder", nil, attrs{
		"n_features_in_", 2, "unknown_value", nan, "handle_unknown", "use_encoded_value", "encoded_missing_value", nan,
		"categories_", list{floats(5, 7, 9), floats(3)},
	}}
	imputer := func(dtypeOfFill string) pyObject {
		return pyObject{"sklearn.impute._base.SimpleImputer", nil, attrs{
			"n_features_in_", 2, "missing_values", nan, "statistics_", floats(0.1, 5), "add_indicator", false,
			"_fill_dtype", dtype(dtypeOfFill, nil, nil),
		}}
	}
	for _, c := range []struct {
		name  string
		model any
		row   []float64
		want  float64
	}{
		{"known category", pipeline(encoder, tree(split)), []float64{9, 3}, 2},
		{"unknown category", pipeline(encoder, tree(split)), []float64{8, 3}, 1},
		{"missing category", pipeline(encoder, tree(split)), []float64{nan, 3}, 1},
		{"infinite category", pipeline(encoder, tree(split)), []float64{inf, 3}, nan},
		{"infinite category of no split", pipeline(encoder, tree(split)), []float64{9, -inf}, nan},
		{"imputer fitted on float64", pipeline(imputer("f8"), ridge()), []float64{nan, 3}, 0.1 + 30 + 100},
		{"imputer fitted on float32", pipeline(imputer("f4"), ridge()), []float64{nan, 3}, float64(float32(0.1)) + 30 + 100},
		{"imputer fitted on integers", pipeline(imputer("i8"), ridge()), []float64{nan, 3}, 0.1 + 30 + 100},
	} {
		f, err := Read(pickled(c.model), Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := []float64{0}
		if f.Pipeline.Predict(got, c.row); got[0] != c.want && (got[0] == got[0] || c.want == c.want) {
			t.Errorf("%s: %v, want %v", c.name, got[0], c.want)
		}
	}
	if _, err := Read(pickled(pipeline(imputer("f2"), ridge())), Options{}); err == nil || !strings.Contains(err.Error(), "_fill_dtype is a dtype: want") {
		t.Errorf("imputer fitted on float16: %v", err)
	}
}

// TestRead_zeroOfHist: scikit-learn 1.9.1 adds the baseline to 0, so that a
// baseline -0, which the loss quantile may have, gives 0.
func TestRead_zeroOfHist(t *testing.T) {
	minus := math.Copysign(0, -1)
	leaf := array{
		shape: tuple{1}, code: "V43",
		names: []string{"value", "count", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf", "is_categorical", "bitset_idx"},
		codes: []string{"f8", "u4", "i4", "f8", "u1", "u4", "u4", "u1", "u1", "u8"},
		data:  make([]byte, 43),
	}
	binary.LittleEndian.PutUint64(leaf.data, math.Float64bits(minus))
	leaf.data[33] = 1 // is_leaf
	const hist = "sklearn.ensemble._hist_gradient_boosting."
	model := pyObject{hist + "gradient_boosting.HistGradientBoostingRegressor", nil, attrs{
		"n_features_in_", 1, "_baseline_prediction", minus, "_bin_mapper", pyObject{hist + "binning._BinMapper", nil, attrs{"n_bins", 3}},
		"_loss", pyObject{"sklearn._loss.loss.PinballLoss", nil, attrs{"link", pyObject{"sklearn._loss.link.IdentityLink", nil, nil}}},
		"_predictors", list{list{pyObject{hist + "predictor.TreePredictor", nil, attrs{"nodes", leaf}}}},
	}}
	f, err := Read(pickled(model), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := []float64{1}
	if f.Pipeline.Predict(got, []float64{1}); math.Float64bits(got[0]) != 0 {
		t.Errorf("%v, want 0", got[0])
	}
}

func TestRead_refuses(t *testing.T) {
	change := func(i int, n node) []node {
		nodes := append([]node{}, split...)
		nodes[i] = n
		return nodes
	}
	booster := func(change ...any) pyObject {
		return with(pyObject{"sklearn.ensemble._gb.GradientBoostingRegressor", nil, attrs{
			"n_features_in_", 2, "init_", "zero", "learning_rate", 0.1, "estimators_", floats(1),
		}}, change...)
	}
	deep := any(ridge())
	for range 40 {
		deep = pipeline(deep)
	}
	wide := make(list, 300)
	for i := range wide {
		wide[i] = tuple{"a", "passthrough", nil}
	}
	var indices list
	for range 2000 {
		indices = append(indices, 0)
	}
	for _, c := range []struct {
		name  string
		model any
		want  string
	}{
		{"a program", pyObject{"os.system", tuple{"echo"}, nil}, `byte 2: global "os.system": not on the list of names for scikit-learn models`},
		{"a program in a step", pipeline(pyObject{"subprocess.Popen", tuple{"echo"}, nil}, ridge()), `global "subprocess.Popen": not on the list`},
		{"a classifier", pyObject{"sklearn.ensemble._forest.RandomForestClassifier", nil, nil}, `global "sklearn.ensemble._forest.RandomForestClassifier": not on the list`},
		{"another regressor", pyObject{"sklearn.svm._classes.SVR", nil, nil}, `global "sklearn.svm._classes.SVR": not on the list`},
		{"a function of one's own", target(pyObject{"sklearn.preprocessing._function_transformer.FunctionTransformer", nil, attrs{"validate", true, "inverse_func", name("__main__.f")}}), `global "__main__.f": not on the list`},
		{"no object", list{}, "the file holds a list of 0: want an object of scikit-learn"},
		{"no regressor", scaler(), "StandardScaler: this regressor is not supported"},
		{"not fitted", pyObject{"sklearn.linear_model._ridge.Ridge", nil, attrs{"alpha", 1.0}}, "Ridge: n_features_in_ is missing; was the model fitted?"},
		{"no features", ridge("n_features_in_", 0), "n_features_in_ is the integer 0: want a whole number from 1 to"},
		{"names for other features", ridge("feature_names_in_", floats(1)), "feature_names_in_: item 0 is the float 1: want a string"},

		{"a cycle", tree(change(0, node{0, 2, 0, 1, 0})), "node 0: child 0: want 1 to 2"},
		{"a longer cycle", tree([]node{{1, 2, 0, 1, 0}, {3, 4, 0, 1, 0}, split[1], {1, 5, 0, 1, 0}, split[1], split[1], split[1]}), "node 1 has two parents, or is its own ancestor"},
		{"one child twice", tree(change(0, node{1, 1, 0, 1, 0})), "leaf 0 has two parents"},
		{"a child beyond", tree(change(0, node{1, 3, 0, 1, 0})), "node 0: child 3: want 1 to 2"},
		{"a child below", tree(change(0, node{1, -7, 0, 1, 0})), "node 0: child -7: want 1 to 2"},
		{"a feature beyond", tree(change(0, node{1, 2, 2, 1, 0})), "node 0: feature 2: model has 2 features"},
		{"a feature below", tree(change(0, node{1, 2, -2, 1, 0})), "node 0: feature -2: model has 2 features"},
		{"no threshold", tree(change(0, node{1, 2, 0, math.NaN(), 0})), "node 0: threshold NaN: want a number"},
		{"a bool of 2", tree(change(0, node{1, 2, 0, 1, 2})), "node 0: missing_go_to_left = 2: want 0 or 1"},
		{"no nodes", tree(nil), "nodes: shape [0]: want one axis that is not empty"},
		{"nodes of another kind", tree(split, "nodes", floats(1, 2, 3)), "nodes: field left_child is missing"},
		{"values for other nodes", tree(split, "values", floats(1)), "values: shape [1]: want 3 items"},
		{"another number of features", tree(split, "features", 3), "tree_: the number of features is the integer 3: want 2"},
		{"two outputs", tree(split, "outputs", 2), "models of several outputs are not supported"},
		{"no trees", forestOf(), "estimators_: no trees"},
		{"a tree that is none", forestOf(ridge()), "RandomForestRegressor: tree 0: sklearn.linear_model._ridge.Ridge: want a DecisionTreeRegressor"},
		{"one tree twice", forestOf(memo{tree(split)}, again(0)), "tree 1: nodes: another tree has the same array"},
		{"boosting of numbers", booster(), "estimators_: shape [1]: want one column of trees"},
		{"boosting from another model", booster("init_", ridge()), "init_ is sklearn.linear_model._ridge.Ridge: only constants are supported"},

		{"too few coefficients", ridge("coef_", floats(1)), "coef_: shape [1]: want 2 items; models of several outputs are not supported"},
		{"several intercepts", ridge("intercept_", floats(1, 2)), "intercept_ is an array of f8, shape [2]: want a number"},
		{"a text for a number", ridge("intercept_", "1"), "intercept_ is the string \"1\": want a number"},
		{"another width", pipeline(scaler("n_features_in_", 3), ridge()), `step "s0": StandardScaler: mean_: shape [2]: want 3 items`},
		{"another width after", pipeline(scaler(), ridge("n_features_in_", 3)), `step "s1": Ridge: n_features_in_ is 3: the input has 2 columns`},
		{"a step without a name", pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", list{tuple{"a", scaler()}, ridge()}}}, "a step is sklearn.linear_model._ridge.Ridge"},
		{"no steps", pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", list{}}}, "Pipeline: no steps"},
		{"a regressor in between", pipeline(scaler(), ridge(), ridge()), "Ridge: this transformer is not supported"},
		{"a word in between", pipeline(scaler(), "drop", ridge()), "the string \"drop\": want an object of scikit-learn"},
		{"steps in steps", deep, "steps nested more than 16 deep"},
		{"a column beyond", pipeline(columnTransformer(list{tuple{"a", "passthrough", nil}}, attrs{"a", list{2}}), ridge()), `transformer "a": column 2: want 0 to 1`},
		{"no columns", pipeline(columnTransformer(list{tuple{"a", "passthrough", nil}}, nil), ridge()), `transformer "a": the columns are None: want a list`},
		{"columns without end", pipeline(columnTransformer(wide, attrs{"a", indices}), ridge()), "more than 262144 operations"},
		{"a target of two columns", target(scaler("n_features_in_", 1)), "mean_: shape [2]: want 1 items"},
		{"a target without a way back", target(ridge()), "Ridge: this transformer of a target is not supported"},
	} {
		_, err := Read(pickled(c.model), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// TestRead_selfReference reads objects that contain themselves.
func TestRead_selfReference(t *testing.T) {
	const self = "\x80\x04csklearn.pipeline\nPipeline\n)R\x94}(X\x05\x00\x00\x00steps](X\x01\x00\x00\x00ah\x00\x86"
	for _, c := range []struct{ name, data, want string }{
		{"a step that is its pipeline", self + "eub.", "steps nested more than 16 deep"},
		{"a step that is its pipeline, often", self + strings.Repeat("X\x01\x00\x00\x00ah\x00\x86", 100) + "eub.", "steps nested more than 16 deep"},
		{"a target's regressor", "\x80\x04csklearn.compose._target\nTransformedTargetRegressor\n)R\x94}X\x0a\x00\x00\x00regressor_h\x00sb.", "steps nested more than 16 deep"},
		{"a state in itself", "\x80\x04csklearn.linear_model._ridge\nRidge\n)R}\x94h\x00h\x00sb.", "n_features_in_ is missing"},
	} {
		start := time.Now()
		_, err := Read([]byte(c.data), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: took %v", c.name, d)
		}
	}
}

// TestRead_manySteps reads a small file with many steps: each of 15 pipelines has the
// next one six times.
func TestRead_manySteps(t *testing.T) {
	repeated := func(step any) any {
		for i := range 15 {
			steps := list{tuple{"first", memo{step}}}
			for range 5 {
				steps = append(steps, tuple{"again", again(i)})
			}
			step = pyObject{"sklearn.pipeline.Pipeline", nil, attrs{"steps", steps}}
		}
		return step
	}
	for _, c := range []struct {
		model any
		want  string
	}{
		{pipeline(repeated(scaler()), ridge()), "more than 262144 operations"},
		{pipeline(repeated("passthrough"), ridge()), "more than 262144 operations"},
		{target(repeated(scaler("mean_", floats(1), "scale_", floats(2), "n_features_in_", 1))), "more than 262144 operations"},
	} {
		start := time.Now()
		_, err := Read(pickled(c.model), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("took %v", d)
		}
	}
}

func TestRead_truncated(t *testing.T) {
	for _, name := range []string{"tree-1.2", "compress-xz", "compress-zlib", "pickle-3-tree", "target-log1p"} {
		data := readModel(t, models+"sklearn-"+name)
		for n := range data {
			if _, err := Read(data[:n], Options{}); err == nil {
				t.Errorf("%s: no error for its first %d bytes of %d", name, n, len(data))
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{
		"tree-1.2", "tree-infinite-threshold", "compress-xz", "compress-lz4", "compress-gzip", "compress-lzma", "compress-bz2", "compress-zlib",
		"columns-int", "columns-name", "target-log1p", "pickle-3-tree", "pipeline-nested", "pipeline-log", "elasticnet", "hist-missing",
		"hist-categorical-1.3", "hist-sparse-categories", "target-pipeline", "gb-huber",
	} {
		f.Add(readModel(f, models+"sklearn-"+name))
	}
	f.Add(pickled(forestOf(tree(split), tree(split[1:2]))))
	f.Add(pickled(pipeline(scaler(), ridge())))
	f.Add(pickled(target(scaler("mean_", floats(1), "scale_", floats(2), "n_features_in_", 1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(data, Options{Margin: len(data)%2 == 0})
		checkText(t, file, err)
		if err != nil {
			return
		}
		n := file.Pipeline.Features()
		if n > 1<<16 {
			return
		}
		rows := make([]float64, 3*n)
		for i := range rows {
			rows[i] = []float64{0, 1.5, -2, math.NaN(), math.Inf(1), 1e300, 258, 2147483648}[i%8]
		}
		dst := make([]float64, 3)
		file.Pipeline.Predict(dst, rows)
		if _, err := file.Pipeline.Explain(t.Context(), make([]float64, n), rows[:n]); err != nil {
			golden.CheckError(t, err)
		}
		if file.Forest != nil {
			file.Forest.Predict(dst, rows)
		}
	})
}
