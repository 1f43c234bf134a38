// Package oip serves models by the Open Inference Protocol V2 over REST, which the
// clients of Triton and KServe speak, with Triton's binary tensor extension.
//
// A model NAME is served under two names:
//
//	NAME           input user_id, BYTES [n]: the feature rows are those of a store
//	NAME-features  input features, FP64 [n, columns], in the order of the model's
//	               features, also as FP32 or as integers; null in JSON and NaN in binary
//	               are missing values
//
// Both have the output predicted_price, FP64 [n]. A model of several outputs is served
// for rows only, with the output predictions, FP64 [n, outputs].
//
// # Paths
//
//	GET   /v2                                          name, version, extensions
//	GET   /v2/health/live, /v2/health/ready
//	GET   /v2/models/NAME[/versions/VERSION]           metadata
//	GET   /v2/models/NAME[/versions/VERSION]/ready
//	POST  /v2/models/NAME[/versions/VERSION]/infer
//
// A request names a version, or gets the first one of its name in [Models]; routes
// of an experiment do not apply. Rows are not logged and do not enter drift, as they are
// no user's; predictions for users are told to the model loggers of [WithPredictor], with
// NAME@VERSION as the route.
//
// # Limits
//
// FP16, BF16, BOOL and strings are no features. The request for the raw form without JSON, a
// header length of 0, is refused. Answers are not compressed; requests may be, by gzip or
// deflate. Unknown parameters are ignored, as the protocol wants it.
//
// For gRPC, adapters/basketgrpc has the same, by a [Handler].
//
// # Errors
//
// Each failure is a JSON object with one string, "error", which exposes no internals: 400
// for a request that cannot be used, 404 for an unknown model, version, user or path, 405
// with Allow, 409 for a row that is too old, 413 with the limit, 415 for an unknown
// Content-Encoding, 500 if the model fails or a prediction is not finite, 503 with
// Retry-After and 504 if the store is away or out of time.
//
// The protocol is that of github.com/kserve/open-inference-protocol; the extension is that of
// Triton's documentation, "Binary Tensor Data Extension".
package oip

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/basket-go/basket"
)

// A Version is a version of a model.
type Version struct {
	Name    string
	Version string // of the model's name, "1" for example
	Model   basket.Model
}

// Models returns the versions that are served at the moment. Those of a name are in the
// order of preference: the first one answers requests that name no version. It is called
// for each request, by several goroutines at once, and its result is not modified.
type Models func() []Version

// NewHandler serves models. Store has the rows of users, and may be nil: then models are
// served for rows only.
func NewHandler(store basket.Store, models Models, opts ...Option) *Handler {
	h := &Handler{store: store, models: models, maxBody: 16 << 20, maxRows: 100_000, predictors: map[string]*userPredictor{}}
	for _, o := range opts {
		o(h)
	}
	return h
}

// A Handler serves models: over HTTP by ServeHTTP, and for other transports by its other
// methods. It is safe for concurrent use.
type Handler struct {
	store   basket.Store
	models  Models
	maxBody int64
	maxRows int
	ready   func(context.Context) error
	options []basket.Option
	loggers []basket.ServiceLogger

	mu         sync.Mutex
	predictors map[string]*userPredictor // of versions that are served, by name and version

	buffers sync.Pool // of *scratch
}

// An Option configures [NewHandler].
type Option func(*Handler)

// WithMaxBody sets how many bytes a request may have, decompressed; 16 MiB by default.
func WithMaxBody(n int64) Option { return func(h *Handler) { h.maxBody = n } }

// WithMaxRows sets how many rows or users a request may have; 100,000 by default.
func WithMaxRows(n int) Option { return func(h *Handler) { h.maxRows = n } }

// WithReady sets what /v2/health/ready asks; by default the server is always ready.
func WithReady(ready func(context.Context) error) Option { return func(h *Handler) { h.ready = ready } }

// WithPredictor adds options of the predictors for users: loggers, for example, but no
// store, models or routes.
func WithPredictor(opts ...basket.Option) Option {
	return func(h *Handler) { h.options = append(h.options, opts...) }
}

// WithServiceLogger adds a logger that is told of each request over HTTP.
func WithServiceLogger(l basket.ServiceLogger) Option {
	return func(h *Handler) { h.loggers = append(h.loggers, l) }
}

// Paths returns the paths of ServeHTTP, with "{model}" and "{version}" for these, as
// metrics name them.
func Paths() []string {
	paths := []string{"/v2", "/v2/health/live", "/v2/health/ready"}
	for _, of := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		paths = append(paths, of, of+"/ready", of+"/infer")
	}
	return paths
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	status := http.StatusOK
	fail := h.serve(w, r)
	if fail != nil {
		status = fail.Status
		writeFailure(w, fail)
	}
	if len(h.loggers) > 0 {
		e := basket.ServiceEvent{Time: start, Latency: time.Since(start), Method: r.Method, Path: r.URL.Path, Status: status}
		if fail != nil {
			e.Err = fail.Err
		}
		for _, l := range h.loggers {
			l.LogService(r.Context(), e)
		}
	}
}

// serve serves a request, unless it fails.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) *Error {
	t, fail := parsePath(r.URL.EscapedPath())
	if fail != nil {
		return fail
	}
	method := http.MethodGet
	if t.action == "infer" {
		method = http.MethodPost
	}
	if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
		allow := method
		if method == http.MethodGet {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		return failf(http.StatusMethodNotAllowed, "method %.20q: want %s", r.Method, method)
	}
	switch t.action {
	case "server":
		return writeJSON(w, h.Server())
	case "live":
		return writeJSON(w, map[string]any{"live": true, "ready": true})
	case "ready":
		if err := h.Ready(r.Context()); err != nil {
			return &Error{Status: http.StatusServiceUnavailable, body: []byte(`{"live":true,"ready":false}`), Err: err}
		}
		return writeJSON(w, map[string]any{"live": true, "ready": true})
	}
	m, fail := h.find(t.model, t.version)
	if fail != nil {
		return fail
	}
	switch t.action {
	case "model":
		return writeJSON(w, m.metadata())
	case "model ready":
		return writeJSON(w, map[string]any{"name": m.name, "ready": true})
	}
	return h.infer(w, r, m)
}

// A target is what a path names.
type target struct{ action, model, version string }

// parsePath reads an escaped path.
func parsePath(path string) (target, *Error) {
	unknown := failf(http.StatusNotFound, "no such path: want /v2/models/NAME/infer, or another of the Open Inference Protocol V2")
	switch path {
	case "/v2":
		return target{action: "server"}, nil
	case "/v2/health/live":
		return target{action: "live"}, nil
	case "/v2/health/ready":
		return target{action: "ready"}, nil
	}
	rest, ok := strings.CutPrefix(path, "/v2/models/")
	if !ok {
		return target{}, unknown
	}
	parts := strings.Split(rest, "/")
	t := target{action: "model"}
	var err error
	if t.model, err = url.PathUnescape(parts[0]); err != nil || t.model == "" {
		return target{}, unknown
	}
	parts = parts[1:]
	if len(parts) >= 2 && parts[0] == "versions" {
		if t.version, err = url.PathUnescape(parts[1]); err != nil || t.version == "" {
			return target{}, unknown
		}
		parts = parts[2:]
	}
	switch {
	case len(parts) == 0:
		return t, nil
	case len(parts) == 1 && parts[0] == "ready":
		t.action = "model ready"
		return t, nil
	case len(parts) == 1 && parts[0] == "infer":
		t.action = "infer"
		return t, nil
	}
	return target{}, unknown
}
