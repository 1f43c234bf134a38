package serve_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/basket-go/basket/serve"
	"github.com/google/go-cmp/cmp"
)

func TestSecurityHeaders(t *testing.T) {
	page := "default-src 'self'"
	h := serve.SecurityHeaders(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Security-Policy", page)
			w.Header().Add("Cache-Control", "private") // must not change what others get
		}
	}))
	data := http.Header{
		"Cache-Control":           {"no-store"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'"},
		"X-Content-Type-Options":  {"nosniff"},
	}
	secure := data.Clone()
	secure.Set("Strict-Transport-Security", "max-age=31536000")
	for _, test := range []struct {
		url  string
		want http.Header
	}{
		{"http://localhost/page", http.Header{
			"Cache-Control": {"no-store", "private"}, "Content-Security-Policy": {page}, "X-Content-Type-Options": {"nosniff"},
		}},
		{"http://localhost/predict", data},
		{"https://localhost/predict", secure},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", test.url, nil))
		if diff := cmp.Diff(test.want, w.Header()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.url, diff)
		}
	}
}
