package oip

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A request is the JSON of an inference request.
type request struct {
	ID         *string         `json:"id"`
	Parameters parameters      `json:"parameters"`
	Inputs     []inputTensor   `json:"inputs"`
	Outputs    []requestOutput `json:"outputs"`

	binary []byte // what follows the JSON
}

type inputTensor struct {
	Name       string          `json:"name"`
	Shape      []json.Number   `json:"shape"`
	Datatype   string          `json:"datatype"`
	Data       json.RawMessage `json:"data"`
	Parameters struct {
		BinaryDataSize *json.Number `json:"binary_data_size"`
	} `json:"parameters"`
}

type requestOutput struct {
	Name       string `json:"name"`
	Parameters struct {
		BinaryData *bool `json:"binary_data"`
	} `json:"parameters"`
}

type parameters struct {
	BinaryDataOutput *bool `json:"binary_data_output"`
}

// readRequest reads the body into buf, and its JSON.
func (h *handler) readRequest(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) (*request, *failure) {
	if fail := h.readBody(w, r, buf); fail != nil {
		return nil, fail
	}
	body := buf.Bytes()
	length := len(body)
	if text := r.Header.Get("Inference-Header-Content-Length"); text != "" {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		switch {
		case err != nil || n < 0 || n > len(body):
			return nil, bad("header Inference-Header-Content-Length %.40q: want the number of bytes of the JSON, at most the %d of the body", text, len(body))
		case n == 0:
			return nil, bad("header Inference-Header-Content-Length is 0: the raw form without JSON is not supported")
		}
		length = n
	}
	req := &request{binary: body[length:]}
	if err := json.Unmarshal(body[:length], req); err != nil {
		return nil, bad("the body is no inference request: %.200s", jsonFault(err))
	}
	return req, nil
}

// jsonFault describes an error of package json without its Go names.
func jsonFault(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "field " + e.Field + " is a JSON " + e.Value + ", which it may not be"
	}
	return err.Error()
}

// readBody reads the body, decompressed, into buf.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *failure {
	tooLong := func() *failure {
		return failf(http.StatusRequestEntityTooLarge, "the body has over %d bytes: send fewer rows a request", h.maxBody)
	}
	if r.ContentLength > h.maxBody {
		return tooLong()
	}
	var body io.Reader = http.MaxBytesReader(w, r.Body, h.maxBody)
	var err error
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		body, err = gzip.NewReader(body)
	case "deflate":
		body, err = zlib.NewReader(body)
	default:
		return failf(http.StatusUnsupportedMediaType, "content encoding %.40q: want gzip, deflate or none", encoding)
	}
	if err == nil {
		_, err = buf.ReadFrom(io.LimitReader(body, h.maxBody+1))
	}
	switch _, tooLarge := errors.AsType[*http.MaxBytesError](err); {
	case tooLarge || int64(buf.Len()) > h.maxBody:
		return tooLong()
	case r.Context().Err() != nil:
		return canceled(r.Context().Err())
	case err != nil:
		return bad("the body cannot be read: it is cut, or not of its content encoding")
	}
	return nil
}

// shape returns the dimensions of a tensor and their product.
func (t *inputTensor) shape() (dims []int, n int, fail *failure) {
	const most = 1 << 30 // beyond any body
	n = 1
	for _, d := range t.Shape {
		v, err := strconv.Atoi(d.String())
		if err != nil || v < 0 {
			return nil, 0, bad("input %.100q: dimension %.40s: want a whole number from 0", t.Name, d)
		}
		if v > 0 && n > most/v {
			return nil, 0, bad("input %.100q: the shape has over %d elements", t.Name, most)
		}
		dims, n = append(dims, v), n*v
	}
	return dims, n, nil
}

// content returns the binary content of a tensor, the start of rest, and what follows it;
// or its JSON.
func (t *inputTensor) content(rest []byte) (binary, after []byte, isBinary bool, fail *failure) {
	if t.Parameters.BinaryDataSize == nil {
		if t.Data == nil {
			return nil, nil, false, bad("input %.100q has neither data nor the parameter binary_data_size", t.Name)
		}
		return nil, rest, false, nil
	}
	if t.Data != nil {
		return nil, nil, false, bad("input %.100q has both data and the parameter binary_data_size", t.Name)
	}
	size, err := strconv.Atoi(t.Parameters.BinaryDataSize.String())
	if err != nil || size < 0 || size > len(rest) {
		return nil, nil, false, bad("input %.100q: binary_data_size %.40s: the body has %d bytes for it", t.Name, *t.Parameters.BinaryDataSize, len(rest))
	}
	return rest[:size], rest[size:], true, nil
}
