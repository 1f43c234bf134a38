package basketgrpc

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A service is the protocol's service.
type service struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	h *oip.Handler
}

// ServerLive reports that the server runs.
func (s *service) ServerLive(context.Context, *inferencepb.ServerLiveRequest) (*inferencepb.ServerLiveResponse, error) {
	return &inferencepb.ServerLiveResponse{Live: true}, nil
}

// ServerReady reports whether the server can answer.
func (s *service) ServerReady(ctx context.Context, _ *inferencepb.ServerReadyRequest) (*inferencepb.ServerReadyResponse, error) {
	return &inferencepb.ServerReadyResponse{Ready: s.h.Ready(ctx) == nil}, nil
}

// ModelReady reports whether a model is loaded; NOT_FOUND says that it is not.
func (s *service) ModelReady(_ context.Context, r *inferencepb.ModelReadyRequest) (*inferencepb.ModelReadyResponse, error) {
	if _, err := s.h.Model(r.GetName(), r.GetVersion()); err != nil {
		return nil, err
	}
	return &inferencepb.ModelReadyResponse{Ready: true}, nil
}

// ServerMetadata describes the server.
func (s *service) ServerMetadata(context.Context, *inferencepb.ServerMetadataRequest) (*inferencepb.ServerMetadataResponse, error) {
	m := s.h.Server()
	// The extension is one of HTTP: gRPC has raw contents.
	return &inferencepb.ServerMetadataResponse{Name: m.Name, Version: m.Version}, nil
}

// ModelMetadata describes a model.
func (s *service) ModelMetadata(_ context.Context, r *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	m, err := s.h.Model(r.GetName(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	return &inferencepb.ModelMetadataResponse{
		Name: m.Name, Versions: m.Versions, Platform: m.Platform, Inputs: tensors(m.Inputs), Outputs: tensors(m.Outputs),
	}, nil
}

func tensors(list []oip.TensorMetadata) (all []*inferencepb.ModelMetadataResponse_TensorMetadata) {
	for _, t := range list {
		all = append(all, &inferencepb.ModelMetadataResponse_TensorMetadata{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape})
	}
	return all
}

// ModelInfer predicts.
func (s *service) ModelInfer(ctx context.Context, r *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	req := oip.InferRequest{Model: r.GetModelName(), Version: r.GetModelVersion()}
	for _, o := range r.GetOutputs() {
		req.Outputs = append(req.Outputs, o.GetName())
	}
	raw := len(r.GetRawInputContents()) > 0
	if raw && len(r.GetRawInputContents()) != len(r.GetInputs()) {
		return nil, invalid("%d raw_input_contents for %d inputs: want one each", len(r.GetRawInputContents()), len(r.GetInputs()))
	}
	for i, in := range r.GetInputs() {
		t := oip.Tensor{Name: in.GetName(), Datatype: in.GetDatatype(), Shape: in.GetShape()}
		switch {
		case raw && in.GetContents() != nil:
			return nil, invalid("input %.100q has contents beside raw_input_contents: want one of them", in.GetName())
		case raw:
			t.Data = r.GetRawInputContents()[i]
		case i == 0: // the core refuses a second one
			var err error
			if t.Data, err = dataOf(in); err != nil {
				return nil, err
			}
		}
		req.Inputs = append(req.Inputs, t)
	}
	answer, err := s.h.Infer(ctx, &req)
	if err != nil {
		return nil, err
	}
	out := &inferencepb.ModelInferResponse_InferOutputTensor{Name: answer.Output, Datatype: "FP64", Shape: answer.Shape}
	response := &inferencepb.ModelInferResponse{
		ModelName: answer.Model, ModelVersion: answer.Version, Id: r.GetId(),
		Outputs: []*inferencepb.ModelInferResponse_InferOutputTensor{out},
	}
	if !raw {
		out.Contents = &inferencepb.InferTensorContents{Fp64Contents: answer.Values}
		return response, nil
	}
	data := make([]byte, 0, 8*len(answer.Values))
	for _, v := range answer.Values {
		data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
	}
	response.RawOutputContents = [][]byte{data}
	return response, nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}
