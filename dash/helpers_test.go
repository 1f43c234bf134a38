package dash_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/dash"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
)

// hostile is a name that would change a page that does not escape and isolate it.
const hostile = "<script>alert(1)</script>\"'&\u202e<b>\u2028"

// A shop is a service with two routes and a shadow, whose models are in a folder, with a
// version that has no route and one that is refused.
type shop struct {
	p      *basket.Predictor
	file   *routing.File
	models *repository.Repository
	dir    string
}

// newShop returns a shop with the users ann, who has all values, bea, who has a missing
// one, and one with a hostile ID.
func newShop(t testing.TB, opts ...basket.Option) *shop {
	t.Helper()
	s := &shop{dir: t.TempDir()}
	model, err := os.ReadFile("../examples/server/demo/model.txt")
	check(t, err)
	for version, text := range map[string]string{"1": string(model), "2": string(model) + "\n", "3": "<script>no model", "0": string(model) + "\n\n"} {
		folder := filepath.Join(s.dir, "models", "price", version)
		check(t, os.MkdirAll(folder, 0o755))
		check(t, os.WriteFile(filepath.Join(folder, "model.txt"), []byte(text), 0o600))
	}
	s.models, err = repository.Open(filepath.Join(s.dir, "models"))
	check(t, err)
	table, err := json.Marshal(routing.Table{Experiment: "prices " + hostile, Routes: []routing.Route{
		{Name: "current", Model: "price@1", Weight: 90},
		{Name: "next " + hostile, Model: "price@2", Weight: 10},
		{Name: "shadow", Model: "price@2", Shadow: true},
	}})
	check(t, err)
	path := filepath.Join(s.dir, "routes.json")
	check(t, os.WriteFile(path, table, 0o600))
	s.file, err = routing.Open(t.Context(), path, s.models)
	check(t, err)
	ordered := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	store, err := basket.NewMemoryStore(basket.Values([]basket.Row{
		{UserID: "ann", OrderedAt: ordered, Number: 7, Values: []float64{56, 14, 2, 5}},
		{UserID: "bea", OrderedAt: ordered, Number: 1, Values: []float64{math.NaN(), 3, 0, 1}},
		{UserID: hostile, OrderedAt: ordered, Number: 1, Values: []float64{20, 3, 0, 1}},
	}))
	check(t, err)
	s.p, err = basket.New(append(opts, basket.WithStore(store), s.file.Option(), basket.WithModelLogger(s.file.Shadows()))...)
	check(t, err)
	return s
}

// handler returns the page about the shop.
func (s *shop) handler(opts ...dash.Option) http.Handler {
	return dash.NewHandler(s.p, append([]dash.Option{dash.WithRoutes(s.file), dash.WithRepository(s.models, filepath.Join(s.dir, "models"))}, opts...)...)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// get returns the answer to GET.
func get(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

// getJSON returns the JSON that GET answers with a status.
func getJSON[T any](t testing.TB, h http.Handler, target string, status int) (v T) {
	t.Helper()
	w := get(h, target)
	if w.Code != status || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("GET %s: %d %s, want %d and JSON: %s", target, w.Code, w.Header().Get("Content-Type"), status, w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("GET %s: %v: %s", target, err, w.Body)
	}
	return v
}

// wantText reports texts that a page lacks.
func wantText(t testing.TB, page string, texts ...string) {
	t.Helper()
	page = strings.ReplaceAll(page, "<wbr>", "")
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

func record(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
