package oip

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/basket-go/basket"
)

// An Error is why a request is not answered.
type Error struct {
	Status int    // of HTTP
	Text   string // for the client: it exposes no internals
	Err    error  // for a log, or nil if the request itself is enough

	body []byte // in place of Text
}

// Error returns the text for the client.
func (e *Error) Error() string { return "oip: " + e.Text }

// Unwrap returns e.Err, which wraps the errors of package basket.
func (e *Error) Unwrap() error { return e.Err }

func failf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// bad is an Error that the request is to blame for.
func bad(format string, args ...any) *Error {
	e := failf(http.StatusBadRequest, format, args...)
	e.Err = fmt.Errorf("oip: %w: %s", basket.ErrInvalidRequest, e.Text)
	return e
}

// A ServerMetadata describes the server.
type ServerMetadata struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// A ModelMetadata describes a model. Platform has the form PROJECT_FORMAT,
// "lightgbm_text" for example.
type ModelMetadata struct {
	Name     string           `json:"name"`
	Versions []string         `json:"versions"`
	Platform string           `json:"platform"`
	Inputs   []TensorMetadata `json:"inputs"`
	Outputs  []TensorMetadata `json:"outputs"`
}

// A TensorMetadata describes an input or output. The dimension -1 is free. The parameter
// "columns" of an input has the names of its columns, separated by commas.
type TensorMetadata struct {
	Name       string            `json:"name"`
	Datatype   string            `json:"datatype"`
	Shape      []int64           `json:"shape"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// An InferRequest is an inference request. An empty Version is the first one of the name;
// no Outputs are all of the model's.
type InferRequest struct {
	Model, Version string
	Inputs         []Tensor
	Outputs        []string
}

// A Tensor is an input. Data has its elements in the order of rows, little-endian and
// without gaps; an element of BYTES follows its length, of four bytes.
type Tensor struct {
	Name     string
	Datatype string // "FP64", for example
	Shape    []int64
	Data     []byte
}

// An InferResponse is the answer to an [InferRequest]: the only output, of FP64.
type InferResponse struct {
	Model, Version string
	Output         string
	Shape          []int64
	Values         []float64
}

// Server describes the server.
func (h *Handler) Server() ServerMetadata {
	return ServerMetadata{Name: "basket", Version: moduleVersion(), Extensions: []string{"binary_tensor_data"}}
}

// Ready returns why the server cannot answer, or nil; see [WithReady].
func (h *Handler) Ready(ctx context.Context) error {
	if h.ready == nil {
		return nil
	}
	return h.ready(ctx)
}

// Model describes a model, or says by an [*Error] that there is none of that name and
// version. An empty version is the first one.
func (h *Handler) Model(name, version string) (*ModelMetadata, error) {
	m, fail := h.find(name, version)
	if fail != nil {
		return nil, fail
	}
	return m.metadata(), nil
}

// moduleVersion is the version of this module in the program.
func moduleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == "github.com/basket-go/basket" && m.Version != "" {
				return m.Version
			}
		}
	}
	return "(devel)"
}
