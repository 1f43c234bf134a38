package serve_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/basket-go/basket/serve"
)

func TestRequestID(t *testing.T) {
	var seen string
	h := serve.RequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = serve.RequestIDOf(r.Context()) }))
	for _, test := range []struct {
		name string
		sent []string
		kept bool
	}{
		{"none", nil, false},
		{"plain", []string{"7c1"}, true},
		{"a UUID", []string{"0197d5a4-7b0e-7c1c-9d5c-6f7d0f6a1b2c"}, true},
		{"punctuation", []string{"a/b:c;d=e,f|g"}, true},
		{"longest", []string{strings.Repeat("x", 128)}, true},
		{"too long", []string{strings.Repeat("x", 129)}, false},
		{"empty", []string{""}, false},
		{"space", []string{"a b"}, false},
		{"quote", []string{`a"b`}, false},
		{"apostrophe", []string{"a'b"}, false},
		{"backslash", []string{`a\b`}, false},
		{"line break", []string{"a\nb"}, false},
		{"delete", []string{"a\x7f"}, false},
		{"not ASCII", []string{"é"}, false},
		{"two", []string{"a", "b"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			for _, id := range test.sent {
				r.Header.Add("X-Request-ID", id)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			answered := w.Result().Header["X-Request-Id"]
			if len(answered) != 1 || answered[0] != seen || seen == "" {
				t.Fatalf("the handler sees %q, the client %q: want the same", seen, answered)
			}
			if test.kept != (len(test.sent) == 1 && seen == test.sent[0]) {
				t.Errorf("ID %q for %q", seen, test.sent)
			}
			if !test.kept && len(seen) < 26 {
				t.Errorf("random ID %q: want 26 characters or more", seen)
			}
		})
	}
	if got := serve.RequestIDOf(t.Context()); got != "" {
		t.Errorf("ID %q without a request", got)
	}
}

// TestRequestID_differ: random IDs differ.
func TestRequestID_differ(t *testing.T) {
	seen := map[string]bool{}
	h := serve.RequestID(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen[serve.RequestIDOf(r.Context())] = true }))
	for range 1000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if len(seen) != 1000 {
		t.Errorf("%d IDs of 1,000 requests", len(seen))
	}
}

func BenchmarkRequestID(b *testing.B) {
	h := serve.RequestID(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
