package oip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
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

// infer answers an inference request.
func (h *handler) infer(w http.ResponseWriter, r *http.Request, m served) *failure {
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
	in, dims, data, isBinary, fail := req.input(m.input())
	if fail != nil {
		return fail
	}
	out, fail := req.output(m.output())
	if fail != nil {
		return fail
	}
	n := 0
	if m.rows {
		n, fail = h.predictRows(r.Context(), s, &m, in, dims, data, isBinary)
	} else {
		n, fail = h.predictUsers(r.Context(), w, s, &m, in, dims, data, isBinary)
	}
	if fail != nil {
		return fail
	}
	for i, v := range s.values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			f := failf(http.StatusInternalServerError, "the prediction of row %d is not a finite number", i/m.outputs)
			f.err = fmt.Errorf("oip: %w: %s: %v", basket.ErrPrediction, f.text, v)
			return f
		}
	}
	return s.writeAnswer(w, req, &m, n, out)
}

// input returns the one input of a request.
func (r *request) input(name string) (t *inputTensor, dims []int, data []byte, isBinary bool, fail *failure) {
	rest := r.binary
	for i := range r.Inputs {
		in := &r.Inputs[i]
		switch {
		case in.Name != name:
			return nil, nil, nil, false, bad("unknown input %.100q: want %q", in.Name, name)
		case t != nil:
			return nil, nil, nil, false, bad("input %q is given twice", name)
		}
		t = in
		if data, rest, isBinary, fail = in.content(rest); fail != nil {
			return nil, nil, nil, false, fail
		}
	}
	switch {
	case t == nil:
		return nil, nil, nil, false, bad("the request has no inputs: want %q", name)
	case len(rest) > 0:
		return nil, nil, nil, false, bad("%d bytes follow the tensors", len(rest))
	}
	dims, _, fail = t.shape()
	return t, dims, data, isBinary, fail
}

// output reports whether the output is asked for in binary.
func (r *request) output(name string) (binary bool, fail *failure) {
	binary = r.Parameters.BinaryDataOutput != nil && *r.Parameters.BinaryDataOutput
	for i, o := range r.Outputs {
		switch {
		case o.Name != name:
			return false, bad("unknown output %.100q: want %q", o.Name, name)
		case i > 0:
			return false, bad("output %q is asked for twice", name)
		case o.Parameters.BinaryData != nil:
			binary = *o.Parameters.BinaryData
		}
	}
	return binary, nil
}

// tooMany is the failure of a request with too many rows, or nil.
func (h *handler) tooMany(rows int) *failure {
	if rows <= h.maxRows {
		return nil
	}
	return failf(http.StatusRequestEntityTooLarge, "%d rows: want at most %d a request", rows, h.maxRows)
}

// predictRows sets s.values to the predictions for the rows of the request.
func (h *handler) predictRows(ctx context.Context, s *scratch, m *served, in *inputTensor, dims []int, data []byte, isBinary bool) (n int, fail *failure) {
	if len(dims) != 2 || dims[1] != m.columns {
		return 0, bad("input %q has the shape %v: want [n,%d]", in.Name, in.Shape, m.columns)
	}
	if fail := h.tooMany(dims[0]); fail != nil {
		return 0, fail
	}
	n = dims[0]
	if s.rows, fail = in.numbers(s.rows[:0], dims, n*m.columns, data, isBinary); fail != nil {
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
func (h *handler) predictUsers(ctx context.Context, w http.ResponseWriter, s *scratch, m *served, in *inputTensor, dims []int, data []byte, isBinary bool) (int, *failure) {
	if len(dims) != 1 && (len(dims) != 2 || dims[1] != 1) {
		return 0, bad("input %q has the shape %v: want [n]", in.Name, in.Shape)
	}
	n := dims[0]
	if fail := h.tooMany(n); fail != nil {
		return 0, fail
	}
	userIDs, fail := in.texts(dims, n, data, isBinary)
	if fail != nil {
		return 0, fail
	}
	p, err := h.predictor(m.Version)
	if err != nil {
		return 0, &failure{status: http.StatusInternalServerError, text: "the model does not fit the store", err: err}
	}
	s.values = s.values[:0]
	for i, result := range p.PredictBatch(ctx, userIDs) {
		if result.Err != nil {
			fail := failureOf(result.Err)
			if n > 1 {
				fail.text = fmt.Sprintf("element %d of user_id: %s", i, fail.text)
			}
			if fail.status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "1")
			}
			return 0, fail
		}
		s.values = append(s.values, result.Value)
	}
	return n, nil
}

// failureOf is the table from an error of a prediction to a status.
func failureOf(err error) *failure {
	f := &failure{err: err}
	switch {
	case errors.Is(err, basket.ErrUserNotFound):
		f.status, f.text = http.StatusNotFound, "user not found"
	case errors.Is(err, basket.ErrInvalidRequest):
		f.status, f.text = http.StatusBadRequest, "invalid user ID"
	case errors.Is(err, basket.ErrStale):
		f.status, f.text = http.StatusConflict, "the user's data is too old"
	case errors.Is(err, basket.ErrCanceled), errors.Is(err, context.Canceled):
		return canceled(err)
	case errors.Is(err, context.DeadlineExceeded):
		f.status, f.text = http.StatusGatewayTimeout, "out of time"
	case errors.Is(err, basket.ErrUnavailable):
		f.status, f.text = http.StatusServiceUnavailable, "service unavailable"
	default:
		f.status, f.text = http.StatusInternalServerError, "prediction error"
	}
	return f
}

// statusClientClosed is nginx's status for a client that closed the connection.
const statusClientClosed = 499

func canceled(err error) *failure {
	return &failure{status: statusClientClosed, text: "the client closed the connection", err: fmt.Errorf("oip: %w: %w", basket.ErrCanceled, err)}
}
