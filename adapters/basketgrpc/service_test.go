package basketgrpc_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

type (
	inferRequest = inferencepb.ModelInferRequest
	inputTensor  = inferencepb.ModelInferRequest_InferInputTensor
	contents     = inferencepb.InferTensorContents
)

// rowsOf is a request with one input for rows.
func rowsOf(datatype string, c *contents, shape ...int64) *inferRequest {
	return &inferRequest{ModelName: "basket-features", Inputs: []*inputTensor{{Name: "features", Datatype: datatype, Shape: shape, Contents: c}}}
}

// rawRows is the same with raw contents.
func rawRows(datatype string, data []byte, shape ...int64) *inferRequest {
	r := rowsOf(datatype, nil, shape...)
	r.RawInputContents = [][]byte{data}
	return r
}

// TestModelInfer_datatypes: each datatype, typed, has the bits that HTTP gives for the
// same numbers in JSON.
func TestModelInfer_datatypes(t *testing.T) {
	h := newHandler(t)
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, h))
	ints, uints := []int32{94, 15, 0, -3, 3, 4, 0, 0}, []uint32{94, 15, 0, 3, 3, 4, 0, 0}
	for datatype, c := range map[string]*contents{
		"FP64":   {Fp64Contents: []float64{94.61, 15, 0.1, 0, 0.3, 1e-300, 0, 0}},
		"FP32":   {Fp32Contents: []float32{94.61, 15, 0.1, 0, 0.3, 1e-30, 0, 0}},
		"INT64":  {Int64Contents: []int64{94, 1<<53 + 1, 0, -3, 3, 4, 0, 0}},
		"UINT64": {Uint64Contents: []uint64{94, 1<<53 + 1, 0, 3, 3, 4, 0, 0}},
		"INT32":  {IntContents: ints}, "INT16": {IntContents: ints}, "INT8": {IntContents: ints},
		"UINT32": {UintContents: uints}, "UINT16": {UintContents: uints}, "UINT8": {UintContents: uints},
	} {
		t.Run(datatype, func(t *testing.T) {
			got, err := client.ModelInfer(t.Context(), rowsOf(datatype, c, 2, 4))
			if err != nil {
				t.Fatal(err)
			}
			numbers, err := json.Marshal(slices.Concat(anys(c.Fp64Contents), anys(c.Fp32Contents), anys(c.Int64Contents),
				anys(c.Uint64Contents), anys(c.IntContents), anys(c.UintContents)))
			if err != nil {
				t.Fatal(err)
			}
			body := fmt.Sprintf(`{"inputs":[{"name":"features","shape":[2,4],"datatype":%q,"data":%s}]}`, datatype, numbers)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/v2/models/basket-features/infer", strings.NewReader(body)))
			var want struct{ Outputs []struct{ Data []float64 } }
			if err := json.Unmarshal(w.Body.Bytes(), &want); err != nil || w.Code != 200 {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			if diff := cmp.Diff(want.Outputs[0].Data, got.GetOutputs()[0].GetContents().GetFp64Contents()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func anys[T any](list []T) (all []any) {
	for _, v := range list {
		all = append(all, v)
	}
	return all
}

// TestModelInfer_answers are whole answers, typed and raw.
func TestModelInfer_answers(t *testing.T) {
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, newHandler(t)))
	price := func(c *contents, n int64) []*inferencepb.ModelInferResponse_InferOutputTensor {
		return []*inferencepb.ModelInferResponse_InferOutputTensor{{Name: "predicted_price", Datatype: "FP64", Shape: []int64{n}, Contents: c}}
	}
	users := func(c *contents, shape ...int64) *inferRequest {
		return &inferRequest{ModelName: "basket", ModelVersion: "1", Id: "q7", Inputs: []*inputTensor{{Name: "user_id", Datatype: "BYTES", Shape: shape, Contents: c}}}
	}
	rawUser := users(nil, 1)
	rawUser.RawInputContents = [][]byte{[]byte("\x06\x00\x00\x00abc123")}
	for _, test := range []struct {
		name string
		req  *inferRequest
		want *inferencepb.ModelInferResponse
	}{
		{"typed rows", rowsOf("FP64", &contents{Fp64Contents: []float64{94.61, 15, math.NaN(), 0}}, 1, 4),
			&inferencepb.ModelInferResponse{ModelName: "basket-features", ModelVersion: "2", Outputs: price(&contents{Fp64Contents: []float64{7}}, 1)}},
		{"raw rows", rawRows("FP64", floats(94.61, 15, 0, 0, 2, 4, 0, 0), 2, 4),
			&inferencepb.ModelInferResponse{ModelName: "basket-features", ModelVersion: "2", Outputs: price(nil, 2), RawOutputContents: [][]byte{floats(52.055, 3)}}},
		{"typed users", users(&contents{BytesContents: [][]byte{[]byte("abc123"), []byte("abc123")}}, 2),
			&inferencepb.ModelInferResponse{ModelName: "basket", ModelVersion: "1", Id: "q7", Outputs: price(&contents{Fp64Contents: []float64{52.055, 52.055}}, 2)}},
		{"a raw user", rawUser,
			&inferencepb.ModelInferResponse{ModelName: "basket", ModelVersion: "1", Id: "q7", Outputs: price(nil, 1), RawOutputContents: [][]byte{floats(52.055)}}},
		{"no rows", rowsOf("FP64", nil, 0, 4),
			&inferencepb.ModelInferResponse{ModelName: "basket-features", ModelVersion: "2", Outputs: price(&contents{}, 0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
				got, err := client.ModelInfer(t.Context(), test.req, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestModelInfer_failures: each failure has its code and text, and tells no internals.
func TestModelInfer_failures(t *testing.T) {
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, newHandler(t, oip.WithMaxRows(100))))
	row := &contents{Fp64Contents: []float64{1, 2, 3, 4}}
	two := rowsOf("FP64", row, 1, 4)
	two.Inputs = append(two.Inputs, two.Inputs[0])
	both := rowsOf("FP64", row, 1, 4)
	both.RawInputContents = [][]byte{floats(1, 2, 3, 4)}
	missing := rawRows("FP64", floats(1, 2, 3, 4), 1, 4)
	missing.RawInputContents = append(missing.RawInputContents, nil)
	named := func(model, version string) *inferRequest {
		r := rowsOf("FP64", row, 1, 4)
		r.ModelName, r.ModelVersion = model, version
		return r
	}
	output := rowsOf("FP64", row, 1, 4)
	output.Outputs = []*inferencepb.ModelInferRequest_InferRequestedOutputTensor{{Name: "nope"}}
	input := rowsOf("FP64", row, 1, 4)
	input.Inputs[0].Name = "nope"
	user := func(id string) *inferRequest {
		return &inferRequest{ModelName: "basket", Inputs: []*inputTensor{{Name: "user_id", Datatype: "BYTES", Shape: []int64{1}, Contents: &contents{BytesContents: [][]byte{[]byte(id)}}}}}
	}
	for _, test := range []struct {
		name string
		req  *inferRequest
		code codes.Code
		want string
	}{
		{"unknown model", named("nope", ""), codes.NotFound, `no model is named "nope"`},
		{"unknown version", named("basket-features", "9"), codes.NotFound, `has no version "9"`},
		{"no inputs", &inferRequest{ModelName: "basket-features"}, codes.InvalidArgument, "the request has no inputs"},
		{"unknown input", input, codes.InvalidArgument, `unknown input "nope": want "features"`},
		{"unknown output", output, codes.InvalidArgument, `unknown output "nope"`},
		{"an input twice", two, codes.InvalidArgument, "given twice"},
		{"typed and raw", both, codes.InvalidArgument, "beside raw_input_contents"},
		{"raw contents too many", missing, codes.InvalidArgument, "2 raw_input_contents for 1 inputs"},
		{"too few elements", rowsOf("FP64", row, 2, 4), codes.InvalidArgument, "32 bytes: want 64"},
		{"wrong width", rowsOf("FP64", row, 1, 3), codes.InvalidArgument, "has the shape [1 3]: want [n,4]"},
		{"negative shape", rowsOf("FP64", row, -1, -4), codes.InvalidArgument, "dimension -1"},
		{"shape that overflows", rowsOf("FP64", row, 1<<62, 4), codes.InvalidArgument, "dimension 4611686018427387904"},
		{"product that overflows", rowsOf("FP64", row, 1<<30, 1<<30, 1<<30), codes.InvalidArgument, "elements"},
		{"many rows", rowsOf("FP64", row, 101, 4), codes.ResourceExhausted, "want at most 100"},
		{"another field", rowsOf("INT32", row, 1, 4), codes.InvalidArgument, "4 elements in the fields of other datatypes"},
		{"out of range", rowsOf("INT8", &contents{IntContents: []int32{1, 2, 3, 128}}, 1, 4), codes.InvalidArgument, "element 3 is 128"},
		{"out of range, unsigned", rowsOf("UINT16", &contents{UintContents: []uint32{1, 2, 3, 65536}}, 1, 4), codes.InvalidArgument, "element 3 is 65536"},
		{"BOOL", rowsOf("BOOL", &contents{BoolContents: []bool{true, true, true, true}}, 1, 4), codes.InvalidArgument, `datatype "BOOL"`},
		{"FP16", rawRows("FP16", make([]byte, 8), 1, 4), codes.InvalidArgument, `datatype "FP16"`},
		{"raw cut short", rawRows("FP64", make([]byte, 31), 1, 4), codes.InvalidArgument, "31 bytes: want 32"},
		{"unknown user", user("nobody"), codes.NotFound, "user not found"},
		{"invalid user", user("a\x00b"), codes.InvalidArgument, "invalid user ID"},
		{"a model that fails", rowsOf("FP64", &contents{Fp64Contents: []float64{-1, 2, 3, 4}}, 1, 4), codes.Internal, "prediction error"},
		{"a model that panics", rowsOf("FP64", &contents{Fp64Contents: []float64{-2, 2, 3, 4}}, 1, 4), codes.Internal, "prediction error"},
		{"no finite price", rowsOf("FP64", &contents{Fp64Contents: []float64{math.Inf(1), 2, 3, 4}}, 1, 4), codes.Internal, "not a finite number"},
		{"a long message", rawRows("FP64", make([]byte, 17<<20), 1, 4), codes.ResourceExhausted, "16777216"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := client.ModelInfer(t.Context(), test.req)
			s, _ := status.FromError(err)
			if s.Code() != test.code || !strings.Contains(s.Message(), test.want) {
				t.Errorf("%v: want %v, %q", err, test.code, test.want)
			}
			if strings.Contains(s.Message(), "secret") || len(s.Message()) > 400 {
				t.Errorf("%q: it is long, or tells internals", s.Message())
			}
		})
	}
}

// TestService_metadata: the methods that describe the server and its models.
func TestService_metadata(t *testing.T) {
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, newHandler(t)))
	ctx := t.Context()
	live, err := client.ServerLive(ctx, &inferencepb.ServerLiveRequest{})
	if err != nil || !live.GetLive() {
		t.Errorf("live %v, %v", live, err)
	}
	ready, err := client.ServerReady(ctx, &inferencepb.ServerReadyRequest{})
	if err != nil || !ready.GetReady() {
		t.Errorf("ready %v, %v", ready, err)
	}
	server, err := client.ServerMetadata(ctx, &inferencepb.ServerMetadataRequest{})
	if err != nil || server.GetName() != "basket" || server.GetVersion() == "" {
		t.Errorf("server %v, %v", server, err)
	}
	model, err := client.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: "basket-features", Version: "1"})
	want := &inferencepb.ModelMetadataResponse{
		Name: "basket-features", Versions: []string{"2", "1"}, Platform: "basket_go",
		Inputs:  []*inferencepb.ModelMetadataResponse_TensorMetadata{{Name: "features", Datatype: "FP64", Shape: []int64{-1, 4}}},
		Outputs: []*inferencepb.ModelMetadataResponse_TensorMetadata{{Name: "predicted_price", Datatype: "FP64", Shape: []int64{-1}}},
	}
	if diff := cmp.Diff(want, model, protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("%v: %s", err, diff)
	}
	modelReady, err := client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "basket"})
	if err != nil || !modelReady.GetReady() {
		t.Errorf("model ready %v, %v", modelReady, err)
	}
	_, readyErr := client.ModelReady(ctx, &inferencepb.ModelReadyRequest{Name: "basket", Version: "9"})
	_, metadataErr := client.ModelMetadata(ctx, &inferencepb.ModelMetadataRequest{Name: "nope"})
	if status.Code(readyErr) != codes.NotFound || status.Code(metadataErr) != codes.NotFound {
		t.Errorf("unknown version %v, unknown model %v: want NOT_FOUND", readyErr, metadataErr)
	}
}

// FuzzModelInfer: whatever message a client sends, there is an answer or a fault of the
// client's.
func FuzzModelInfer(f *testing.F) {
	for _, r := range []*inferRequest{
		rowsOf("FP64", &contents{Fp64Contents: []float64{1, 2, 3, 4}}, 1, 4),
		rowsOf("INT8", &contents{IntContents: []int32{1, 2, 3, 4}}, 1, 4),
		rawRows("FP32", make([]byte, 32), 2, 4),
		{ModelName: "basket", Inputs: []*inputTensor{{Name: "user_id", Datatype: "BYTES", Shape: []int64{1}, Contents: &contents{BytesContents: [][]byte{[]byte("abc123")}}}}},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff})
	f.Add(field(5, repeated(70, 4, "")))
	conn := dial(f, newHandler(f))
	f.Fuzz(func(t *testing.T, message []byte) {
		var answer []byte
		err := conn.Invoke(t.Context(), inferencepb.GRPCInferenceService_ModelInfer_FullMethodName, &message, &answer, grpc.ForceCodecV2(rawCodec{}))
		switch s := status.Convert(err); s.Code() {
		case codes.OK, codes.InvalidArgument, codes.NotFound, codes.ResourceExhausted:
		case codes.Internal:
			if s.Message() != "prediction error" && !strings.Contains(s.Message(), "finite") {
				t.Errorf("%v", err)
			}
		default:
			t.Errorf("%v", err)
		}
	})
}

// BenchmarkModelInfer is a call with 1,000 raw rows, client and connection included.
func BenchmarkModelInfer(b *testing.B) {
	client := inferencepb.NewGRPCInferenceServiceClient(dial(b, newHandler(b)))
	r := rawRows("FP64", make([]byte, 1000*4*8), 1000, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.ModelInfer(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
