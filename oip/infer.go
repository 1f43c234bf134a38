package oip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/basket-go/basket"
)

// A scratch is the memory of a request.
type scratch struct {
	body   bytes.Buffer
	rows   []float64
	values []float64
	answer []byte
}

// maxPooled is the largest body whose memory is kept for other requests.
const maxPooled = 4 << 20

// infer answers an inference request over HTTP.
func (h *Handler) infer(w http.ResponseWriter, r *http.Request, m served) *Error {
	s, _ := h.buffers.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer func() {
		if s.body.Cap() <= maxPooled && cap(s.rows) <= maxPooled/8 {
			h.buffers.Put(s)
		}
	}()
	s.body.Reset()
	req, fail := h.readRequest(w, r, &s.body)
	if fail != nil {
		return fail
	}
	in, fail := req.input(m.input())
	if fail != nil {
		return fail
	}
	inBinary, fail := req.output(m.output())
	if fail != nil {
		return fail
	}
	n, fail := h.predict(r.Context(), s, &m, &in)
	if fail != nil {
		return fail
	}
	return s.writeAnswer(w, req, &m, n, inBinary)
}

// Infer answers an inference request of another transport. It keeps nothing of req; the
// answer is the caller's. Its error is an [*Error].
func (h *Handler) Infer(ctx context.Context, req *InferRequest) (*InferResponse, error) {
	m, fail := h.find(req.Model, req.Version)
	if fail != nil {
		return nil, fail
	}
	for i, name := range req.Outputs {
		if fail := checkOutput(i, name, m.output()); fail != nil {
			return nil, fail
		}
	}
	for i, t := range req.Inputs {
		if fail := checkInput(i, t.Name, m.input()); fail != nil {
			return nil, fail
		}
	}
	if len(req.Inputs) == 0 {
		return nil, noInput(m.input())
	}
	t := &req.Inputs[0]
	in := tensor{name: t.Name, datatype: t.Datatype, binary: t.Data, isBinary: true}
	for _, d := range t.Shape {
		if d < 0 || d > maxElements {
			return nil, bad("input %.100q: dimension %d: want a whole number from 0 to %d", t.Name, d, maxElements)
		}
		in.dims = append(in.dims, int(d))
	}
	var s scratch
	n, fail := h.predict(ctx, &s, &m, &in)
	if fail != nil {
		return nil, fail
	}
	shape := []int64{int64(n)}
	if m.outputs > 1 {
		shape = append(shape, int64(m.outputs))
	}
	return &InferResponse{Model: m.name, Version: m.Version.Version, Output: m.output(), Shape: shape, Values: s.values}, nil
}

// checkInput returns what is wrong with the i-th input of a request for a model whose only
// input is want.
func checkInput(i int, name, want string) *Error {
	switch {
	case name != want:
		return bad("unknown input %.100q: want %q", name, want)
	case i > 0:
		return bad("input %q is given twice", name)
	}
	return nil
}

func noInput(want string) *Error { return bad("the request has no inputs: want %q", want) }

// checkOutput is checkInput of the outputs that a request asks for.
func checkOutput(i int, name, want string) *Error {
	switch {
	case name != want:
		return bad("unknown output %.100q: want %q", name, want)
	case i > 0:
		return bad("output %q is asked for twice", name)
	}
	return nil
}

// predict sets s.values to the predictions for the rows or users of a tensor, all finite,
// and returns the number of these.
func (h *Handler) predict(ctx context.Context, s *scratch, m *served, in *tensor) (n int, fail *Error) {
	if fail := in.checkSize(); fail != nil {
		return 0, fail
	}
	if m.rows {
		n, fail = h.predictRows(ctx, s, m, in)
	} else {
		n, fail = h.predictUsers(ctx, s, m, in)
	}
	if fail != nil {
		return 0, fail
	}
	for i, v := range s.values {
		if v-v != 0 { // NaN or infinite
			f := failf(http.StatusInternalServerError, "the prediction of row %d is not a finite number", i/m.outputs)
			f.Err = fmt.Errorf("oip: %w: %s: %v", basket.ErrPrediction, f.Text, v)
			return 0, f
		}
	}
	return n, nil
}

// tooMany is the failure of a request with too many rows, or nil.
func (h *Handler) tooMany(rows int) *Error {
	if rows <= h.maxRows {
		return nil
	}
	return failf(http.StatusRequestEntityTooLarge, "%d rows: want at most %d a request", rows, h.maxRows)
}

// predictRows sets s.values to the predictions for the rows of the request.
func (h *Handler) predictRows(ctx context.Context, s *scratch, m *served, in *tensor) (n int, fail *Error) {
	if len(in.dims) != 2 || in.dims[1] != m.columns {
		return 0, bad("input %q has the shape %v: want [n,%d]", in.name, in.dims, m.columns)
	}
	if fail := h.tooMany(in.dims[0]); fail != nil {
		return 0, fail
	}
	n = in.dims[0]
	if s.rows, fail = in.numbers(s.rows[:0], n*m.columns); fail != nil {
		return 0, fail
	}
	s.values = slices.Grow(s.values[:0], n*m.outputs)[:n*m.outputs]
	if n == 0 {
		return 0, nil
	}
	defer func() {
		if r := recover(); r != nil {
			fail = failureOf(fmt.Errorf("oip: %w: model: panic: %v", basket.ErrPrediction, r))
		}
	}()
	if err := m.Model.Predict(ctx, s.values, s.rows); err != nil {
		return 0, failureOf(err)
	}
	return n, nil
}

// predictUsers sets s.values to the predictions for the users of the request.
func (h *Handler) predictUsers(ctx context.Context, s *scratch, m *served, in *tensor) (int, *Error) {
	if len(in.dims) != 1 && (len(in.dims) != 2 || in.dims[1] != 1) {
		return 0, bad("input %q has the shape %v: want [n]", in.name, in.dims)
	}
	n := in.dims[0]
	if fail := h.tooMany(n); fail != nil {
		return 0, fail
	}
	userIDs, fail := in.texts(n)
	if fail != nil {
		return 0, fail
	}
	p, err := h.predictor(m.Version)
	if err != nil {
		return 0, &Error{Status: http.StatusInternalServerError, Text: "the model does not fit the store", Err: err}
	}
	s.values = s.values[:0]
	for i, result := range p.PredictBatch(ctx, userIDs) {
		if result.Err != nil {
			fail := failureOf(result.Err)
			if n > 1 {
				fail.Text = fmt.Sprintf("element %d of user_id: %s", i, fail.Text)
			}
			return 0, fail
		}
		s.values = append(s.values, result.Value)
	}
	return n, nil
}

// failureOf is the table from an error of a prediction to a status.
func failureOf(err error) *Error {
	f := &Error{Err: err}
	switch {
	case errors.Is(err, basket.ErrUserNotFound):
		f.Status, f.Text = http.StatusNotFound, "user not found"
	case errors.Is(err, basket.ErrInvalidRequest):
		f.Status, f.Text = http.StatusBadRequest, "invalid user ID"
	case errors.Is(err, basket.ErrStale):
		f.Status, f.Text = http.StatusConflict, "the user's data is too old"
	case errors.Is(err, basket.ErrCanceled), errors.Is(err, context.Canceled):
		return canceled(err)
	case errors.Is(err, context.DeadlineExceeded):
		f.Status, f.Text = http.StatusGatewayTimeout, "out of time"
	case errors.Is(err, basket.ErrUnavailable):
		f.Status, f.Text = http.StatusServiceUnavailable, "service unavailable"
	default:
		f.Status, f.Text = http.StatusInternalServerError, "prediction error"
	}
	return f
}

// statusClientClosed is nginx's status for a client that closed the connection.
const statusClientClosed = 499

func canceled(err error) *Error {
	return &Error{Status: statusClientClosed, Text: "the client closed the connection", Err: fmt.Errorf("oip: %w: %w", basket.ErrCanceled, err)}
}
