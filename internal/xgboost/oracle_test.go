package xgboost

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/basket-go/basket/internal/golden"
)

// An oracle is a model as its JSON has it. It predicts by XGBoost's rules without any
// conversion: in float32, with "less than", from node to node by the file's numbers.
type oracle struct {
	version           string
	features, outputs int
	base              float32
	trees             []oracleTree
	group             []int
	weights           []float32 // of dart; nil if there are none
}

type oracleTree struct {
	left, right, feature []int
	condition            []float32
	defaultLeft          []bool
	categories           [][]int // nil: numeric
}

func (o *oracle) margin(row []float64) []float64 {
	sums := make([]float64, o.outputs)
	for k := range sums {
		sums[k] = float64(o.base)
	}
	for i := range o.trees {
		t := &o.trees[i]
		n := 0
		for t.left[n] != -1 {
			if t.goesLeft(o.version, n, float32(row[t.feature[n]])) {
				n = t.left[n]
			} else {
				n = t.right[n]
			}
		}
		v := t.condition[n]
		if o.weights != nil {
			v = float32(v * o.weights[i])
		}
		sums[o.group[i]] = float64(float32(sums[o.group[i]]) + v)
	}
	return sums
}

func (t *oracleTree) goesLeft(version string, n int, x float32) bool {
	switch {
	case x != x:
		return t.defaultLeft[n]
	case t.categories[n] == nil:
		return x < t.condition[n]
	}
	bits := 0 // size of XGBoost's bit set
	for _, c := range t.categories[n] {
		bits = max(bits, (c/32+1)*32)
	}
	switch {
	case version == "1.5.2" && x > -1 && x < 0:
		x = 0
	case version == "1.7.2" && (x < 0 || x >= float32(bits)):
		return t.defaultLeft[n]
	case x < 0 || x >= 16777216:
		return true
	}
	return !slices.Contains(t.categories[n], int(x))
}

// specials are values at the limits of some rule.
var specials = []float64{
	0, math.Copysign(0, -1), 1, -1, -0.5, 0.9, 9.999999999, 31, 32, 33, 63.99999999, 64, 255, 256, 1e6, 1 << 20,
	1<<24 - 1, 1 << 24, 1<<24 + 1, 1 << 31, 1e12, 1e20, 1e-45, -1e-45, 7e-46, 1e-300, -1e-300, 1.0000000180025095e-35,
	math.MaxFloat32, -math.MaxFloat32, 3.4028235677973366e38, 1e300, -1e300, math.Inf(1), math.Inf(-1), math.NaN(),
}

// random returns a model and values at its thresholds.
func random(r *rand.Rand) (o *oracle, tries []float64) {
	o = &oracle{version: []string{"1.5.2", "1.7.2", "1.7.3", "3.4.1"}[r.IntN(4)], features: 1 + r.IntN(5), outputs: 1 + r.IntN(3), base: float32(r.NormFloat64())}
	tries = append(tries, specials...)
	number := func() float32 {
		switch r.IntN(4) {
		case 0:
			return float32(r.IntN(7) - 3)
		case 1:
			return float32(specials[r.IntN(len(specials)-1)]) // all but NaN
		}
		return float32(r.NormFloat64())
	}
	for range 1 + r.IntN(6) {
		t := oracleTree{}
		t.add(r, o, 1+r.IntN(6), number)
		for n, c := range t.condition {
			x := float64(c)
			tries = append(tries, x, math.Nextafter(x, math.Inf(1)), math.Nextafter(x, math.Inf(-1)))
			for _, to := range []float32{float32(math.Inf(1)), float32(math.Inf(-1))} {
				next := float64(math.Nextafter32(c, to))
				middle := x + (next-x)/2
				tries = append(tries, next, middle, math.Nextafter(middle, next), math.Nextafter(middle, x))
			}
			for _, c := range t.categories[n] {
				tries = append(tries, float64(c), float64(c)+0.5, float64(c+1))
			}
		}
		o.trees = append(o.trees, t)
		o.group = append(o.group, r.IntN(o.outputs))
	}
	if r.IntN(3) == 0 {
		for range o.trees {
			o.weights = append(o.weights, r.Float32())
		}
	}
	return o, tries
}

// add adds a root, then children to some of the leaves.
func (t *oracleTree) add(r *rand.Rand, o *oracle, splits int, number func() float32) {
	leaf := func() {
		t.left, t.right, t.feature = append(t.left, -1), append(t.right, -1), append(t.feature, 0)
		t.condition, t.defaultLeft = append(t.condition, float32(r.NormFloat64())), append(t.defaultLeft, false)
		t.categories = append(t.categories, nil)
	}
	leaf()
	for range splits {
		n := r.IntN(len(t.left))
		if t.left[n] != -1 {
			continue
		}
		t.left[n], t.right[n] = len(t.left), len(t.left)+1
		t.feature[n], t.defaultLeft[n], t.condition[n] = r.IntN(o.features), r.IntN(2) == 0, number()
		if r.IntN(3) == 0 {
			for range 1 + r.IntN(4) {
				t.categories[n] = append(t.categories[n], r.IntN([]int{4, 70, 1000, 1 << 24}[r.IntN(4)]))
			}
		}
		leaf()
		leaf()
	}
}

// json writes the model as XGBoost up to 3.3 does.
func (o *oracle) json() string {
	trees := make([]string, len(o.trees))
	for i := range o.trees {
		t := &o.trees[i]
		var types, nodes, starts, sizes, all []int
		var left []int
		for n := range t.left {
			types = append(types, 0)
			if t.categories[n] != nil {
				types[n] = 1
				nodes, starts, sizes = append(nodes, n), append(starts, len(all)), append(sizes, len(t.categories[n]))
				all = append(all, t.categories[n]...)
			}
			left = append(left, 0)
			if t.defaultLeft[n] {
				left[n] = 1
			}
		}
		trees[i] = fmt.Sprintf(`{"left_children":%s,"right_children":%s,"split_indices":%s,"split_conditions":%s,"default_left":%s,"split_type":%s,`+
			`"categories":%s,"categories_nodes":%s,"categories_segments":%s,"categories_sizes":%s,"tree_param":{"num_nodes":"%d"},"id":%d}`,
			array(t.left), array(t.right), array(t.feature), floats(t.condition), array(left), array(types),
			array(all), array(nodes), array(starts), array(sizes), len(t.left), i)
	}
	model := fmt.Sprintf(`"model":{"trees":[%s],"tree_info":%s,"gbtree_model_param":{"num_trees":"%d"}},"name":"gbtree"`,
		strings.Join(trees, ","), array(o.group), len(o.trees))
	if o.weights != nil {
		model = fmt.Sprintf(`"gbtree":{%s},"weight_drop":%s,"name":"dart"`, model, floats(o.weights))
	}
	return fmt.Sprintf(`{"version":[%s],"learner":{"learner_model_param":{"base_score":"%s","num_class":"%d","num_feature":"%d"},`+
		`"objective":{"name":"reg:squarederror"},"gradient_booster":{%s}}}`, strings.ReplaceAll(o.version, ".", ","), float(o.base), o.outputs, o.features, model)
}

func array(values []int) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = strconv.Itoa(v)
	}
	return "[" + strings.Join(words, ",") + "]"
}

func floats(values []float32) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = float(v)
	}
	return "[" + strings.Join(words, ",") + "]"
}

func float(v float32) string {
	switch {
	case math.IsInf(float64(v), 1):
		return "Infinity"
	case math.IsInf(float64(v), -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(float64(v), 'E', -1, 32)
}

// TestRead_agreesWithOracle reads random models and predicts for values at, next to
// and far from thresholds.
func TestRead_agreesWithOracle(t *testing.T) {
	models := 2000
	if testing.Short() {
		models = 200
	}
	for seed := range uint64(models) {
		r := rand.New(rand.NewPCG(seed, 1))
		o, tries := random(r)
		text := o.json()
		f, err := Read([]byte(text), Options{})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		ubj, err := Read(toUBJ(t, text, seed), Options{})
		if err != nil {
			t.Fatalf("seed %d: UBJSON: %v\n%s", seed, err, text)
		}
		row := make([]float64, o.features)
		got, gotUBJ := make([]float64, o.outputs), make([]float64, o.outputs)
		for range 100 {
			for j := range row {
				row[j] = tries[r.IntN(len(tries))]
				if r.IntN(4) == 0 {
					row[j] = r.NormFloat64()
				}
			}
			f.Forest.Predict(got, row) // reg:squarederror: margins
			ubj.Forest.Predict(gotUBJ, row)
			what := fmt.Sprintf("seed %d: row %v", seed, row)
			golden.Compare(t, what, got, o.margin(row))
			golden.Compare(t, what+": UBJSON", gotUBJ, got)
		}
	}
}
