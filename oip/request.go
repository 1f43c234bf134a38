package oip

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A request is the JSON of an inference request.
type request struct {
	ID         *string            `json:"id"`
	Parameters parameters         `json:"parameters"`
	Inputs     few[inputTensor]   `json:"inputs"`
	Outputs    few[requestOutput] `json:"outputs"`

	binary []byte // what follows the JSON
}

type inputTensor struct {
	Name       string               `json:"name"`
	Shape      few[json.RawMessage] `json:"shape"`
	Datatype   string               `json:"datatype"`
	Data       json.RawMessage      `json:"data"`
	Parameters struct {
		BinaryDataSize *json.RawMessage `json:"binary_data_size"`
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

// maxFew is the most inputs, outputs or dimensions that are read. A request that can be
// answered has one, one and two; elements without limit would take 100 times the memory of
// their text.
const maxFew = 16

// A few is a list of at most maxFew elements.
type few[T any] []T

// UnmarshalJSON reads the list from valid JSON.
func (f *few[T]) UnmarshalJSON(text []byte) error {
	if text[0] != '[' {
		if string(text) == "null" {
			return nil
		}
		return fmt.Errorf("%.40s: want an array", text)
	}
	depth, start, elements := 0, 1, 0
	element := func(end int) error {
		one := bytes.TrimSpace(text[start:end])
		if start = end + 1; len(one) == 0 {
			return nil // of an empty array
		}
		if elements++; elements > maxFew {
			return fmt.Errorf("a list has over %d inputs, outputs or dimensions", maxFew)
		}
		var v T
		if err := json.Unmarshal(one, &v); err != nil {
			return err
		}
		*f = append(*f, v)
		return nil
	}
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += elementLength(text[i:]) - 1
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth == 1 && text[i] == ',' || depth == 0 {
			if err := element(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRequest reads the body into buf, and its JSON.
func (h *Handler) readRequest(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) (*request, *Error) {
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
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, buf *bytes.Buffer) *Error {
	tooLong := func() *Error {
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
	case r.Context().Err() != nil: // the client is gone, or the time is over
		return failureOf(r.Context().Err())
	case err != nil:
		return bad("the body cannot be read: it is cut, or not of its content encoding")
	}
	return nil
}

// read returns the tensor, whose binary content is the start of rest, and what follows it.
func (t *inputTensor) read(rest []byte) (in tensor, after []byte, fail *Error) {
	in = tensor{name: t.Name, datatype: t.Datatype, json: t.Data}
	for _, d := range t.Shape {
		v, err := strconv.Atoi(string(d))
		if err != nil {
			return in, nil, bad("input %.100q: dimension %.40s: want a whole number from 0", t.Name, d)
		}
		in.dims = append(in.dims, v)
	}
	size := t.Parameters.BinaryDataSize
	switch {
	case size == nil && t.Data == nil:
		return in, nil, bad("input %.100q has neither data nor the parameter binary_data_size", t.Name)
	case size == nil:
		return in, rest, nil
	case t.Data != nil:
		return in, nil, bad("input %.100q has both data and the parameter binary_data_size", t.Name)
	}
	n, err := strconv.Atoi(string(*size))
	if err != nil || n < 0 || n > len(rest) {
		return in, nil, bad("input %.100q: binary_data_size %.40s: the body has %d bytes for it", t.Name, *size, len(rest))
	}
	in.isBinary, in.binary = true, rest[:n]
	return in, rest[n:], nil
}

// input returns the input of a request.
func (r *request) input(name string) (in tensor, fail *Error) {
	rest := r.binary
	for i := range r.Inputs {
		if fail := checkInput(i, r.Inputs[i].Name, name); fail != nil {
			return tensor{}, fail
		}
		if in, rest, fail = r.Inputs[i].read(rest); fail != nil {
			return tensor{}, fail
		}
	}
	switch {
	case len(r.Inputs) == 0:
		return tensor{}, noInput(name)
	case len(rest) > 0:
		return tensor{}, bad("%d bytes follow the tensors", len(rest))
	}
	return in, nil
}

// output reports whether the output is asked for in binary.
func (r *request) output(name string) (binary bool, fail *Error) {
	binary = r.Parameters.BinaryDataOutput != nil && *r.Parameters.BinaryDataOutput
	for i, o := range r.Outputs {
		if fail := checkOutput(i, o.Name, name); fail != nil {
			return false, fail
		}
		if o.Parameters.BinaryData != nil {
			binary = *o.Parameters.BinaryData
		}
	}
	return binary, nil
}
