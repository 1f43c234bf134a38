package dash_test

import (
	"bytes"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/repository"
)

// A tree is what api/tree answers.
type tree struct {
	Route, Version, Model, Detail string
	Trees, Number                 int
	Total                         int `json:"total_nodes"`
	Nodes                         []struct {
		Leaf        bool
		Value       *float64
		Rule        string
		Left, Right int
	}
	Path []struct{ Node int }
}

// TestTree: the picture and the JSON have the nodes of Tree and the path of Tree.Path.
func TestTree(t *testing.T) {
	s := newShop(t)
	h := s.handler()
	got := getJSON[tree](t, h, "/api/tree?route=current&number=3&user=ann", 200)
	page := get(h, "/tree?route=current&number=3&user=ann").Body.String()
	model, err := s.models.Model("price@1")
	check(t, err)
	want, _ := model.Tree(3)
	if got.Trees != model.Info().Trees || got.Total != want.Len() || len(got.Nodes) != want.Len() || got.Model != model.String() {
		t.Fatalf("%+v", got)
	}
	for i, n := range got.Nodes {
		node := want.Node(i)
		if n.Leaf != node.Leaf || n.Rule != node.Rule(model.Features()) || n.Leaf && *n.Value != node.Value || !n.Leaf && (n.Left != node.Left || n.Right != node.Right) {
			t.Errorf("node %d: %+v, want %+v", i, n, node)
		}
	}
	path, err := want.Path([]float64{56, 14, 2, 5})
	check(t, err)
	var nodes []int
	for _, step := range got.Path {
		nodes = append(nodes, step.Node)
	}
	if diff := cmp.Diff(path, nodes); diff != "" {
		t.Error(diff)
	}
	leaves := strings.Count(page, `class="node leaf`)
	if strings.Count(page, "<g class=") != want.Len() || strings.Count(page, "<line class=") != want.Len()-1 || leaves != (want.Len()+1)/2 {
		t.Errorf("%d boxes, %d lines, %d leaves", strings.Count(page, "<g class="), strings.Count(page, "<line class="), leaves)
	}
	if n := strings.Count(page, `class="edge path"`); n != len(path)-1 {
		t.Errorf("%d bold lines, want %d", n, len(path)-1)
	}
	wantText(t, page, fmt.Sprintf(`<data id="leaf" value="%v">`, want.Node(path[len(path)-1]).Value))
}

// TestTree_versions: the form has all routes and all versions that are loaded, and each of
// them leads to its trees.
func TestTree_versions(t *testing.T) {
	s := newShop(t)
	h := s.handler()
	page := get(h, "/tree").Body.String()
	var shown []string
	for _, option := range regexp.MustCompile(`<option value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		got := getJSON[tree](t, h, "/api/tree?model="+url.QueryEscape(html.UnescapeString(option[1])), 200)
		shown = append(shown, got.Route+got.Version+" "+got.Model)
		if got.Trees != 60 || len(got.Nodes) == 0 {
			t.Errorf("%s: %+v", option[1], got)
		}
	}
	var want []string
	_, routes := s.p.Routes()
	for _, r := range routes {
		want = append(want, fmt.Sprint(r.Name, " ", r.Model))
	}
	for _, version := range []string{"price@2", "price@1", "price@0"} {
		model, err := s.models.Model(version)
		check(t, err)
		want = append(want, fmt.Sprint(version, " ", model))
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Error(diff)
	}
	page = get(h, "/tree?version=price@0&number=3").Body.String()
	wantText(t, page, `<option value="version:price@0" selected>`, `<a href="tree?model=version%3aprice%400&amp;number=4&amp;user=">`)

	// A version of features that the store does not have is shown, but without a path.
	folder := filepath.Join(s.dir, "models", "other", "1")
	check(t, os.MkdirAll(folder, 0o755))
	text, err := os.ReadFile("../examples/server/demo/model.txt")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(folder, "model.txt"), bytes.ReplaceAll(text, []byte("regulars_count"), []byte("rabbits_count")), 0o600))
	models, err := repository.Open(filepath.Join(s.dir, "models"))
	check(t, err)
	other := dash.NewHandler(s.p, dash.WithRepository(models, s.dir))
	if got := getJSON[tree](t, other, "/api/tree?version=other@1&user=ann", 200); len(got.Nodes) == 0 || got.Path != nil || !strings.Contains(got.Detail, `no feature "`) {
		t.Errorf("%+v", got)
	}
}

// TestTree_faults: each fault is a sentence, and the form is there.
func TestTree_faults(t *testing.T) {
	s := newShop(t)
	h := s.handler()
	for _, test := range []struct {
		query  string
		status int
		detail string
	}{
		{"number=60", 404, `There is no tree "60" in this model: choose one from 0 to 59`},
		{"number=-1", 404, "There is no tree"},
		{"number=" + url.QueryEscape(hostile), 404, "There is no tree"},
		{"route=other", 404, `No route "other" has a model that was read from a file`},
		{"user=nobody", 404, "There is no feature row"},
		{"user=%00", 400, "cannot be a user ID"},
		{"route=shadow&user=ann", 200, "The route of this user is"},
		{"version=price@9", 404, `No version "price@9" is loaded. Choose one in the list`},
		{"version=price@3", 404, `The version "price@3" is refused, so it has no trees to show`},
		{"model=" + url.QueryEscape("version:"+hostile), 404, "is loaded. Choose one in the list"},
		{"version=price@0&user=ann", 200, "The model of this user is"},
		{"version=price@1&user=ann", 200, ""},
		{"user=" + strings.Repeat("a", 1<<16), 414, "The address is too long"},
	} {
		got := getJSON[tree](t, h, "/api/tree?"+test.query, test.status)
		if !strings.Contains(got.Detail, test.detail) {
			t.Errorf("%.50s: %q, want %q", test.query, got.Detail, test.detail)
		}
		if w := get(h, "/tree?"+test.query); w.Code != test.status || !strings.Contains(w.Body.String(), `<select id="model"`) {
			t.Errorf("%.50s: %d %s", test.query, w.Code, w.Body)
		}
	}
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{56, 14, 2, 5}}}))
	check(t, err)
	p, err := basket.New(basket.WithStore(store), basket.WithModel(plainModel{}))
	check(t, err)
	wantText(t, get(dash.NewHandler(p), "/tree").Body.String(), "No route has a model that was read from a file")
	wantText(t, get(dash.NewHandler(s.p), "/tree?version=price@1").Body.String(), "this service has no folder of model versions")
}

// TestTree_large: of a large tree the nodes near the root are drawn, and the path is whole.
func TestTree_large(t *testing.T) {
	// A chain of 1200 splits "x <= i", each with a leaf on the left.
	const splits = 1200
	var features, thresholds, lefts, rights, leaves, zeros, counts []string
	for i := range splits {
		features, zeros = append(features, "0"), append(zeros, "0")
		thresholds = append(thresholds, fmt.Sprint(i))
		lefts = append(lefts, fmt.Sprint(^i))
		right := i + 1
		if i == splits-1 {
			right = ^splits
		}
		rights = append(rights, fmt.Sprint(right))
	}
	for i := range splits + 1 {
		leaves, counts = append(leaves, fmt.Sprint(i)), append(counts, "1")
	}
	join := func(list []string) string { return strings.Join(list, " ") }
	text := "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=0\nobjective=regression\nfeature_names=x\nfeature_infos=[0:1200]\n\n" +
		fmt.Sprintf("Tree=0\nnum_leaves=%d\nnum_cat=0\nsplit_feature=%s\nsplit_gain=%s\nthreshold=%s\ndecision_type=%s\nleft_child=%s\nright_child=%s\nleaf_value=%s\nleaf_weight=%s\nleaf_count=%s\ninternal_value=%s\ninternal_weight=%s\ninternal_count=%s\nis_linear=0\nshrinkage=1\n\n\nend of trees\n",
			splits+1, join(features), join(zeros), join(thresholds), join(zeros), join(lefts), join(rights), join(leaves), join(counts), join(counts), join(zeros), join(zeros), join(zeros)) +
		"\nfeature_importances:\n\nparameters:\nend of parameters\n\npandas_categorical:null\n"
	model, err := basket.ReadModel(strings.NewReader(text))
	check(t, err)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{{UserID: "ann", Values: []float64{1e9}}}), "x")
	check(t, err)
	p, err := basket.New(basket.WithStore(store), basket.WithModel(model))
	check(t, err)
	page := get(dash.NewHandler(p), "/tree?user=ann").Body.String()
	wantText(t, page, "first 500 nodes", `<data id="leaf" value="1200">`)
	if n := strings.Count(page, "<g class="); n != 500 {
		t.Errorf("%d boxes, want 500", n)
	}
	if n := strings.Count(page, "the test is false"); n != splits {
		t.Errorf("%d steps, want %d", n, splits)
	}
}
