package oip_test

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/oip"
	"github.com/google/go-cmp/cmp"
)

// floats is the data of a tensor of FP64.
func floats(values ...float64) (data []byte) {
	for _, v := range values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	return data
}

// TestHandler_Infer: what other transports get is what HTTP gets.
func TestHandler_Infer(t *testing.T) {
	h := newHandler(t, oip.WithMaxRows(100))
	features := oip.Tensor{Name: "features", Datatype: "FP64", Shape: []int64{2, 4}, Data: floats(94.61, 15, 0, 0, 2, 4, 0, 0)}
	shaped := func(dims ...int64) oip.Tensor { f := features; f.Shape = dims; return f }
	tests := []struct {
		name   string
		req    oip.InferRequest
		want   oip.InferResponse
		status int
		text   string
	}{
		{name: "rows", req: oip.InferRequest{Model: "basket-features", Version: "1", Inputs: []oip.Tensor{features}, Outputs: []string{"predicted_price"}},
			want: oip.InferResponse{Model: "basket-features", Version: "1", Output: "predicted_price", Shape: []int64{2}, Values: []float64{52.055, 3}}},
		{name: "users", req: oip.InferRequest{Model: "basket", Inputs: []oip.Tensor{{Name: "user_id", Datatype: "BYTES", Shape: []int64{1, 1}, Data: []byte("\x06\x00\x00\x00abc123")}}},
			want: oip.InferResponse{Model: "basket", Version: "2", Output: "predicted_price", Shape: []int64{1}, Values: []float64{52.055}}},
		{name: "unknown model", req: oip.InferRequest{Model: "nope"}, status: 404, text: `no model is named "nope"`},
		{name: "unknown version", req: oip.InferRequest{Model: "basket", Version: "7"}, status: 404, text: `no version "7"`},
		{name: "no inputs", req: oip.InferRequest{Model: "basket"}, status: 400, text: `no inputs: want "user_id"`},
		{name: "unknown input", req: oip.InferRequest{Model: "basket", Inputs: []oip.Tensor{features}}, status: 400, text: `unknown input "features"`},
		{name: "an input twice", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{features, features}}, status: 400, text: "given twice"},
		{name: "unknown output", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{features}, Outputs: []string{"x"}}, status: 400, text: `unknown output "x"`},
		{name: "an output twice", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{features}, Outputs: []string{"predicted_price", "predicted_price"}}, status: 400, text: "asked for twice"},
		{name: "negative", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{shaped(-2, -4)}}, status: 400, text: "dimension -2"},
		{name: "overflow", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{shaped(math.MaxInt64, 4)}}, status: 400, text: "dimension 9223372036854775807"},
		{name: "product overflows", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{shaped(1<<30, 1<<30, 1<<30)}}, status: 400, text: "elements"},
		{name: "too many rows", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{shaped(101, 4)}}, status: 413, text: "want at most 100"},
		{name: "another shape", req: oip.InferRequest{Model: "basket-features", Inputs: []oip.Tensor{shaped(3, 4)}}, status: 400, text: "64 bytes: want 96"},
		{name: "unknown user", req: oip.InferRequest{Model: "basket", Inputs: []oip.Tensor{{Name: "user_id", Datatype: "BYTES", Shape: []int64{1}, Data: []byte("\x01\x00\x00\x00x")}}}, status: 404, text: "user not found"},
		{name: "a length beyond the tensor", req: oip.InferRequest{Model: "basket", Inputs: []oip.Tensor{{Name: "user_id", Datatype: "BYTES", Shape: []int64{1}, Data: []byte("\xff\xff\xff\xffx")}}}, status: 400, text: "longer than its tensor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := h.Infer(t.Context(), &test.req)
			if test.status != 0 {
				e, ok := errors.AsType[*oip.Error](err)
				if !ok || e.Status != test.status || !strings.Contains(e.Text, test.text) {
					t.Fatalf("%v: want status %d, %q", err, test.status, test.text)
				}
				if test.status == 400 && !errors.Is(err, basket.ErrInvalidRequest) {
					t.Errorf("%v: want one that wraps ErrInvalidRequest", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHandler_Model: a model is described by its name and version.
func TestHandler_Model(t *testing.T) {
	h := newHandler(t)
	got, err := h.Model("basket-features", "1")
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "basket-features" || len(got.Versions) != 2 || got.Inputs[0].Shape[1] != 4 {
		t.Errorf("metadata %+v", got)
	}
	if _, err := h.Model("basket", "3"); err == nil || err.Error() != `oip: model "basket" has no version "3" that is loaded` {
		t.Errorf("version 3: %v", err)
	}
	if h.Server().Name != "basket" || h.Ready(t.Context()) != nil {
		t.Errorf("server %+v, ready %v", h.Server(), h.Ready(t.Context()))
	}
}

// TestPaths: each path is one that the handler has.
func TestPaths(t *testing.T) {
	h := newHandler(t)
	for _, path := range oip.Paths() {
		method := "GET"
		if strings.HasSuffix(path, "/infer") {
			method = "POST"
		}
		w := do(h, method, strings.NewReplacer("{model}", "basket", "{version}", "1").Replace(path), "{}")
		if want := map[string]int{"GET": 200, "POST": 400}[method]; w.Code != want {
			t.Errorf("%s %s: status %d, want %d", method, path, w.Code, want)
		}
	}
}
