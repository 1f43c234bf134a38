package basket_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/google/go-cmp/cmp"
)

func TestWithModelID(t *testing.T) {
	plain := loadModel(t, regressionModel)
	m := loadModel(t, regressionModel, basket.WithModelID("price@3"))
	want := plain.Info()
	want.ID = "price@3"
	if diff := cmp.Diff(want, m.Info()); diff != "" {
		t.Errorf("Info (-want +got):\n%s", diff)
	}
	if want := "price@3, " + plain.String(); m.String() != want || m.Info().String() != want {
		t.Errorf("String: %q and %q, want %q", m, m.Info(), want)
	}
	for _, id := range []string{"a\r\nSet-Cookie: b", "a\x7f", "a\u0085", "\xff"} {
		f, err := os.Open(regressionModel)
		if err != nil {
			t.Fatal(err)
		}
		_, err = basket.ReadModel(f, basket.WithModelID(id))
		_ = f.Close()
		if !errors.Is(err, basket.ErrInvalidConfig) || !strings.Contains(err.Error(), fmt.Sprintf("%q", id)) {
			t.Errorf("ID %q: %v", id, err)
		}
	}
}

// TestPrediction_modelID: answers, failures and events tell the model of their own
// route.
func TestPrediction_modelID(t *testing.T) {
	log := &modelEvents{}
	p := mustNew(t, basket.WithStore(mustStore(t, row("a", 1, 1))), basket.WithModelLogger(log), basket.WithRoutes("",
		basket.Route{Name: "default", Model: loadModel(t, regressionModel, basket.WithModelID("price@3")), Weight: 1},
		basket.Route{Name: "next", Model: loadModel(t, regressionModel, basket.WithModelID("price@4")), Shadow: true},
		basket.Route{Name: "other", Model: constant(1), Shadow: true},
	))
	one, err := p.Predict(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	explained, err := p.Explain(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	unknown, _ := p.Predict(t.Context(), "nobody")
	invalid, _ := p.Predict(t.Context(), "")
	batch := p.PredictBatch(t.Context(), []string{"a", "nobody", ""})
	got := []string{one.ModelID, explained.ModelID, unknown.ModelID, invalid.ModelID, batch[0].ModelID, batch[1].ModelID, batch[2].ModelID}
	if diff := cmp.Diff([]string{"price@3", "price@3", "price@3", "", "price@3", "price@3", ""}, got); diff != "" {
		t.Errorf("ModelID (-want +got):\n%s", diff)
	}
	want := map[string]string{"default": "price@3", "next": "price@4", "other": ""}
	for _, e := range log.events {
		if e.ModelID != want[e.Route] {
			t.Errorf("event of route %s: model %q, want %q", e.Route, e.ModelID, want[e.Route])
		}
	}
	if err := p.SetModel("default", constant(1)); err != nil {
		t.Fatal(err)
	}
	if one, _ := p.Predict(t.Context(), "a"); one.ModelID != "" {
		t.Errorf("a model without an ID: %q", one.ModelID)
	}
}

func TestHandler_modelID(t *testing.T) {
	h := newHandler(t)
	post := func(body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/predict", strings.NewReader(body)))
		return w
	}
	if w := post(`{"user_id":"abc123"}`); w.Code != 200 || w.Header()["Basket-Model"] != nil {
		t.Errorf("a model without an ID: %d, %q", w.Code, w.Header())
	}
	model := loadModel(t, regressionModel, basket.WithModelID(`pr"ice@3`))
	h = basket.NewHandler(mustNew(t, basket.WithStore(mustStore(t, row("abc123", 1, 1))), basket.WithModel(model)))
	for body, want := range map[string]string{
		`{"user_id":"abc123"}`: `200 pr"ice@3`,
		`{"user_id":"nobody"}`: `404 pr"ice@3`,
		`{"user_id":""}`:       `400 `, // no model was asked
	} {
		w := post(body)
		if got := fmt.Sprint(w.Code, " ", w.Header().Get("Basket-Model")); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", "/predict?explain=true", strings.NewReader(`{"user_id":"abc123"}`)))
	if got := w.Header().Get("Basket-Model"); w.Code != 200 || got != `pr"ice@3` {
		t.Errorf("explain: %d, %q", w.Code, got)
	}
	w = postBatch(h, `{"user_ids":["abc123","nobody",""]}`)
	body := w.Body.String()
	for _, want := range []string{
		`,"model":"pr\"ice@3"},{"user_id":"nobody","error":{"type":"user_not_found","detail":"User not found"},"model":"pr\"ice@3"},`,
		`{"user_id":"","error":{"type":"invalid_user_id","detail":"Invalid user ID"}}],`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("batch: %s\nwant in it %s", body, want)
		}
	}
}
