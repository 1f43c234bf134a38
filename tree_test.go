package basket_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

// modelOf loads the model of a case of testdata/models.
func modelOf(t testing.TB, name string) *basket.FileModel {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata/models", name, "model.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", name, files, err)
	}
	m, err := basket.LoadModel(files[0], basket.WithMargin())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestImportances: the importances are those that the libraries tell of the same files
// (testdata/make_importances.py).
func TestImportances(t *testing.T) {
	text, err := os.ReadFile("testdata/importances.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]struct {
		Library, Class string
		Gain, Share    []float64
		Splits         []int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 60 {
		t.Fatalf("%d cases: want 60 or more", len(cases))
	}
	delete(cases, "xgboost-vector-leaf") // not supported
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := modelOf(t, name)
			var splits []int
			var gain []float64
			for _, i := range m.Importances() {
				splits, gain = append(splits, i.Splits), append(gain, i.Gain)
			}
			if c.Share != nil {
				if diff := cmp.Diff(c.Share, sharesOf(m, strings.Contains(c.Class, "Forest") || c.Class == "ExtraTreesRegressor"), closeTo(1e-9)); diff != "" {
					t.Errorf("shares of the gain (-%s +basket):\n%s", c.Library, diff)
				}
				return
			}
			if diff := cmp.Diff(c.Splits, splits); diff != "" {
				t.Errorf("splits (-%s +basket):\n%s", c.Library, diff)
			}
			tolerance := 0.0
			if strings.HasPrefix(c.Library, "XGBoost") {
				tolerance = 1e-5 // it adds in float32
			}
			if diff := cmp.Diff(c.Gain, gain, closeTo(tolerance)); diff != "" {
				t.Errorf("gain (-%s +basket):\n%s", c.Library, diff)
			}
		})
	}
}

func closeTo(relative float64) cmp.Option {
	return cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= relative*max(math.Abs(a), math.Abs(b)) })
}

// sharesOf returns the share of each feature in the gain: of all trees together, or the
// mean of the shares of each tree, as scikit-learn has it for a forest.
func sharesOf(m *basket.FileModel, byTree bool) []float64 {
	total := make([]float64, len(m.Features()))
	for tree := range m.Trees() {
		gain := make([]float64, len(total))
		sum := 0.0
		for i := range tree.Len() {
			if n := tree.Node(i); !n.Leaf {
				gain[n.Feature] += n.Gain
				sum += n.Gain
			}
		}
		if !byTree {
			sum = 1
		}
		for j, g := range gain {
			if sum > 0 {
				total[j] += g / sum
			}
		}
	}
	sum := 0.0
	for _, g := range total {
		sum += g
	}
	for j := range total {
		if sum > 0 {
			total[j] /= sum
		}
	}
	return total
}

// TestTree: the leaves that Path finds add up to the margin, and the rules of the splits
// on the path say where it goes.
func TestTree(t *testing.T) {
	for _, name := range []string{"lightgbm-regression", "lightgbm-nan", "lightgbm-zero-missing", "lightgbm-categorical", "xgboost-categories", "sklearn-hist-categorical-missing", "sklearn-tree-missing", "lightgbm-dart"} {
		t.Run(name, func(t *testing.T) {
			m := modelOf(t, name)
			g := readGolden(t, filepath.Join("testdata/models", name), "")
			want := make([]float64, 1)
			var bias []float64 // the margin less the leaves: the same for each row
		rows:
			for r := range min(len(g.rows)/g.columns, 50) {
				row := g.rows[r*g.columns:][:g.columns]
				if err := m.Predict(t.Context(), want, row); err != nil {
					t.Fatal(err)
				}
				sum := 0.0
				for tree := range m.Trees() {
					path, err := tree.Path(row)
					if errors.Is(err, basket.ErrInvalidRequest) && math.IsNaN(want[0]) {
						continue rows // scikit-learn refuses it
					}
					if err != nil {
						t.Fatal(err)
					}
					for k, i := range path {
						n := tree.Node(i)
						if n.Leaf != (k == len(path)-1) {
							t.Fatalf("tree %d: node %d of the path %v: leaf %v", tree.Number, i, path, n.Leaf)
						}
						if n.Leaf {
							sum += n.Value
							continue
						}
						if left := path[k+1] == n.Left; !left && path[k+1] != n.Right || !n.Transformed && left != goesLeft(n, row[n.Feature], name) && name != "lightgbm-zero-missing" {
							t.Fatalf("tree %d: row %v goes from node %d, %s, to %d", tree.Number, row, i, n.Rule(m.Features()), path[k+1])
						}
					}
				}
				bias = append(bias, want[0]-sum)
			}
			if low, high := slices.Min(bias), slices.Max(bias); high-low > 1e-4*max(1, math.Abs(high)) {
				t.Errorf("margin less leaves: from %v to %v: want one value", low, high)
			}
		})
	}
}

// goesLeft follows the comment of TreeNode. XGBoost rounds to float32 first.
func goesLeft(n basket.TreeNode, v float64, name string) bool {
	if strings.HasPrefix(name, "xgboost") {
		v = float64(float32(v))
	}
	switch {
	case math.IsNaN(v):
		return n.MissingLeft
	case !math.IsNaN(n.Threshold):
		return v <= n.Threshold
	}
	return slices.Contains(n.Categories, int(v)) != n.Except
}

func TestTree_errors(t *testing.T) {
	m := modelOf(t, "lightgbm-regression")
	tree, ok := m.Tree(0)
	if !ok {
		t.Fatal("no tree 0")
	}
	if _, err := tree.Path([]float64{1}); !errors.Is(err, basket.ErrInvalidRequest) {
		t.Errorf("Path of a short row: %v", err)
	}
	for _, i := range []int{-1, m.Info().Trees} {
		if _, ok := m.Tree(i); ok {
			t.Errorf("there is a tree %d", i)
		}
	}
	linear := modelOf(t, "sklearn-elasticnet")
	for range linear.Trees() {
		t.Error("a linear model has a tree")
	}
	if got := linear.Importances(); len(got) != len(linear.Features()) || got[0].Splits != 0 {
		t.Errorf("importances of a linear model: %v", got)
	}
	refuses := modelOf(t, "sklearn-extratrees")
	tree, _ = refuses.Tree(0)
	if _, err := tree.Path([]float64{math.Inf(1), 0, 0, 0}); !errors.Is(err, basket.ErrInvalidRequest) {
		t.Errorf("Path of a row that the model refuses: %v", err)
	}
}

// The path of a user's row through the first tree of a model.
func ExampleTree() {
	m, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	tree, _ := m.Tree(0)
	path, err := tree.Path([]float64{20, 5, 1, 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tree.Len(), "nodes")
	for _, i := range path {
		n := tree.Node(i)
		fmt.Printf("node %d, %.0f rows: %s\n", i, n.Cover, n.Rule(m.Features()))
	}
	// Output:
	// 15 nodes
	// node 0, 1200 rows: prior_basket_value <= 99.17257968050875 or missing
	// node 1, 992 rows: prior_regulars_count <= 3.5000000000000004 or missing
	// node 3, 837 rows: prior_item_count <= 19.500000000000004 or missing
	// node 7, 434 rows: prior_basket_value <= 37.238116294982355 or missing
	// node 11, 198 rows: 79.18889333308195
}

func ExampleFileModel_Importances() {
	m, err := basket.LoadModel("testdata/models/lightgbm-regression/model.txt")
	if err != nil {
		fmt.Println(err)
		return
	}
	features := m.Features()
	for j, i := range m.Importances() {
		fmt.Printf("%s: %d splits, gain %.0f\n", features[j], i.Splits, i.Gain)
	}
	// Output:
	// prior_basket_value: 13 splits, gain 2671064
	// prior_item_count: 14 splits, gain 1975244
	// prior_regulars_count: 15 splits, gain 1811276
	// regulars_count: 0 splits, gain 0
}
