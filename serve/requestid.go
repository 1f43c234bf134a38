package serve

import (
	"context"
	"math/rand/v2"
	"net/http"
)

// maxRequestID is the length of the longest request ID that is taken from a client.
const maxRequestID = 128

// A requestInfo is what the wrappers of this package tell about a request. One value in
// the context has all of it, because each further value costs a copy of the request.
type requestInfo struct {
	id, traceID string
	identity    Identity
}

type requestInfoKey struct{}

// infoOf returns what is known of a request, or nil.
func infoOf(ctx context.Context) *requestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(*requestInfo)
	return info
}

// withInfo returns a context with what ctx has, changed by f.
func withInfo(ctx context.Context, f func(*requestInfo)) context.Context {
	info := &requestInfo{}
	if known := infoOf(ctx); known != nil {
		*info = *known
	}
	f(info)
	return context.WithValue(ctx, requestInfoKey{}, info)
}

// RequestIDOf returns the ID of a request that has passed [RequestID], by the
// request's context, or "".
func RequestIDOf(ctx context.Context) string {
	if info := infoOf(ctx); info != nil {
		return info.id
	}
	return ""
}

// WithRequestID returns a context for which [RequestIDOf] returns id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return withInfo(ctx, func(info *requestInfo) { info.id = id })
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
			id = randomID()
		}
		w.Header()["X-Request-Id"] = []string{id}
		next.ServeHTTP(w, r.WithContext(WithRequestID(r.Context(), id)))
	})
}

// randomID returns 128 random bits as 26 letters and digits. They only need to be
// different: nobody is let in for guessing one.
func randomID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var text [26]byte
	for i, bits := 0, uint64(0); i < len(text); i++ {
		if i%13 == 0 {
			bits = rand.Uint64()
		}
		text[i] = alphabet[bits%32]
		bits /= 32
	}
	return string(text[:])
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
