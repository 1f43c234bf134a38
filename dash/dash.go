// Package dash is a page that shows what a prediction service does, for a browser.
//
//	Overview    requests, their latency, failures, predictions by route, memory and age of
//	            the data in the last hour, live: with a Recorder
//	Explain     the price of a user, why it is so, and what it would be of other features
//	Drift       what is served over the reference, by feature and route: with a
//	            drift.Monitor
//	Models      routes and their weights, models, versions that are refused, importance of
//	            features, shadows: more of it with a routing.File and a
//	            repository.Repository
//	Trees       any tree of the model of a route, or of a version that is loaded, with the
//	            path of a user's row
//
// [NewHandler] serves it under any prefix. All files are in the program: the page loads
// nothing from elsewhere, and its tables and forms work without JavaScript. A part that
// is not there, such as a Recorder, is a sentence on its page.
package dash

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/drift"
	"github.com/basket-go/basket/repository"
	"github.com/basket-go/basket/routing"
)

// An Option configures [NewHandler].
type Option func(*handler)

// WithRecorder sets what the Overview shows: a Recorder that was given to [basket.New]
// as service logger and model logger.
func WithRecorder(r *Recorder) Option { return func(h *handler) { h.recorder = r } }

// WithMonitor sets what the page on drift shows.
func WithMonitor(m *drift.Monitor) Option { return func(h *handler) { h.monitor = m } }

// WithRoutes shows the differences of the shadows, and lets whom [WithAdmin] allows it
// change the weights of f's routes: by its Handler, with the same checks.
func WithRoutes(f *routing.File) Option { return func(h *handler) { h.routes = f } }

// WithRepository shows the models of r, which was opened with the folder dir. Reasons of
// refusals are shown without dir.
func WithRepository(r *repository.Repository, dir string) Option {
	return func(h *handler) { h.repository, h.dir = r, dir }
}

// WithNewest sets the time of the newest order in the data, for its age; the zero time is
// one that is not known. It must return quickly, and is called by many goroutines at once.
// The handler's Recorder calls it too, when a step begins, in a call of a logger.
func WithNewest(newest func() time.Time) Option { return func(h *handler) { h.newest = newest } }

// WithContext ends the event streams of the Overview when ctx is done, so that the server
// need not wait for them to shut down.
func WithContext(ctx context.Context) Option { return func(h *handler) { h.done = ctx.Done() } }

// WithAdmin sets whose requests may change weights; by default nobody's may. Requests that
// a browser sends for the page of another site are refused in any case.
func WithAdmin(admin func(*http.Request) bool) Option { return func(h *handler) { h.admin = admin } }

type handler struct {
	p          *basket.Predictor
	recorder   *Recorder
	newest     func() time.Time
	done       <-chan struct{}
	monitor    *drift.Monitor
	routes     *routing.File
	repository *repository.Repository
	dir        string
	admin      func(*http.Request) bool

	table   http.Handler // of the routes; nil without a routing.File
	origins *http.CrossOriginProtection
	pages   map[string]func(*http.Request) *page // by path
	data    map[string]func(*http.Request) (status int, body any)
	trees   importanceCache
	streams atomic.Int64 // open ones
	step    stepCache
}

// NewHandler serves the page about p, which is safe for concurrent use. It belongs behind
// [http.StripPrefix], and behind authentication: it shows the rows of all users.
//
//	mux.Handle("/ui/", http.StripPrefix("/ui", dash.NewHandler(p)))
//
// What the pages show is also JSON, under api/: overview, stream (server-sent events),
// explain, drift, models, routes and tree, of route=NAME or version=NAME@VERSION. At most 64 event streams are open at a time, each for ten
// minutes at most. The handler starts no goroutine, and needs no Close.
// Explaining calls [basket.Predictor.WhatIf]: it is not logged as a prediction. Requests
// for the page are not reported to the service loggers, but changes of weights are.
func NewHandler(p *basket.Predictor, opts ...Option) http.Handler {
	h := &handler{p: p, admin: func(*http.Request) bool { return false }, origins: http.NewCrossOriginProtection()}
	for _, o := range opts {
		o(h)
	}
	if h.recorder != nil && h.newest != nil {
		h.recorder.newest.Store(&h.newest)
	}
	if h.routes != nil {
		h.table = h.routes.Handler(p)
	}
	h.pages = map[string]func(*http.Request) *page{
		"/": h.overviewPage, "/explain": h.explainPage, "/drift": h.driftPage, "/models": h.modelsPage, "/tree": h.treePage,
	}
	h.data = map[string]func(*http.Request) (int, any){
		"/api/overview": h.overviewData, "/api/explain": h.explainData, "/api/drift": h.driftData, "/api/models": h.modelsData, "/api/tree": h.treeData,
	}
	return h
}

// contentPolicy allows what the page needs: files of the same server, and nothing inline.
// A chart is styled by its script through the CSSOM, which needs no permission.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP serves one request. All links are relative, so that proxies may put the page
// at any path.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin") // links have user IDs; without a referrer, forms have no origin
	header.Set("Cache-Control", "no-store")
	name := r.URL.Path
	if name == "" {
		h.toSlash(w, r)
		return
	}
	if name == "/weights" {
		h.moveWeights(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		writePage(w, r, h.faultPage(http.StatusMethodNotAllowed, "This address answers GET only."))
		return
	}
	switch {
	case h.pages[name] != nil:
		writePage(w, r, h.pages[name](r))
	case h.data[name] != nil:
		status, body := h.data[name](r)
		writeData(w, r, status, body)
	case name == "/api/stream":
		h.stream(w, r)
	case name == "/api/routes" && h.table != nil:
		h.table.ServeHTTP(w, r)
	case path.Dir(name) == "/assets":
		serveAsset(w, r, path.Base(name))
	default:
		writePage(w, r, h.faultPage(http.StatusNotFound, "There is no such page. Choose one of those above."))
	}
}

// toSlash redirects from the prefix without a slash at its end. The last element of the
// path is that of the request; what a proxy has before it is not known here.
func (h *handler) toSlash(w http.ResponseWriter, r *http.Request) {
	last, _, _ := cutLast(r.RequestURI)
	w.Header().Set("Location", "./"+last+"/")
	w.WriteHeader(http.StatusPermanentRedirect)
}
