package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/basket-go/basket"
)

// TestService asks the service's own route and the mounted ones.
func TestService(t *testing.T) {
	row := basket.Row{UserID: "ann", Values: []float64{40, 10, 2, 3}}
	h, err := newService(customers{"ann": row}, "../server/demo/model.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/hello", "", 200, "hello\n"},
		{"POST", "/prices/predict", `{"user_id":"ann"}`, 200, `{"user_id":"ann","predicted_price":`},
		{"POST", "/prices/predict", `{"user_id":"joe"}`, 404, `{"detail":"User not found"}`},
		{"GET", "/prices/status", "", 200, `{"status":"OK"`},
		{"GET", "/predict", "", 404, "404 page not found\n"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(test.method, test.path, strings.NewReader(test.body)))
		if w.Code != test.status || !strings.HasPrefix(w.Body.String(), test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, w.Code, w.Body, test.status, test.want)
		}
	}
}
