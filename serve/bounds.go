package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Except wraps a handler, but passes by the wrapper the requests that free names:
//
//	h = serve.Except(isProbe, limit.Wrap)(h)
func Except(free func(*http.Request) bool, wrap func(http.Handler) http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		wrapped := wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if free(r) {
				next.ServeHTTP(w, r)
				return
			}
			wrapped.ServeHTTP(w, r)
		})
	}
}

// Timeout ends the context of each request after d, which must be positive; the
// answer is what the handler makes of that: 503 of [basket.NewHandler]. In front of a
// [Concurrency] the time includes waiting. A handler that ignores its context is not
// stopped; see [basket.LimitStore].
func Timeout(d time.Duration) (func(http.Handler) http.Handler, error) {
	if d <= 0 {
		return nil, fmt.Errorf("serve: time limit of requests %v: want a positive time", d)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := &deadlineContext{Context: r.Context(), deadline: time.Now().Add(d)}
			defer ctx.stop()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}, nil
}

// maxKeptBody is the largest buffer that is kept for another request.
const maxKeptBody = 1 << 20

// ReadBody reads the whole body of each request before it passes the request on, so
// that one whose client is slow does not hold a slot of a [Concurrency] meanwhile, and
// a client that closes its connection is noticed in the queue. A body over limit bytes,
// which must be positive, is answered by 413, and one that does not arrive by 400. It
// belongs in front of the Concurrency, behind [Authenticate].
func ReadBody(limit int64) (func(http.Handler) http.Handler, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("serve: request bodies of at most %d bytes: want a positive number", limit)
	}
	buffers := sync.Pool{New: func() any { return new(bytes.Buffer) }}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body == nil || r.Body == http.NoBody {
				next.ServeHTTP(w, r)
				return
			}
			buf := buffers.Get().(*bytes.Buffer)
			defer func() {
				if buf.Cap() <= maxKeptBody {
					buf.Reset()
					buffers.Put(buf)
				}
			}()
			if err := readBody(w, r, buf, limit); err != nil {
				status, text := http.StatusBadRequest, "Request body could not be read"
				if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
					status, text = http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body over %d bytes", limit)
				}
				refuse(w, r, status, text)
				return
			}
			read := *r
			read.Body = io.NopCloser(bytes.NewReader(buf.Bytes()))
			next.ServeHTTP(w, &read)
		})
	}, nil
}

// readBody reads a body into buf. One whose length is said to be over the limit is
// not read.
func readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer, limit int64) error {
	if r.ContentLength > limit {
		return &http.MaxBytesError{Limit: limit}
	}
	_, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	return err
}
