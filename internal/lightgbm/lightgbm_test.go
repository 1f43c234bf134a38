package lightgbm

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// small is a model of two trees with every kind of split. Each pair of leaves has
// another sum.
const small = `tree
version=v4
num_class=1
num_tree_per_iteration=1
label_index=0
max_feature_idx=1
objective=regression
feature_names=price kind
feature_infos=[0:9] 0:1:2
tree_sizes=300 100

Tree=0
num_leaves=3
num_cat=1
split_feature=0 1
split_gain=1 1
threshold=2.5 0
decision_type=8 1
left_child=1 -1
right_child=-2 -3
leaf_value=1 2 4
leaf_weight=1 1 1
leaf_count=5 6 7
internal_value=0 0
internal_weight=1 1
internal_count=18 12
cat_boundaries=0 1
cat_threshold=6
is_linear=0
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
split_feature=
threshold=
decision_type=
left_child=
right_child=
leaf_value=0.5
is_linear=0
shrinkage=1


end of trees

feature_importances:
price=1

parameters:
end of parameters

pandas_categorical:null
`

func predict(t *testing.T, text string, row ...float64) float64 {
	t.Helper()
	file, err := Read([]byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float64, 1)
	file.Forest.Predict(dst, row)
	return dst[0]
}

func TestRead_small(t *testing.T) {
	file, err := Read([]byte(small), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if file.Version != "v4" || file.Objective != "regression" || len(file.Names) != 2 || file.Names[0] != "price" {
		t.Errorf("file %+v", file)
	}
	tests := []struct {
		price, kind, want float64
		reason            string
	}{
		{2.5, 1, 1.5, "at most the threshold: left; 1 is in the set: left"},
		{2.5, 0, 4.5, "0 is not in the set: right"},
		{math.Nextafter(2.5, 3), 1, 2.5, "over the threshold: right"},
		{math.NaN(), 1, 2.5, "missing, and the default is right"},
		{0, 2.9, 1.5, "2.9 is category 2"},
		{0, -0.5, 4.5, "-0.5 is category 0"},
		{0, -3, 4.5, "below zero: right"},
		{0, 33, 4.5, "beyond the set: right"},
		{0, math.NaN(), 4.5, "a missing category: right"},
		{0, math.Inf(1), 4.5, "no category: right"},
		{math.Inf(-1), 1, 1.5, "the least number: left"},
	}
	for _, test := range tests {
		if got := predict(t, small, test.price, test.kind); got != test.want {
			t.Errorf("price %v, kind %v: %v, want %v (%s)", test.price, test.kind, got, test.want, test.reason)
		}
	}
}

// TestRead_decisionTypes edits one split: all missing types and default
// directions, and thresholds around zero.
func TestRead_decisionTypes(t *testing.T) {
	const c = 1.0000000180025095e-35
	for _, threshold := range []float64{-1, -2 * c, -c, math.Copysign(0, -1), 0, c, 2 * c, 1} {
		for missing := range 3 {
			for defaultLeft := range 2 {
				kind := missing<<2 | defaultLeft<<1
				text := strings.Replace(small, "threshold=2.5 0", "threshold="+strconv.FormatFloat(threshold, 'g', 17, 64)+" 0", 1)
				text = strings.Replace(text, "decision_type=8 1", "decision_type="+strconv.Itoa(kind)+" 1", 1)
				for _, v := range []float64{
					math.NaN(), 0, math.Copysign(0, -1), c, -c, math.Nextafter(c, 1), math.Nextafter(-c, -1), c / 2, -c / 2,
					2 * c, -2 * c, 1, -1, math.Nextafter(1, 2), math.Inf(1), math.Inf(-1), 5e-324,
				} {
					// The rule of the row API and tree.h, step by step.
					x := v
					if math.Abs(x) <= c {
						x = 0
					}
					var left bool
					if math.IsNaN(x) && missing != missingNaN {
						x = 0
					}
					switch {
					case missing == missingZero && x >= -c && x <= c, missing == missingNaN && math.IsNaN(x):
						left = defaultLeft == 1
					default:
						left = x <= threshold
					}
					want := 2.5
					if left {
						want = 1.5
					}
					if got := predict(t, text, v, 1); got != want {
						t.Errorf("threshold %v, decision_type %d: %v gives %v, want %v", threshold, kind, v, got, want)
					}
				}
			}
		}
	}
}

// TestRead_accepts makes edits that LightGBM or a text editor may make.
func TestRead_accepts(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"no version", "version=v4\n", ""},
		{"v2", "version=v4", "version=v2"},
		{"v3", "version=v4", "version=v3"},
		{"line ends of Windows", "\n", "\r\n"},
		{"no tree_sizes", "tree_sizes=300 100\n", ""},
		{"no objective", "objective=regression\n", ""},
		{"no num_tree_per_iteration", "num_tree_per_iteration=1\n", ""},
		{"nothing after the trees", small[strings.Index(small, "feature_importances"):], ""},
		{"no end of trees, but tree_sizes", small[strings.Index(small, "end of trees"):], ""},
		{"names with = and tabs", "price kind", "pri=ce gr\u00f6\u00dfe\t"},
		{"no statistics", "leaf_weight=1 1 1\nleaf_count=5 6 7\ninternal_value=0 0\ninternal_weight=1 1\ninternal_count=18 12\n", ""},
		{"a bit for categories where there are none", "num_leaves=1\nnum_cat=0\nsplit_feature=\nthreshold=\ndecision_type=\nleft_child=\nright_child=\nleaf_value=0.5",
			"num_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=9\ndecision_type=1\nleft_child=-1\nright_child=-2\nleaf_value=0.5 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(small, test.old) {
				t.Fatal("nothing to edit")
			}
			if got := predict(t, strings.ReplaceAll(small, test.old, test.new), 0, 1); got != 1.5 {
				t.Errorf("%v, want 1.5", got)
			}
		})
	}
}

// TestRead_sigmoid has predictions of LightGBM 4.7.0 for the margin 1.5. Exact
// parsing of the parameter gives others for most of them.
func TestRead_sigmoid(t *testing.T) {
	for sigmoid, want := range map[string]float64{
		"1": 0x1.a2991f2a97914p-1, "2.5": 0x1.f43c4f67606edp-1, "1.715": 0x1.dbaf24e6671b9p-1, "0.118214": 0x1.16a3470c40728p-1,
		"1.90413": 0x1.e42aaae9ded49p-1, "1.44667": 0x1.cb8830c7d7a8ap-1, "1.42302": 0x1.c9d6749616fbep-1, "12.3457": 0x1.ffffffb21bf91p-1,
		"0.00123457": 0x1.003cae7b31c8ap-1, "1e-05": 0x1.00007dd441355p-1, "1.5e-05": 0x1.0000bcbe61cfdp-1, "7.3e+06": 1,
	} {
		text := strings.Replace(small, "objective=regression", "objective=binary sigmoid:"+sigmoid, 1)
		if got := predict(t, text, 0, 1); got != want {
			t.Errorf("sigmoid:%s: %x, want %x", sigmoid, got, want)
		}
	}
	for _, sigmoid := range []string{"", "0", "x", ".", "e5", "1e", "1e-", "1e999", "1.5x", "-1", "nan", "inf"} {
		text := strings.Replace(small, "objective=regression", "objective=binary sigmoid:"+sigmoid, 1)
		if _, err := Read([]byte(text), Options{}); err == nil {
			t.Errorf("sigmoid:%s is read", sigmoid)
		}
	}
}

// TestRead_negativeNaN reads a constant as LightGBM 4.7.0 writes it for some
// leaves of linear trees.
func TestRead_negativeNaN(t *testing.T) {
	text := strings.Replace(small, "is_linear=0", "is_linear=1\nleaf_const=-nan 8 8\nnum_features=0 0 0\nleaf_features=\nleaf_coeff=", 1)
	if got := predict(t, text, 0, 1); got == got {
		t.Errorf("%v, want NaN", got)
	}
	if got := predict(t, text, 3, 1); got != 8.5 {
		t.Errorf("%v, want 8.5", got)
	}
}

func TestRead_refuses(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"first line", "tree\nversion", "forest\nversion", `first line: want "tree"`},
		{"version", "version=v4", "version=v9", `version="v9": want v2, v3 or v4`},
		{"no classes", "num_class=1", "num_class=0", `num_class="0": want a whole number from 1`},
		{"no num_class", "num_class=1\n", "", "num_class is missing"},
		{"no trees a round", "num_tree_per_iteration=1", "num_tree_per_iteration=0", `num_tree_per_iteration="0": want a whole number from 1`},
		{"trees of half a round", "num_tree_per_iteration=1", "num_tree_per_iteration=3", "2 trees: want a multiple of num_tree_per_iteration=3"},
		{"many features", "max_feature_idx=1", "max_feature_idx=99999999999", `max_feature_idx="99999999999": want`},
		{"names", "feature_names=price kind", "feature_names=price", "1 names: want max_feature_idx+1 = 2"},
		{"objective", "objective=regression", "objective=mine", `objective="mine": not an objective of LightGBM`},
		{"blank objective", "objective=regression", "objective=  ", "want a name, or no such line"},
		{"unprintable objective", "objective=regression", "objective=\f ", `objective="\f ": want at most 256 bytes of printable UTF-8`},
		{"objective's parameters", "objective=regression", "objective=binary", "want sigmoid:p"},
		{"negative sigmoid", "objective=regression", "objective=binary sigmoid:-1", "want sigmoid:p"},
		{"too many parameters", "objective=regression", "objective=poisson sqrt", "1 parameters: want 0"},
		{"classes of the objective", "objective=regression", "objective=multiclass num_class:3", "want num_class:1"},
		{"tree_sizes", "tree_sizes=300 100", "tree_sizes=300 100 100", "2 trees: tree_sizes has 3 values"},
		{"number of a tree", "Tree=1", "Tree=7", `tree 1: "Tree=7": want "Tree=1"`},
		{"cut off", small[strings.Index(small, "is_linear=0\nshrinkage=1\n\n\nend of trees"):], "is_linear=0", "ends after 2 trees without"},
		{"no leaves", "num_leaves=3", "num_leaves=0", `tree 0: num_leaves="0": want a whole number from 1`},
		{"many leaves", "num_leaves=3", "num_leaves=2000000000", "num_leaves=2000000000: leaf_value is shorter than that"},
		{"no num_leaves", "num_leaves=3\n", "", "num_leaves is missing"},
		{"many sets", "num_cat=1", "num_cat=2000000000", "num_cat=2000000000: cat_boundaries is shorter than that"},
		{"a leaf more", "leaf_value=1 2 4", "leaf_value=1 2 4 8", "leaf_value: more than 3 values"},
		{"a leaf less", "leaf_value=1 2 4", "leaf_value=1.25 2", "leaf_value: 2 values: want 3"},
		{"no number", "leaf_value=1 2 4", "leaf_value=1 two 4", `leaf_value[1] = "two": want a number`},
		{"feature", "split_feature=0 1", "split_feature=0 9", `tree 0: split_feature[1] = "9": want a whole number from 0 to 1`},
		{"negative feature", "split_feature=0 1", "split_feature=-1 1", `split_feature[0] = "-1": want a whole number from 0 to 1`},
		{"child", "left_child=1 -1", "left_child=2 -1", `left_child[0] = "2": want a whole number from -3 to 1`},
		{"leaf", "right_child=-2 -3", "right_child=-2 -4", `right_child[1] = "-4"`},
		{"cycle", "left_child=1 -1", "left_child=1 0", "two parents"},
		{"shared leaf", "right_child=-2 -3", "right_child=-2 -2", "leaf 1 has two parents"},
		{"NaN threshold", "threshold=2.5 0", "threshold=nan 0", "threshold[0] = NaN"},
		{"missing type", "decision_type=8 1", "decision_type=12 1", "missing type 3"},
		{"number of a set", "threshold=2.5 0", "threshold=2.5 1", "want the number of a category set, 0 to 0"},
		{"fraction of a set", "threshold=2.5 0", "threshold=2.5 0.5", "want the number of a category set, 0 to 0"},
		{"bounds of sets", "cat_boundaries=0 1", "cat_boundaries=1 1", "cat_boundaries[0] = 1"},
		{"falling bounds", "cat_boundaries=0 1", "cat_boundaries=0 1 0", "cat_boundaries: more than 2 values"},
		{"words of sets", "cat_threshold=6", "cat_threshold=6 6", "cat_threshold: more than 1 values"},
		{"a word", "cat_threshold=6", "cat_threshold=-6", `cat_threshold[0] = "-6": want a whole number of 32 bits`},
		{"a line without =", "shrinkage=1", "shrinkage", `line "shrinkage": want key=value`},
		{"linear without its lists", "is_linear=0", "is_linear=1", "leaf_const is missing"},
		{"linear features", "is_linear=0", "is_linear=1\nleaf_const=1 1 1\nnum_features=0 0 2\nleaf_features=0 5\nleaf_coeff=1 1", `leaf_features[1] = "5"`},
		{"linear counts", "is_linear=0", "is_linear=1\nleaf_const=1 1 1\nnum_features=0 0 -1\nleaf_features=\nleaf_coeff=", `num_features[2] = "-1"`},
		{"linear sums", "is_linear=0", "is_linear=1\nleaf_const=1 1 1\nnum_features=0 1 2\nleaf_features=0 1\nleaf_coeff=1 1", "leaf_features: 2 values: want 3"},
		{"no trees", small[strings.Index(small, "Tree=0"):strings.Index(small, "end of trees")], "", "0 trees: tree_sizes has 2 values"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(small, test.old) {
				t.Fatal("nothing to edit")
			}
			_, err := Read([]byte(strings.Replace(small, test.old, test.new, 1)), Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Read: %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzRead checks that Read returns a model that predicts or a printable error.
func FuzzRead(f *testing.F) {
	f.Add([]byte(small))
	paths, _ := filepath.Glob("../../testdata/models/lightgbm-*/model.txt")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(data, Options{Margin: len(data)%2 == 0})
		checkText(t, file, err)
		if err != nil {
			return
		}
		if file.Forest.Features() > 1000 || file.Forest.Outputs() > 1000 {
			return
		}
		for _, v := range []float64{0, -1.5, 1e300, math.NaN(), math.Inf(1)} {
			row := make([]float64, file.Forest.Features())
			for j := range row {
				row[j] = v + float64(j)
			}
			file.Forest.Predict(make([]float64, file.Forest.Outputs()), row)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data, err := os.ReadFile("../../testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(data, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
