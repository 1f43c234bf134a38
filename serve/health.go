package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/basket-go/basket"
)

// ErrDegraded is wrapped by the error of a [Check] that works with what it had before:
// the old keys, model or data, because the new ones cannot be used. The service is
// ready, and the word of the check is "degraded".
var ErrDegraded = errors.New("serve: degraded")

// A Check is a part of a service that must work for the service to be ready.
type Check struct {
	Name string

	// Do returns nil if the part works, and an error that wraps ErrDegraded if it works
	// with something old. It is called by many goroutines at once, and
	// returns soon after ctx is done.
	Do func(ctx context.Context) error
}

// StoreCheck returns the check "store": whether a store can be reached. It asks for
// a user that hardly exists.
func StoreCheck(s basket.Store) Check {
	return Check{"store", func(ctx context.Context) error {
		if _, err := s.Row(ctx, "basket-readiness-check"); err != nil && !errors.Is(err, basket.ErrUserNotFound) {
			return err
		}
		return nil
	}}
}

// checkLimit is how long the checks of a request may take together.
const checkLimit = 2 * time.Second

// Health answers what Kubernetes and load balancers ask. It is safe for concurrent
// use.
//
//	GET /livez    200 {"status":"OK"}: the process answers
//	GET /readyz   200 {"status":"OK","checks":{"store":"ok"}}, or
//	              503 {"status":"not ready","checks":{"store":"failed"}}
//
// There is one word for each check: "ok", "degraded", see [ErrDegraded], "failed" or,
// after two seconds, "slow".
// When the context of NewHealth is done, which stops a server of [Run], the status
// is "stopping" and 503, although requests are still answered.
type Health struct {
	ctx     context.Context
	checks  []Check
	report  func(check string, err error)
	details func(context.Context) any

	mu     sync.Mutex
	failed map[string]bool
}

// A HealthOption configures [NewHealth].
type HealthOption func(*Health)

// WithReport calls f with the cause when a check begins to fail, and with nil when it
// works again. Clients do not see causes. The calls do not overlap.
func WithReport(f func(check string, err error)) HealthOption {
	return func(h *Health) { h.report = f }
}

// WithDetails adds to the answer of /readyz, as "details", what f returns, in JSON,
// for clients with the role [Admin]; see [Authenticate].
func WithDetails(f func(context.Context) any) HealthOption {
	return func(h *Health) { h.details = f }
}

// NewHealth returns a Health of checks, until ctx is done.
func NewHealth(ctx context.Context, checks []Check, opts ...HealthOption) *Health {
	h := &Health{ctx: ctx, checks: checks, report: func(string, error) {}, failed: map[string]bool{}}
	for _, o := range opts {
		o(h)
	}
	return h
}

// ServeHTTP serves /livez and /readyz.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch ready := r.URL.Path == "/readyz"; {
	case !ready && r.URL.Path != "/livez":
		refuse(w, r, http.StatusNotFound, http.StatusText(http.StatusNotFound))
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		refuse(w, r, http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed))
	case ready:
		h.ready(w, r)
	default:
		writeJSON(w, http.StatusOK, healthAnswer{Status: "OK"})
	}
}

type healthAnswer struct {
	Status  string            `json:"status"`
	Checks  map[string]string `json:"checks,omitempty"`
	Details any               `json:"details,omitempty"`
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	answer, status := healthAnswer{Status: "OK", Checks: h.words(r.Context())}, http.StatusOK
	for _, word := range answer.Checks {
		if word != "ok" && word != "degraded" {
			answer.Status, status = "not ready", http.StatusServiceUnavailable
		}
	}
	if h.ctx.Err() != nil {
		answer.Status, status = "stopping", http.StatusServiceUnavailable
	}
	if h.details != nil && IdentityOf(r.Context()).Role == Admin {
		answer.Details = h.details(r.Context())
	}
	writeJSON(w, status, answer)
}

// words makes all checks at the same time and returns a word for each.
func (h *Health) words(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	type outcome struct {
		name string
		err  error
	}
	outcomes := make(chan outcome, len(h.checks))
	words := make(map[string]string, len(h.checks))
	for _, c := range h.checks {
		words[c.Name] = "slow"
		go func() { outcomes <- outcome{c.Name, safely(ctx, c.Do)} }()
	}
	for range h.checks {
		select {
		case o := <-outcomes:
			words[o.name] = "ok"
			switch {
			case errors.Is(o.err, ErrDegraded):
				words[o.name] = "degraded"
			case errors.Is(o.err, context.DeadlineExceeded):
				words[o.name] = "slow"
			case o.err != nil:
				words[o.name] = "failed"
			}
			h.tell(o.name, o.err)
		case <-ctx.Done(): // a check that ignores its context must not hold up the answer
			for name, word := range words {
				if word == "slow" {
					h.tell(name, ctx.Err())
				}
			}
			return words
		}
	}
	return words
}

// safely calls a check; a panic in it is an error.
func safely(ctx context.Context, do func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("serve: the check panicked: %v", v)
		}
	}()
	return do(ctx)
}

// tell reports the beginning and the end of a failure.
func (h *Health) tell(check string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if failed := err != nil; failed != h.failed[check] {
		h.failed[check] = failed
		h.report(check, err)
	}
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // fails only if the client is gone
}
