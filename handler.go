package basket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxBody is the default of WithMaxBody.
const maxBody = 64 << 10

// statusClientClosed is nginx's status for a client that closed the connection
// before the answer. It is logged; the client does not see it.
const statusClientClosed = 499

// NewHandler serves p over HTTP; it is safe for concurrent use.
//
//	GET /status     200 {"status":"OK","timestamp":"..."}
//	POST /predict   {"user_id":"abc123"}
//	                200 {"user_id":"abc123","predicted_price":53.6,"timestamp":"..."}
//	POST /predict?explain=true
//	                the same with "bias" and "contributions", an object of one number
//	                per feature: SHAP, whose sum is the score before the link function
//	POST /predict/batch
//	                {"user_ids":["abc123","nobody"]}
//	                200 {"results":[{"user_id":"abc123","predicted_price":53.6},
//	                {"user_id":"nobody","error":{"type":"user_not_found","detail":
//	                "User not found"}}],"timestamp":"..."}, in the order of the request
//
// If the row is old, see Row.Age, /predict answers with the header Basket-Row-Age, its
// age in whole seconds, also when it fails, and the result in a batch has
// "row_age_seconds".
//
// If the model has an ID, see [WithModelID], /predict answers with the header
// Basket-Model, also when it fails, and each result of a batch has "model".
//
// Every failure is a JSON object with one string, "detail", which exposes no
// internals: 400 for an invalid body, 404 for an unknown user or path, 405 for
// another method, 409 for a row that is too old, see [WithMaxAge], 413 for a body that is too long, 415 for a media type other than
// JSON, 500 if the model fails, 501 if it cannot explain, and 503 with Retry-After
// if store or model are unavailable. In a batch, the types of a user's error are
// invalid_user_id, user_not_found, stale_row, prediction_error and unavailable; if all users
// of it are unavailable, the answer is 503. Each request is reported to the service
// loggers, with status 499 if the client closed the connection before the answer.
func NewHandler(p *Predictor, opts ...HandlerOption) http.Handler {
	h := &handler{p: p, maxBody: maxBody, maxBatchUsers: maxBatchUsers, maxBatchBody: maxBatchBody}
	for _, o := range opts {
		o(h)
	}
	h.buffers.New = func() any { return new(bytes.Buffer) }
	return h
}

type handler struct {
	p       *Predictor
	maxBody int64

	maxBatchUsers int
	maxBatchBody  int64

	buffers sync.Pool
}

// maxPooled is the largest buffer that is kept for another request: larger ones are
// of batches.
const maxPooled = 1 << 20

// A failure is a response other than 200.
type failure struct {
	status int
	detail string // for the client
	err    error  // for the service log; nil if the request line is enough

	userID string // whom err may quote; empty for a batch
}

// ServeHTTP serves one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	buf := h.buffers.Get().(*bytes.Buffer)
	defer func() {
		if buf.Cap() <= maxPooled {
			h.buffers.Put(buf)
		}
	}()
	buf.Reset()
	var fail *failure
	switch r.URL.Path {
	case "/status":
		fail = h.status(w, r, buf)
	case "/predict":
		fail = h.predict(w, r, buf)
	case "/predict/batch":
		fail = h.predictBatch(w, r, buf)
	default:
		fail = &failure{status: http.StatusNotFound, detail: "Not Found"}
	}
	status := http.StatusOK
	var err error
	var userID string
	if fail != nil {
		status, err, userID = fail.status, fail.err, fail.userID
		buf.Reset()
		buf.WriteString(`{"detail":`)
		buf.Write(appendJSON(buf.AvailableBuffer(), fail.detail))
		buf.WriteByte('}')
	}
	w.Header()["Content-Type"] = jsonType
	if buf.Len() > maxUnchunked {
		w.Header()["Content-Length"] = []string{strconv.Itoa(buf.Len())}
	}
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // fails only if the client is gone
	if len(h.p.serviceLoggers) > 0 {
		h.p.logService(r.Context(), ServiceEvent{
			Time: start, Latency: time.Since(start),
			Method: r.Method, Path: r.URL.Path, Status: status, Err: err, UserID: userID,
		})
	}
}

// maxUnchunked is the most bytes for which package net/http sets Content-Length
// itself.
const maxUnchunked = 2048

var jsonType = []string{"application/json"}

func (h *handler) status(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *failure {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed(w, "GET, HEAD")
	}
	buf.WriteString(`{"status":"OK","timestamp":"`)
	buf.Write(appendTimestamp(buf.AvailableBuffer()))
	buf.WriteString(`"}`)
	return nil
}

func (h *handler) predict(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *failure {
	if r.Method != http.MethodPost {
		return notAllowed(w, "POST")
	}
	userID, fail := h.readUserID(w, r, buf)
	if fail != nil {
		return fail
	}
	explain, fail := parseExplain(r.URL.RawQuery)
	if fail != nil {
		return fail
	}
	var e Explanation
	var err error
	if explain {
		e, err = h.p.explainValid(r.Context(), userID)
	} else {
		var result Result
		h.p.predictValid(r.Context(), userID, &result)
		e.Prediction, err = result.Prediction, result.Err
	}
	if e.ModelID != "" {
		w.Header()["Basket-Model"] = []string{e.ModelID}
	}
	if e.Row.Age > 0 {
		w.Header()["Basket-Row-Age"] = []string{wholeSeconds(e.Row.Age)}
	}
	if err != nil {
		fail := failureOf(err)
		fail.userID = userID
		if fail.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		return fail
	}
	buf.Reset()
	buf.WriteString(`{"user_id":`)
	buf.Write(appendJSON(buf.AvailableBuffer(), e.UserID))
	buf.WriteString(`,"predicted_price":`)
	buf.Write(appendNumber(buf.AvailableBuffer(), e.Value))
	if explain {
		buf.WriteString(`,"bias":`)
		buf.Write(appendNumber(buf.AvailableBuffer(), e.Bias))
		buf.WriteString(`,"contributions":{`)
		for j, c := range e.Contributions {
			if j > 0 {
				buf.WriteByte(',')
			}
			buf.Write(appendJSON(buf.AvailableBuffer(), e.Features[j]))
			buf.WriteByte(':')
			buf.Write(appendNumber(buf.AvailableBuffer(), c))
		}
		buf.WriteByte('}')
	}
	buf.WriteString(`,"timestamp":"`)
	buf.Write(appendTimestamp(buf.AvailableBuffer()))
	buf.WriteString(`"}`)
	return nil
}

// parseExplain returns the boolean query parameter explain.
func parseExplain(query string) (bool, *failure) {
	if query == "" {
		return false, nil
	}
	values, err := url.ParseQuery(query)
	if err != nil || !values.Has("explain") {
		return false, nil // other parameters are ignored, valid or not
	}
	explain, err := strconv.ParseBool(values.Get("explain"))
	if err != nil {
		return false, invalid(http.StatusBadRequest, "Query parameter explain: want true or false")
	}
	return explain, nil
}

func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// failureOf is the only table from an Error to a status.
func failureOf(err error) *failure {
	switch {
	case errors.Is(err, ErrInvalidRequest):
		return &failure{status: http.StatusBadRequest, detail: "Invalid user ID", err: err}
	case errors.Is(err, ErrUserNotFound):
		return &failure{status: http.StatusNotFound, detail: "User not found", err: err}
	case errors.Is(err, ErrStale):
		// Not 404, because there is a row, and not 503, because a retry has the same answer.
		return &failure{status: http.StatusConflict, detail: "The user's data is too old", err: err}
	case errors.Is(err, ErrCanceled):
		return &failure{status: statusClientClosed, detail: "Client closed the connection", err: err}
	case errors.Is(err, errors.ErrUnsupported):
		return &failure{status: http.StatusNotImplemented, detail: "The model cannot explain", err: err}
	case errors.Is(err, ErrPrediction), errors.Is(err, ErrFeatureMismatch), errors.Is(err, ErrModelFormat),
		errors.Is(err, ErrData):
		return &failure{status: http.StatusInternalServerError, detail: "Prediction service error", err: err}
	}
	return &failure{status: http.StatusServiceUnavailable, detail: "Service unavailable", err: err}
}

func notAllowed(w http.ResponseWriter, methods string) *failure {
	w.Header().Set("Allow", methods)
	return &failure{status: http.StatusMethodNotAllowed, detail: "Method Not Allowed"}
}

// readUserID reads the body of a request into buf and returns the user ID in it,
// which is valid.
func (h *handler) readUserID(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) (string, *failure) {
	if fail := readBody(w, r, buf, h.maxBody); fail != nil {
		return "", fail
	}
	if userID, ok := plainUserID(buf.Bytes()); ok && userID != "" && len(userID) <= MaxUserID {
		return userID, nil
	}
	userID, fault := userIDOf(buf.Bytes())
	if fault != "" {
		return "", invalid(http.StatusBadRequest, fault)
	}
	switch fault := userIDFault(userID); {
	case userID == "":
		return "", invalid(http.StatusBadRequest, "Invalid user ID")
	case fault != "":
		return "", invalid(http.StatusBadRequest, "Invalid user ID: it "+fault)
	}
	return userID, nil
}

// readBody reads the body of a request, which must be JSON of at most most bytes,
// into buf.
func readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer, most int64) *failure {
	if !isJSON(r.Header.Get("Content-Type")) {
		return invalid(http.StatusUnsupportedMediaType, "Unsupported media type: send the header Content-Type: application/json")
	}
	tooLong := func() *failure {
		return invalid(http.StatusRequestEntityTooLarge, fmt.Sprintf("Request body over %d bytes", most))
	}
	if r.ContentLength > most {
		return tooLong()
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, most)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLong()
		}
		if ctxErr := r.Context().Err(); errors.Is(ctxErr, context.Canceled) {
			return &failure{
				status: statusClientClosed, detail: "Client closed the connection",
				err: fmt.Errorf("basket: %w: reading the request: %w", ErrCanceled, ctxErr),
			}
		}
		return invalid(http.StatusBadRequest, "Request body cannot be read")
	}
	return nil
}

func invalid(status int, detail string) *failure {
	return &failure{status: status, detail: detail, err: fmt.Errorf("basket: %w: %s", ErrInvalidRequest, detail)}
}

// isJSON reports whether a Content-Type is JSON's, or none.
func isJSON(contentType string) bool {
	if contentType == "" || contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json"))
}

// userIDOf returns the string "user_id" of a JSON object, or what is wrong with
// the body.
func userIDOf(body []byte) (userID, fault string) {
	value, fault := fieldOf(body, "user_id")
	switch {
	case fault != "":
		return "", fault
	case value[0] != '"':
		return "", "Field user_id is not a string"
	}
	if userID, fault = jsonString(value); fault != "" {
		return "", "Field user_id " + fault
	}
	return userID, ""
}

// plainUserID reads the body that nearly all clients send: one field, whose value
// is printable ASCII without escapes. It returns false for any other body, which
// userIDOf then reads.
func plainUserID(body []byte) (string, bool) {
	rest := bytes.Trim(body, jsonSpace)
	for _, part := range []string{"{", `"user_id"`, ":"} {
		if len(rest) < len(part) || string(rest[:len(part)]) != part {
			return "", false
		}
		rest = bytes.TrimLeft(rest[len(part):], jsonSpace)
	}
	if len(rest) < 3 || rest[0] != '"' || rest[len(rest)-1] != '}' {
		return "", false
	}
	rest = bytes.TrimRight(rest[:len(rest)-1], jsonSpace)
	if len(rest) < 2 || rest[len(rest)-1] != '"' {
		return "", false
	}
	text := rest[1 : len(rest)-1]
	for _, c := range text {
		if c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return "", false
		}
	}
	return string(text), true
}

const jsonSpace = " \t\r\n"

// isName reports whether a JSON string is the name of a field.
func isName(name []byte, field string) bool {
	if bytes.IndexByte(name, '\\') < 0 {
		return string(name[1:len(name)-1]) == field
	}
	s, _ := jsonString(name)
	return s == field
}

// jsonString decodes a string that is valid JSON.
func jsonString(value []byte) (s, fault string) {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), ""
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return "", "is not a string"
	}
	if halfPair(value) {
		return "", "is not Unicode"
	}
	return s, ""
}

// halfPair reports whether a valid JSON string has half of a surrogate pair, which
// only an escape can express and which package json replaces by U+FFFD.
func halfPair(value []byte) bool {
	high := false
	for i := 0; i < len(value); i++ {
		var unit uint64
		if value[i] == '\\' {
			i++
			if value[i] == 'u' {
				unit, _ = strconv.ParseUint(string(value[i+1:i+5]), 16, 16)
				i += 4
			}
		}
		low := unit>>10 == 0xdc00>>10
		if high != low {
			return true
		}
		high = unit>>10 == 0xd800>>10
	}
	return false
}

// jsonLength returns the length of the JSON value at the start of text, which is
// valid.
func jsonLength(text []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			continue
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		default:
			// A number or literal ends before the next delimiter.
			if depth == 0 && strings.IndexByte(jsonSpace+":,}]", c) >= 0 {
				return i
			}
			continue
		}
		if depth == 0 && !quoted {
			return i + 1
		}
	}
	return len(text)
}

// appendJSON appends s as a JSON string.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			buf := bytes.NewBuffer(b)
			e := json.NewEncoder(buf)
			e.SetEscapeHTML(false)
			_ = e.Encode(s) // never fails for a string
			return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendNumber appends the shortest decimal that reads back as v.
func appendNumber(b []byte, v float64) []byte {
	if a := max(v, -v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, v, 'f', -1, 64)
}

// appendTimestamp appends the present time, in UTC, to the microsecond.
func appendTimestamp(b []byte) []byte {
	return time.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}
