package basketleaves_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/basketleaves"
	"github.com/basket-go/basket/internal/xgboost"
)

// nearXGBoost returns thresholds and their neighbours, by feature: those in
// float32, and where rounding to float32 changes from one to the other.
func nearXGBoost(data []byte, features int) [][]float64 {
	near := make([][]float64, features)
	native, err := basket.ReadModel(strings.NewReader(string(data)))
	if err != nil {
		return near
	}
	a, err := xgboost.ReadArrays(data, native.Info().Trees)
	if err != nil {
		return near
	}
	up, down := math.Inf(1), math.Inf(-1)
	for _, t := range a.Trees {
		for i, j := range t.Feature {
			if t.Left[i] == -1 || j < 0 || int(j) >= features { // nobody checks nodes that nothing leads to
				continue
			}
			v := float64(t.Condition[i])
			next, last := float64(math.Nextafter32(t.Condition[i], float32(up))), float64(math.Nextafter32(t.Condition[i], float32(down)))
			half := last + (v-last)/2
			near[j] = append(near[j], v, v, math.Nextafter(v, up), math.Nextafter(v, down), next, last,
				half, math.Nextafter(half, up), math.Nextafter(half, down), v+(next-v)/2)
		}
	}
	return near
}

// TestModel_sameBits_randomXGBoost compares the engines on models that XGBoost
// would hardly write: odd thresholds, leaves and weights, trees in any order.
func TestModel_sameBits_randomXGBoost(t *testing.T) {
	n := 400
	if short() {
		n = 50
	}
	taken := 0
	for seed := range n {
		text := randomXGBoost(uint64(seed))
		read, err := basket.ReadModel(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		m, err := basketleaves.Read(strings.NewReader(text))
		if err != nil && strings.Contains(err.Error(), "thresholds of -Inf and of -3.4") {
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		taken++
		compare(t, read, m, wildRowsOf([]byte(text), len(m.Features()), 300))
		if t.Failed() {
			t.Fatal(text)
		}
	}
	if taken < n*3/4 {
		t.Errorf("%d of %d taken", taken, n)
	}
}

// randomXGBoost writes an XGBoost model in JSON.
func randomXGBoost(seed uint64) string {
	random := rand.New(rand.NewPCG(4, seed))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	features, classes, trees := 1+random.IntN(6), random.IntN(4), 1+random.IntN(8)
	base, objective := "0.3", one("reg:squarederror", "binary:logistic", "count:poisson", "reg:quantileerror", "binary:hinge", "rank:ndcg")
	if classes > 1 {
		objective = one("multi:softprob", "multi:softmax", "reg:squarederror")
		base = one("0.5", "[0.5"+strings.Repeat(",-1E-1", classes-1)+"]")
	}
	infinite := random.IntN(2) == 0 // otherwise the lowest float32 may be there
	groups, weights := make([]int, trees), make([]float32, trees)
	blocks := make([]string, trees)
	for i := range trees {
		groups[i] = random.IntN(max(classes, 1))
		weights[i] = random.Float32()
		blocks[i] = randomXGBoostTree(random, features, infinite)
	}
	info, _ := json.Marshal(groups)
	drop, _ := json.Marshal(weights)
	model := fmt.Sprintf(`"gbtree_model_param":{"num_trees":"%d","num_parallel_tree":"%d"},"tree_info":%s,"trees":[%s]`,
		trees, 1+random.IntN(trees), info, strings.Join(blocks, ","))
	booster := one(
		`"name":"gbtree","model":{`+model+`}`,
		`"name":"gbtree","model":{`+model+`,"weight_drop":`+string(drop)+`}`,
		`"name":"dart","gbtree":{"name":"gbtree","model":{`+model+`}},"weight_drop":`+string(drop),
	)
	return fmt.Sprintf(`{"version":[%s],"learner":{"learner_model_param":{"base_score":"%s","num_class":"%d","num_feature":"%d"},"objective":{"name":"%s"},"gradient_booster":{%s}}}`,
		one("1,0,2", "1,7,6", "2,0,3", "3,2,0", "3,4,1"), base, classes, features, objective, booster)
}

func randomXGBoostTree(random *rand.Rand, features int, infinite bool) string {
	// Splits are told by their children; nodes that nothing leads to are as
	// pruning leaves them.
	left, right := []int{-1}, []int{-1}
	deleted := 0
	for range random.IntN(20) {
		i := random.IntN(len(left))
		if left[i] != -1 {
			continue
		}
		left[i], right[i] = len(left), len(left)+1
		left, right = append(left, -1, -1), append(right, -1, -1)
		if last := left[i]; random.IntN(6) == 0 {
			left[i], right[i] = -1, -1
			deleted += 2
			left[last], left[last+1] = -2, -2 // not to be chosen again
		}
	}
	feature, condition, missing := make([]int, len(left)), make([]string, len(left)), make([]int, len(left))
	for i := range left {
		feature[i], missing[i] = random.IntN(features), random.IntN(2)
		v := float32(random.NormFloat64() * 100)
		switch {
		case left[i] == -1:
			v = float32(random.NormFloat64())
			if random.IntN(8) == 0 {
				v = float32(math.Copysign(0, -1))
			}
		case left[i] == -2:
			left[i] = -1
		case random.IntN(2) == 0:
			for v = float32(math.NaN()); v != v; {
				v = float32(wild[random.IntN(len(wild))])
			}
			if v == -math.MaxFloat32 && infinite && random.IntN(8) > 0 {
				v = float32(math.Inf(-1))
			} else if v < -math.MaxFloat32 && !infinite {
				v = -math.MaxFloat32
			}
		}
		condition[i] = fmt.Sprint(v)
		if v > math.MaxFloat32 {
			condition[i] = "Infinity"
		} else if v < -math.MaxFloat32 {
			condition[i] = "-Infinity"
		}
	}
	list := func(v any) string { return strings.ReplaceAll(fmt.Sprint(v), " ", ",") }
	return fmt.Sprintf(`{"left_children":%s,"right_children":%s,"split_indices":%s,"split_conditions":%s,"default_left":%s,"tree_param":{"num_nodes":"%d","num_deleted":"%d"}}`,
		list(left), list(right), list(feature), list(condition), list(missing), len(left), deleted)
}

// stumps is an XGBoost model of two stumps.
const stumps = `{"learner":{"learner_model_param":{"base_score":"0.5","num_class":"0","num_feature":"1"},"objective":{"name":"reg:squarederror"},
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2"},"tree_info":[0,0],"trees":[
{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[2.5,1,2],"default_left":[0,0,0],"tree_param":{"num_nodes":"3"}},
{"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[-Infinity,4,8],"default_left":[1,0,0],"tree_param":{"num_nodes":"3"}}
]}}}}`

// TestModel_XGBoost tells by hand what is below a threshold.
func TestModel_XGBoost(t *testing.T) {
	m, err := basketleaves.Read(strings.NewReader(stumps))
	if err != nil {
		t.Fatal(err)
	}
	const low = -math.MaxFloat32
	for _, c := range []struct{ v, want float64 }{
		{2.5, 0.5 + 2 + 8}, {2.4, 0.5 + 1 + 8}, {math.Nextafter(2.5, 0), 0.5 + 2 + 8}, {float64(math.Nextafter32(2.5, 0)), 0.5 + 1 + 8},
		{math.NaN(), 0.5 + 2 + 4}, {math.Inf(1), 0.5 + 2 + 8}, {math.Inf(-1), 0.5 + 1 + 8}, {low, 0.5 + 1 + 8}, {-1e300, 0.5 + 1 + 8},
	} {
		got := make([]float64, 1)
		if err := m.Predict(t.Context(), got, []float64{c.v}); err != nil || got[0] != c.want {
			t.Errorf("%v: %v, %v: want %v", c.v, got[0], err, c.want)
		}
	}
}

// TestModel_XGBoost_zero: a sum of which all parts are -0 is -0.
func TestModel_XGBoost_zero(t *testing.T) {
	text := strings.NewReplacer(`"base_score":"0.5"`, `"base_score":"-0"`, "[2.5,1,2]", "[2.5,-0.0,0]", "[-Infinity,4,8]", "[1,0,-0.0]").Replace(stumps)
	m, err := basketleaves.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for v, negative := range map[float64]bool{0: false, 1: true, 2.5: false} {
		got := make([]float64, 1)
		if err := m.Predict(t.Context(), got, []float64{v}); err != nil || got[0] != 0 || math.Signbit(got[0]) != negative {
			t.Errorf("%v: %v, %v: want a zero, negative: %v", v, got[0], err, negative)
		}
	}
}

func TestRead_refusesXGBoost(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`[2.5,1,2]`, `[2.5,NaN,2]`, "leaves: tree 0: leaf 1: its value is NaN"},
		{`[2.5,1,2]`, `[-3.4028235E38,1,2]`, "leaves: thresholds of -Inf and of -3.4028235e+38"},
		{`"split_conditions":[-Infinity,4,8]`, `"split_conditions":[0,4,8],"split_type":[1,0,0],"categories":[3],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[1]`,
			"leaves: tree 1: node 0 is a split by category"},
		{`[2.5,1,2]`, `[2.5,1]`, "basket: bad model: xgboost: tree 0: split_conditions: 2 values"},
	} {
		_, err := basketleaves.Read(strings.NewReader(strings.Replace(stumps, c.old, c.new, 1)))
		if !errors.Is(err, basket.ErrModelFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v: want ErrModelFormat with %q", c.new, err, c.want)
		}
	}
}
