package basketotel

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// A requestKey is the attributes of http.server.request.duration.
type requestKey struct {
	method, route, kind string
	status              int
}

func (k requestKey) set() attribute.Set {
	return withKind([]attribute.KeyValue{
		attribute.String("http.request.method", k.method),
		attribute.String("http.route", k.route),
		attribute.Int("http.response.status_code", k.status),
	}, k.kind)
}

func (k requestKey) other() requestKey { return requestKey{other, other, "", k.status / 100 * 100} }

// methods are those that http.request.method may have.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// oneOf returns s if it is in the list, else other. The result is of the list, so
// that the memory of a request is not kept.
func oneOf(list []string, s string) string {
	if i := slices.Index(list, s); i >= 0 {
		return list[i]
	}
	return other
}

// route returns http.route of a path.
func (t *Telemetry) route(path string) string {
	route := oneOf(t.paths, path)
	if route != other || len(path) > maxPath {
		return route
	}
	for _, form := range t.forms {
		if form.matches(path) {
			return form.text
		}
	}
	return other
}

// maxPath is the longest path that is compared with paths with braces.
const maxPath = 1024

// A pathForm is a path of which some elements are in braces.
type pathForm struct {
	text     string
	elements []string
}

// matches reports whether a path has the elements of the form, those in braces aside.
func (f pathForm) matches(path string) bool {
	for i, want := range f.elements {
		have, rest, more := strings.Cut(path, "/")
		if more != (i < len(f.elements)-1) || have != want && (have == "" || !strings.HasPrefix(want, "{")) {
			return false
		}
		path = rest
	}
	return true
}

// A request is what is known of a request when it has been answered. It passes on
// the answer.
type request struct {
	http.ResponseWriter
	status int
	kind   atomic.Pointer[string] // set by LogService, maybe in a goroutine of http.TimeoutHandler
}

// WriteHeader notes the status.
func (r *request) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body, after the status 200 if there is none.
func (r *request) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap returns the writer for [http.ResponseController].
func (r *request) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type requestContextKey struct{}

// requestOf returns the request of a context, or nil if it has passed no Handler.
func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestContextKey{}).(*request)
	return r
}

// Handler passes on each request with the trace of its header traceparent in its
// context, in a span of its own if there are tracers, and records
// http.server.request.duration. It should be outside of all other handlers.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		t.active.Add(1)
		defer t.active.Add(-1)
		ctx := r.Context()
		if r.Header["Traceparent"] != nil {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		var span trace.Span
		if t.tracer != nil {
			ctx, span = t.startServer(ctx, r)
		}
		answer := &request{ResponseWriter: w}
		ctx = context.WithValue(ctx, requestContextKey{}, answer)
		panicked := true
		defer func() {
			status := answer.status
			switch {
			case panicked && status == 0:
				status = http.StatusInternalServerError
			case status == 0:
				status = http.StatusOK
			}
			kind := ""
			if p := answer.kind.Load(); p != nil {
				kind = *p
			}
			t.record(ctx, time.Since(start), r.Method, r.URL.Path, status, kind)
			if span != nil {
				endServer(span, status, kind)
			}
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
		panicked = false
	})
}

// record records a request.
func (t *Telemetry) record(ctx context.Context, d time.Duration, method, path string, status int, kind string) {
	k := requestKey{method: oneOf(methods, method), route: t.route(path), status: status, kind: serverKind(status, kind)}
	t.requests.record(ctx, d.Seconds(), k)
}

// serverKind returns error.type of a request: the faults of clients are not the
// server's.
func serverKind(status int, kind string) string {
	switch {
	case status < http.StatusInternalServerError:
		return ""
	case kind == "":
		return strconv.Itoa(status)
	}
	return kind
}

// startServer starts the span of a request.
func (t *Telemetry) startServer(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	method, route := oneOf(methods, r.Method), t.route(r.URL.Path)
	name := method
	if method == other {
		name = "HTTP"
	}
	attributes := []attribute.KeyValue{attribute.String("http.request.method", method)}
	if route != other {
		name += " " + route
		attributes = append(attributes, attribute.String("http.route", route), attribute.String("url.path", route))
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attributes = append(attributes, attribute.String("url.scheme", scheme))
	return t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}

// endServer ends the span of a request.
func endServer(span trace.Span, status int, kind string) {
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if kind := serverKind(status, kind); kind != "" {
		span.SetAttributes(attribute.String("error.type", kind))
		span.SetStatus(codes.Error, "")
	}
	span.End()
}
