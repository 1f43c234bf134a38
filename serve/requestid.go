package serve

import (
	"context"
	"crypto/rand"
	"net/http"
)

// maxRequestID is the length of the longest request ID that is taken from a client.
const maxRequestID = 128

type requestIDKey struct{}

// RequestIDOf returns the ID of a request that has passed [RequestID], by the
// request's context, or "".
func RequestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithRequestID returns a context for which [RequestIDOf] returns id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID passes on each request with an ID in its context, and answers with the
// ID in the header X-Request-Id. The ID is that of the request's header X-Request-Id
// if it has one such header of 1 to 128 printable ASCII characters without spaces,
// quotes and backslashes; otherwise it is random. [SlogLogger] and [JSONLogger]
// write it.
func RequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var id string
		if sent := r.Header["X-Request-Id"]; len(sent) == 1 && isRequestID(sent[0]) {
			id = sent[0]
		} else {
			id = rand.Text()
		}
		w.Header()["X-Request-Id"] = []string{id}
		next.ServeHTTP(w, r.WithContext(WithRequestID(r.Context(), id)))
	})
}

func isRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c <= ' ', c >= 0x7f, c == '"', c == '\'', c == '`', c == '\\':
			return false
		}
	}
	return true
}
