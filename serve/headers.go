package serve

import "net/http"

// securityHeaders are the fields that SecurityHeaders sets. The slices are never
// written.
var securityHeaders = []struct {
	name  string
	value []string
}{
	{"Cache-Control", []string{"no-store"}},
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
}

// oneYear is what Strict-Transport-Security should last.
var oneYear = []string{"max-age=31536000"}

// SecurityHeaders sets the header fields that keep browsers from misusing answers that
// are data: they are not stored, not taken for another type, load nothing and are
// shown in no frame. Over TLS, browsers are told
// to use nothing else for a year. A page replaces the fields that it needs otherwise:
// they are set before the handler runs.
func SecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, field := range securityHeaders {
			h[field.name] = field.value
		}
		if r.TLS != nil {
			h["Strict-Transport-Security"] = oneYear
		}
		next.ServeHTTP(w, r)
	})
}
