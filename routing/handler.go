package routing

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/basket-go/basket"
)

// Handler reads and changes the routes of p, which was made with [File.Option], at
// whatever path it is given. It is safe for concurrent use. Whoever reaches it may
// change the routes: authentication belongs before it.
//
//	GET   200 with the JSON of the [Table] that is applied, and its ETag
//	PUT   200 with the same of the new table: the body's, which the file has and p
//	      applies. It needs the header If-Match, with the ETag of the table that the
//	      file has, or "*" for any content, also one that cannot be used
//
// What GET answers can be sent back. The file becomes JSON, and keeps its mode; one
// that has the table already stays as it is. Other processes that change the file by
// PUT cannot do so at the same time, where the system has flock, and a change that
// they made before is not overwritten. Other programs do not heed the lock.
//
// Every failure changes nothing, and is a JSON object with one string, "detail",
// without paths: 400 for a table with faults, which are all named, 405 for another
// method, 409 for a model that is not loaded or does not fit the store, 412 if the
// file has another table than If-Match says, 413 for a body of over 1 MiB, 415 for a
// media type other than JSON, 428 without If-Match, 500 if the file cannot be written,
// and 503 with Retry-After if it takes over 30 seconds. Each request is reported to
// the service loggers.
func (f *File) Handler(p *basket.Predictor) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		fail := f.serve(w, r, p)
		status := http.StatusOK
		var err error
		if fail != nil {
			status, err = fail.status, fail.err
			if status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			writeJSON(w, status, map[string]string{"detail": fail.detail})
		}
		f.event(r.Context(), basket.ServiceEvent{
			Time: start, Latency: time.Since(start), Method: r.Method, Path: r.URL.Path, Status: status, Err: err,
		})
	})
}

// A failure is a response other than 200.
type failure struct {
	status int
	detail string // for the client
	err    error  // for the service log; nil if the request line is enough
}

func (f *File) serve(w http.ResponseWriter, r *http.Request, p *basket.Predictor) *failure {
	now := f.now.Load()
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut:
		seen, t, fail := readPut(w, r)
		if fail != nil {
			return fail
		}
		if err := f.put(r.Context(), p, seen, t); err != nil {
			return failureOf(err)
		}
		now = newApplied(t, nil)
	default:
		w.Header().Set("Allow", "GET, HEAD, PUT")
		return &failure{status: http.StatusMethodNotAllowed, detail: "Method Not Allowed"}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", now.tag)
	if r.Method == http.MethodPut {
		_, _ = w.Write(now.text) // fails only if the client is gone
		return nil
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(now.text)) // and If-None-Match
	return nil
}

// A precondition is the header If-Match.
type precondition struct {
	any  bool
	tags []string
}

func (c precondition) has(tag string) bool { return slices.Contains(c.tags, tag) }

// readPut reads a request to change the routes.
func readPut(w http.ResponseWriter, r *http.Request) (precondition, Table, *failure) {
	var seen precondition
	header := strings.Join(r.Header.Values("If-Match"), ",")
	for tag := range strings.SplitSeq(header, ",") {
		seen.tags = append(seen.tags, strings.TrimSpace(tag))
	}
	seen.any = seen.has("*")
	if header == "" {
		return seen, Table{}, invalid(http.StatusPreconditionRequired, "Send the header If-Match with the ETag that GET answered, or with *")
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return seen, Table{}, invalid(http.StatusUnsupportedMediaType, "Unsupported media type: send the header Content-Type: application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxText))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return seen, Table{}, invalid(http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body over %d bytes", maxText))
		}
		if r.Context().Err() != nil {
			return seen, Table{}, failureOf(r.Context().Err())
		}
		return seen, Table{}, invalid(http.StatusBadRequest, "Request body cannot be read")
	}
	t, found := parseTable(body)
	if len(found) > 0 {
		return seen, Table{}, &failure{http.StatusBadRequest, found.detail(), found}
	}
	return seen, t, nil
}

func invalid(status int, detail string) *failure {
	return &failure{status, detail, fmt.Errorf("routing: %w: %s", basket.ErrInvalidRequest, detail)}
}

// isJSON reports whether a Content-Type is JSON's, or none.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// statusClientClosed is the status in the log, as [basket.NewHandler] has it, for a
// client that closed the connection.
const statusClientClosed = 499

// failureOf returns the response for an error of put.
func failureOf(err error) *failure {
	if missing, ok := errors.AsType[faults](err); ok && !errors.Is(err, errChanged) {
		return &failure{http.StatusConflict, missing.detail(), err}
	}
	switch {
	case errors.Is(err, errChanged) && errors.Is(err, basket.ErrInvalidConfig):
		return &failure{http.StatusPreconditionFailed, "The file of routes has a content that cannot be used: send If-Match: * to replace it", err}
	case errors.Is(err, errChanged):
		return &failure{http.StatusPreconditionFailed, "The routes have changed: GET them again, which may answer the old ones for some seconds", err}
	case errors.Is(err, errRoutes):
		return &failure{http.StatusConflict, "routes: a model does not fit the store: the service log says which", err}
	case errors.Is(err, context.Canceled):
		return &failure{statusClientClosed, "Client closed the connection", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{http.StatusServiceUnavailable, "Another change of routes or models takes too long: try again", err}
	}
	return &failure{http.StatusInternalServerError, "The routes cannot be changed: the service log says why", err}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, _ := json.Marshal(v) // strings and finite numbers: cannot fail
	_, _ = w.Write(body)       // fails only if the client is gone
}
