package xgboost

import (
	"encoding/binary"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket/internal/golden"
)

// small is a model with a numeric tree, a categorical one and one that is a leaf.
const small = `{"version":[3,2,0],"learner":{
"attributes":{"best_iteration":"1"},
"feature_names":["a","b"],"feature_types":["q","c"],
"learner_model_param":{"base_score":"[5E-1]","num_class":"0","num_feature":"2","num_target":"1"},
"objective":{"name":"reg:squarederror"},
"gradient_booster":{"name":"gbtree","model":{
 "gbtree_model_param":{"num_trees":"3","num_parallel_tree":"1"},
 "tree_info":[0,0,0],"iteration_indptr":[0,1,2,3],
 "trees":[
  {"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4,-1,-1],"split_indices":[0,0,1,0,0],"split_conditions":[2.5,1,-3E0,2,3],
   "default_left":[0,0,1,0,0],"split_type":[0,0,0,0,0],"sum_hessian":[9,5,4,2,2],"tree_param":{"num_nodes":"5","num_deleted":"0","size_leaf_vector":"1"}},
  {"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[NaN,10,20],
   "default_left":[true,false,false],"split_type":[1,0,0],"categories":[7,3],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[2],
   "tree_param":{"num_nodes":"3"}},
  {"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[0.25],"default_left":[0],"tree_param":{"num_nodes":"1"}}
 ]}}}}`

func TestRead_small(t *testing.T) {
	f, err := Read([]byte(small), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b, want float64
		reason     string
	}{
		{2.5, 3, 0.5 + 3 + 20 + 0.25, "2.5 is not less than 2.5; category 3 goes right"},
		{math.Nextafter(2.5, 0), 7.9, 0.5 + 3 + 20 + 0.25, "rounded to float32 it is 2.5"},
		{2.4, -0.5, 0.5 + 1 + 10 + 0.25, "-0.5 is no category"},
		{math.NaN(), math.NaN(), 0.5 + 2 + 10 + 0.25, "missing"},
		{3, 4, 0.5 + 3 + 10 + 0.25, "a category that is not listed"},
	} {
		got := make([]float64, 1)
		f.Forest.Predict(got, []float64{c.a, c.b})
		if got[0] != c.want {
			t.Errorf("a = %v, b = %v: %v: want %v: %s", c.a, c.b, got[0], c.want, c.reason)
		}
	}
}

// TestRead_zeroOfDart: XGBoost 2.1.4 and 3.2.0 make 0 of a leaf -0 in dart, and
// 3.4.1, which writes dart as gbtree, does not.
func TestRead_zeroOfDart(t *testing.T) {
	const leaf = `{"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[-0.0],"default_left":[0],"tree_param":{"num_nodes":"1"}}`
	const model = `"model":{"gbtree_model_param":{"num_trees":"1"},"tree_info":[0],"trees":[` + leaf + `]`
	for booster, want := range map[string]float64{
		`"name":"gbtree",` + model + `}`:                                              math.Copysign(0, -1),
		`"name":"gbtree",` + model + `,"weight_drop":[0.5]}`:                          math.Copysign(0, -1),
		`"name":"dart","weight_drop":[0.5],"gbtree":{"name":"gbtree",` + model + `}}`: 0,
	} {
		f, err := Read([]byte(`{"version":[3,2,0],"learner":{"learner_model_param":{"base_score":"[5E-1]","num_class":"0","num_feature":"1"},`+
			`"objective":{"name":"binary:logistic"},"gradient_booster":{`+booster+`}}}`), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := []float64{1}
		if f.Forest.Margin(got, []float64{1}); math.Float64bits(got[0]) != math.Float64bits(want) {
			t.Errorf("%s: %v, want %v", booster, got[0], want)
		}
	}
}

// TestRead_refuses edits the small model.
func TestRead_refuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		// trees
		{`"left_children":[1,-1,3`, `"left_children":[99,-1,3`, `tree 0: left_children[0] = 99: want -1 or a node below 5`},
		{`"left_children":[1,-1,3`, `"left_children":[-2,-1,3`, `tree 0: left_children[0] = -2: want -1 or a node below 5`},
		{`"right_children":[2,-1,4`, `"right_children":[2,-1,99`, `tree 0: right_children[2] = 99: want -1 or a node below 5`},
		{`"right_children":[2,-1,4`, `"right_children":[2,-1,3`, `tree 0: right_children[2] = 3: want 4, the node after the left child`},
		{`"right_children":[2,-1,4`, `"right_children":[2,1,4`, `tree 0: right_children[1] = 1: want -1, like the left child`},
		{`"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4`, `"left_children":[1,-1,0,-1,-1],"right_children":[2,-1,1`, `tree 0: node 0, a child of node 2, has another parent or is the root`},
		{`"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4`, `"left_children":[1,-1,1,-1,-1],"right_children":[2,-1,2`, `tree 0: node 1, a child of node 2, has another parent or is the root`},
		{`"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4`, `"left_children":[1,-1,-1,-1,-1],"right_children":[2,-1,-1`, `tree 0: 2 of the 5 nodes are unreachable from the root: num_deleted is 0`},
		{`"split_indices":[0,0,1`, `"split_indices":[9,0,1`, `tree 0: split_indices[0] = 9: model has 2 features`},
		{`"split_indices":[0,0,1`, `"split_indices":[-1,0,1`, `tree 0: split_indices[0] = -1: model has 2 features`},
		{`[2.5,1,-3E0`, `[NaN,1,-3E0`, `tree 0: split_conditions[0] = NaN: want a number`},
		{`[2.5,1,-3E0,2,3]`, `[2.5,1,-3E0,2]`, `tree 0: split_conditions: 4 values: want num_nodes = 5`},
		{`"default_left":[0,0,1,0,0]`, `"default_left":[0,0,1,0,0,0]`, `tree 0: default_left: 6 values: want num_nodes = 5`},
		{`"split_type":[0,0,0,0,0]`, `"split_type":[0]`, `tree 0: split_type: 1 values: want num_nodes = 5`},
		{`"sum_hessian":[9,`, `"sum_hessian":[`, `tree 0: sum_hessian: 4 values: want num_nodes = 5`},
		{`"num_nodes":"5"`, `"num_nodes":"1000000000"`, `trees[0]: num_nodes = 1000000000: left_children has 5 values`},
		{`"num_nodes":"5"`, `"num_nodes":"0"`, `trees[0]: num_nodes = 0: left_children has 5 values`},
		{`"num_nodes":"5"`, `"num_nodes":"5x"`, `tree_param.num_nodes: "5x": want a whole number from 0 to 2147483647`},
		{`"num_deleted":"0"`, `"num_deleted":"1"`, `tree 0: 0 of the 5 nodes are unreachable from the root: num_deleted is 1`},
		{`"num_deleted":"0"`, `"num_deleted":"5"`, `tree 0: num_deleted = 5: want 0 to 4`},
		{`"size_leaf_vector":"1"`, `"size_leaf_vector":"3"`, `tree 0: size_leaf_vector = 3: leaves that are vectors (multi_strategy=multi_output_tree) are not supported`},
		{`"default_left":[0,0,1`, `"default_left":[0,0,2`, `trees[0].default_left[2]: byte 587: '2': want true, false, 0 or 1`},

		// categories
		{`"categories":[7,3]`, `"categories":[7,16777216]`, `tree 1: categories[1] = 16777216: want 0 to 16777215`},
		{`"categories":[7,3]`, `"categories":[-7,3]`, `tree 1: categories[0] = -7: want 0 to 16777215`},
		{`"categories":[7,3]`, `"categories":[7,3,4]`, `tree 1: categories: 3 values: want 2, the sum of categories_sizes`},
		{`"categories_sizes":[2]`, `"categories_sizes":[3]`, `tree 1: categories_sizes[0] = 3: want 1 to 2, the number of categories left`},
		{`"categories_sizes":[2]`, `"categories_sizes":[-1]`, `tree 1: categories_sizes[0] = -1: want 1 to 2`},
		{`"categories_segments":[0]`, `"categories_segments":[1]`, `tree 1: categories_segments[0] = 1: want 0, the end of the previous one`},
		{`"categories_segments":[0]`, `"categories_segments":[]`, `tree 1: 1 categories_nodes, 0 categories_segments and 1 categories_sizes: want equal numbers`},
		{`"categories_nodes":[0]`, `"categories_nodes":[3]`, `tree 1: categories_nodes[0] = 3: want a node below 3 that occurs once`},
		{`"categories_nodes":[0]`, `"categories_nodes":[1]`, `tree 1: node 0 is a categorical split but not in categories_nodes`},

		// the model
		{`"tree_info":[0,0,0]`, `"tree_info":[0,0,1]`, `tree_info[2] = 1: want 0 to 0`},
		{`"tree_info":[0,0,0]`, `"tree_info":[0,-1,0]`, `tree_info[1] = -1: want 0 to 0`},
		{`"tree_info":[0,0,0]`, `"tree_info":[0,0]`, `tree_info: 2 values: want num_trees = 3`},
		{`"iteration_indptr":[0,1,2,3]`, `"iteration_indptr":[0,1,2,4]`, `iteration_indptr ends at 4: want num_trees = 3`},
		{`"iteration_indptr":[0,1,2,3]`, `"iteration_indptr":[1,2,3]`, `iteration_indptr[0] = 1: want ascending values that start at 0`},
		{`"iteration_indptr":[0,1,2,3]`, `"iteration_indptr":[0,2,1,3]`, `iteration_indptr[2] = 1: want ascending values that start at 0`},
		{`"iteration_indptr":[0,1,2,3]`, `"iteration_indptr":[]`, `model.iteration_indptr: empty`},
		{`"num_trees":"3"`, `"num_trees":"2"`, `3 trees: num_trees is 2`},
		{`"tree_info"`, `"weight_drop":[1,1,1,1],"tree_info"`, `weight_drop: 4 values: want num_trees = 3`},
		{`"tree_info"`, `"weight_drop":[1,1],"tree_info"`, `weight_drop: 2 values: want num_trees = 3`},
		{`"name":"gbtree"`, `"name":"gbforest"`, `booster "gbforest": want gbtree, dart or gblinear`},
		{`"name":"gbtree"`, `"name":"dart"`, `learner.gradient_booster: dart without a gbtree inside`},
		{`"name":"gbtree"`, `"name":"gblinear"`, `weights: 0 values: want 3, one for each of 2 features and the bias, for 1 outputs`},
		{`"name":"gbtree"`, `"name":"gbtree","gbtree":{"model":{}}`, `gradient_booster.model: a second model`},
		{`"name":"gbtree","model"`, `"name":"gbtree","gbtree":{"name":"gbtree"},"model"`, `learner.gradient_booster: "gbtree" with "gbtree" inside: only dart has a booster inside`},
		{`"name":"gbtree","model"`, `"name":"dart","gbtree":{"name":"dart"},"model"`, `learner.gradient_booster: dart with "dart" inside: want gbtree`},
		{`"name":"gbtree",`, ``, `gradient_booster: name is missing`},
		{`"trees":[`, `"bushes":[`, `no trees: the model was not trained`},

		// the learner
		{`[3,2,0]`, `[4,0,0]`, `version: [4 0 0]: want one from 1.0.0 to 3.x`},
		{`[3,2,0]`, `[3,2]`, `version: 2 numbers: want 3`},
		{`"reg:squarederror"`, `"reg:ours"`, `objective "reg:ours": not a known one; only its margins can be read`},
		{`"reg:squarederror"`, "\"\\u001b[31m" + strings.Repeat("x", 100) + `"`, `objective "\x1b[31mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"...: want at most 256 bytes of printable UTF-8`},
		{`"reg:squarederror"`, `7`, `learner.objective.name: byte 239: '7': want a string`},
		{`"[5E-1]"`, `"[5E-1"`, `base_score = "[5E-1": want a number or a list in brackets`},
		{`"[5E-1]"`, `"NaN"`, `base_score = "NaN": want a finite number`},
		{`"[5E-1]"`, `"Infinity"`, `base_score = "Infinity": want a finite number`},
		{`"[5E-1]"`, `"1E40"`, `base_score = "1E40": want a finite number`},
		{`"[5E-1]"`, `"0x1p3"`, `base_score = "0x1p3": want a finite number`},
		{`"[5E-1]"`, `"5E-1 "`, `base_score = "5E-1 ": want a finite number`},
		{`"[5E-1]"`, `""`, `base_score = "": want a finite number`},
		{`"[5E-1]"`, `"[1,2]"`, `base_score: 2 values: want 1, or one for each of 1 outputs`},
		{`"num_feature":"2"`, `"num_feature":"0"`, `num_feature = 0: want 1 to 16777216`},
		{`"num_feature":"2"`, `"num_feature":"-2"`, `learner.learner_model_param.num_feature: "-2": want a whole number`},
		{`"num_feature":"2"`, `"num_feature":"3"`, `feature_names: 2 names: want num_feature = 3`},
		{`"num_class":"0"`, `"num_class":"99999999"`, `99999999 outputs: want 1 to 65536`},
		{`"num_class":"0",`, ``, `learner.learner_model_param: num_class is missing`},
		{`"objective":{"name":"reg:squarederror"},`, ``, `learner: objective is missing`},
		{`"learner"`, `"earner"`, `learner is missing`},

		// JSON
		{`[2.5,1,`, `[2.5,1,,`, `trees[0].split_conditions[2]: byte 553: ',': want a number`},
		{`[2.5,1,`, `[2.5 1,`, `split_conditions: byte 551: '1': want a comma or ']'`},
		{`[2.5,1,`, `[2.,1,`, `'2': want a number`},
		{`[2.5,1,`, `[.5,1,`, `'.': want a number`},
		{`[2.5,1,`, `[02.5,1,`, `'0': want a number`},
		{`[2.5,1,`, `[+2.5,1,`, `'+': want a number`},
		{`[2.5,1,`, `[2.5e,1,`, `'2': want a number`},
		{`[2.5,1,`, `[-NaN,1,`, `'-': want a number`},
		{`[2.5,1,`, `[inf,1,`, `'i': want a number`},
		{`[2.5,1,`, `[1E39,1,`, `"1E39": want a number in the range of float32`},
		{`[2.5,1,`, `["2.5",1,`, `'"': want a number`},
		{`"left_children":[1,`, `"left_children":[1.0,`, `'1': want an integer`},
		{`"left_children":[1,`, `"left_children":[4294967296,`, `left_children[0]: 4294967296: want an integer of 32 bits`},
		{`"left_children":[1,`, `"left_children":[99999999999999999999,`, `'9': want an integer`},
		{`"best_iteration":"1"`, `"best_iteration":"1","best_iteration":"2"`, `learner.attributes: byte 82: key "best_iteration" is a duplicate`},
		{`"best_iteration":"1"`, `"x":1,"\u0078":2`, `key "x" is a duplicate`},
		{`"best_iteration":"1"`, `"best_iteration":"\q"`, `bad escape`},
		{`"best_iteration":"1"`, `"best_iteration":"\ud800"`, `bad escape`},
		{`"best_iteration":"1"`, `"best_iteration":"\u12"`, `bad escape`},
		{`"best_iteration":"1"`, "\"best_iteration\":\"\n\"", `a control character in a string`},
		{`"best_iteration":"1"`, `"deep":` + strings.Repeat("[", 100000), `nested more than 64 deep`},
		{`"best_iteration":"1"`, `"deep":` + strings.Repeat(`{"a":`, 100000), `nested more than 64 deep`},
		{`"best_iteration":"1"`, `"x":nul`, `learner.attributes."x": byte 49: 'n': want a value`},
		{`"best_iteration":"1"`, `"best_iteration":"1",`, `'}': want a string`},
		{`"best_iteration":"1"`, `"best_iteration" "1"`, `'"': want a colon`},
		{`"best_iteration":"1"`, `best_iteration:"1"`, `'b': want a string`},
		{`]}}}}`, `]}}}}x`, `'x': want the end of the file`},
		{`]}}}}`, `]}}}`, `the file ends: want a comma or '}'`},
	} {
		if strings.Count(small, c.old) < 1 {
			t.Errorf("%s is not in the model", c.old)
		}
		_, err := Read([]byte(strings.Replace(small, c.old, c.new, 1)), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s instead of %s:\n got %.400v\nwant %s", c.new, c.old, err, c.want)
		}
	}
}

func TestRead_refusesBestIteration(t *testing.T) {
	for _, c := range []struct{ best, rounds, want string }{
		{"3", `"iteration_indptr":[0,1,2,3],`, `best_iteration = "3": want a number below 3, the number of rounds`},
		{"3", "", `best_iteration = "3": want a number below 3, the number of rounds`},
		{"-1", "", `best_iteration = "-1": want a number below 3, the number of rounds`},
		{"x", "", `best_iteration = "x": want a number below 3, the number of rounds`},
	} {
		text := strings.Replace(small, `"best_iteration":"1"`, `"best_iteration":"`+c.best+`"`, 1)
		text = strings.Replace(text, `"iteration_indptr":[0,1,2,3],`, c.rounds, 1)
		if _, err := Read([]byte(text), Options{BestIteration: true}); err == nil || err.Error() != c.want {
			t.Errorf("error %v: want %s", err, c.want)
		}
		if _, err := Read([]byte(text), Options{}); err != nil {
			t.Errorf("error %v without BestIteration", err)
		}
	}
}

func TestRead_refusesScores(t *testing.T) {
	for _, c := range []struct{ objective, score, want string }{
		{"binary:logistic", "1.5", "base_score = 1.5: not a valid one for binary:logistic"},
		{"binary:logistic", "-0.1", "base_score = -0.1: not a valid one for binary:logistic"},
		{"count:poisson", "0", "base_score = 0: not a valid one for count:poisson"},
		{"reg:gamma", "-1", "base_score = -1: not a valid one for reg:gamma"},
	} {
		text := strings.NewReplacer("reg:squarederror", c.objective, "[5E-1]", c.score).Replace(small)
		if _, err := Read([]byte(text), Options{}); err == nil || err.Error() != c.want {
			t.Errorf("error %v: want %s", err, c.want)
		}
	}
	text := strings.NewReplacer("reg:squarederror", "reg:expectileerror", `"num_target":"1"`, `"num_target":"2"`).Replace(small)
	if _, err := Read([]byte(text), Options{}); err == nil || err.Error() != "objective reg:expectileerror with 2 outputs: only one is supported" {
		t.Errorf("error %v", err)
	}
}

func TestRead_refusesVectorLeaves(t *testing.T) {
	for format, data := range formats(t, "../../testdata/models/xgboost-vector-leaf") {
		want := "tree 0: size_leaf_vector = 2: leaves that are vectors (multi_strategy=multi_output_tree) are not supported"
		if _, err := Read(data, Options{Margin: true}); err == nil || err.Error() != want {
			t.Errorf("%s: error %v: want %s", format, err, want)
		}
	}
}

// TestRead_refusesDamagedBinary edits four bytes at a time.
func TestRead_refusesDamagedBinary(t *testing.T) {
	good := formats(t, "../../testdata/models/xgboost-pruned-0.90")["binary"]
	// The first header is followed by the names reg:squarederror and gbtree, and by
	// the headers of gbtree and of the first tree.
	gbtree := learnerSize + 8 + len("reg:squarederror") + 8 + len("gbtree")
	tree := gbtree + gbtreeSize
	node := tree + treeSize
	for _, c := range []struct {
		at    int
		value uint32
		want  string
	}{
		{0, math.Float32bits(float32(math.NaN())), `base_score = "NaN": want a finite number`},
		{4, 0, "num_feature = 0: want 1 to 16777216"},
		{4, 1, "model has 1 features"},
		{20, 9, "first bytes"},
		{136, 1 << 20, "first bytes"},
		{gbtree, 1 << 30, "num_trees = 1073741824: want 0 to"},
		{gbtree, 0xffffffff, "num_trees = -1: want 0 to"},
		{gbtree, 2, "tree_info[0] = 1: want 0 to 0"},
		{gbtree + 24, 7, "num_output_group = 7: want 1, the number of classes"},
		{tree, 2, "tree 0: num_roots = 2: want 1"},
		{tree + 4, 1 << 31, "tree 0: num_nodes = -2147483648: want 1 to"},
		{tree + 4, 1 << 20, "tree 0: num_nodes = 1048576: want 1 to"},
		{tree + 8, 99, "tree 0: num_deleted = 99: want 0 to"},
		{tree + 8, 0xffffffff, "tree 0: num_deleted = -1: want 0 to"},
		{tree + 20, 2, "tree 0: size_leaf_vector = 2"},
		{node + 4, 99999, "tree 0: left_children[0] = 99999: want -1 or a node below"},
		{node + 8, 0, "tree 0: right_children[0] = 0: want 2, the node after the left child"},
		{node + 12, 1<<31 - 1, "tree 0: split_indices[0] = 2147483647: model has 4 features"},
		{node + 16, math.Float32bits(float32(math.NaN())), "tree 0: split_conditions[0] = NaN: want a number"},
	} {
		bad := append([]byte(nil), good...)
		binary.LittleEndian.PutUint32(bad[c.at:], c.value)
		if _, err := Read(bad, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%#x at %d: error %v: want %s", c.value, c.at, err, c.want)
		}
	}
}

// TestRead_refusesTruncated truncates files at every byte. In the binary format the
// last bytes may be missing, because nothing after the attributes is read.
func TestRead_refusesTruncated(t *testing.T) {
	for _, c := range golden.Cases(t, models) {
		for format, data := range formats(t, c.Dir) {
			step := 1 + len(data)/1500
			for n := 0; n < len(data); n += step {
				_, err := Read(data[:n], Options{})
				if err == nil && (format != "binary" || n < len(data)-100) {
					t.Fatalf("%s: %s: %d of %d bytes are read without error", c.Dir, format, n, len(data))
				}
			}
		}
	}
}

// TestRead_boundsMemory reads files made to take much more memory than their size. A
// reader may allocate 20 times the size of the file and a megabyte.
func TestRead_boundsMemory(t *testing.T) {
	const n = 1 << 20
	repeat := func(element string) string {
		return "[" + strings.Repeat(element+",", n/(len(element)+1)) + element + "]"
	}
	for name, text := range map[string]string{
		"keys":       `{"learner":{"attributes":{` + keys(n/8) + `"z":0}}}`,
		"names":      `{"learner":{"feature_names":` + repeat(`""`) + `}}`,
		"integers":   `{"learner":{"gradient_booster":{"model":{"tree_info":` + repeat("0") + `}}}}`,
		"weights":    `{"learner":{"gradient_booster":{"model":{"weights":` + repeat("0") + `}}}}`,
		"trees":      `{"learner":{"gradient_booster":{"model":{"trees":` + repeat(`{}`) + `}}}}`,
		"real trees": strings.Replace(small, `"trees":[`, `"trees":[`+strings.Repeat(`{"left_children":[-1],"right_children":[-1],"split_indices":[0],"split_conditions":[0],"default_left":[0],"tree_param":{"num_nodes":"1"}},`, n/100), 1),
		"arrays":     `{"x":` + repeat("[]") + `}`,
		"commas":     `{"learner":{"feature_names":["` + strings.Repeat(",", n) + `"]}}`,
		"far categories": strings.NewReplacer(`"trees":[`, `"trees":[`+strings.Repeat(`{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[0,1,2],"default_left":[0,0,0],`+
			`"split_type":[1,0,0],"categories":[16777215],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[1],"tree_param":{"num_nodes":"3"}},`, 4000),
			`"num_trees":"3"`, `"num_trees":"4003"`, `"tree_info":[`, `"tree_info":[`+strings.Repeat("0,", 4000), `"iteration_indptr":[0,1,2,3],`, ``).Replace(small),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := Read([]byte(text), Options{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			// This counts all allocations, garbage included. The guarantee is for memory
			// in use: 64 MB and 16 times the file.
			if grown, limit := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+20*len(text)); grown > limit {
				t.Errorf("%d bytes of file take %d bytes: want at most %d", len(text), grown, limit)
			}
			if took > 30*time.Second {
				t.Errorf("it takes %v", took)
			}
			if (err == nil) != (name == "far categories") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// keys writes n different keys.
func keys(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte('"')
		for ; i > 0; i >>= 4 {
			b.WriteByte("0123456789abcdef"[i&15])
		}
		b.WriteString(`":0,`)
	}
	return b.String()
}
