package basketgrpc

import (
	"context"
	"slices"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is checked
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// A codec is that of package grpc, but for an incoming message, whose faults it keeps: package
// grpc would answer them by INTERNAL.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// An incoming is a message of a client, or what is wrong with it.
type incoming struct {
	message any
	fault   error
}

// Unmarshal reads a message.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	in.fault = c.read(data, in.message)
	return nil
}

func (c codec) read(data mem.BufferSlice, message any) error {
	if _, ok := message.(*inferencepb.ModelInferRequest); ok {
		buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buf.Free()
		if err := checkFields(buf.ReadOnlyData()); err != nil {
			return err
		}
	}
	if c.CodecV2.Unmarshal(data, message) != nil {
		return invalid("the message cannot be read: it is damaged, or not of this method")
	}
	return nil
}

const (
	// maxFields is the most inputs, outputs and parameters that a request may have in all,
	// and the most dimensions of an input. One that can be answered has one input and one
	// output.
	maxFields = 64

	// Of the messages that hold others, these are the numbers of the fields that repeat.
	requestParameters, requestInputs, requestOutputs, requestRaw = 4, 5, 6, 7
	inputShape, inputParameters, inputContents                   = 3, 4, 5
	outputParameters                                             = 2
	contentsTexts                                                = 8

	// maxTexts is the most elements of BYTES that a request may have: an empty one has two
	// bytes, and takes 24 when it is read.
	maxTexts = 1 << 20
)

// checkFields returns why a request is refused before it is read, or nil: it has too many
// inputs, outputs, parameters, dimensions or texts, each of which would take up to 100 times
// the memory of its bytes. A damaged message passes; reading it fails.
func checkFields(message []byte) error {
	fields, dimensions, texts := 0, 0, 0
	eachField(message, func(number protowire.Number, content []byte) {
		switch number {
		case requestParameters, requestRaw:
			fields++
		case requestInputs:
			fields++
			eachField(content, func(number protowire.Number, content []byte) {
				switch number {
				case inputShape: // a number, or several of one byte or more
					dimensions += max(len(content), 1)
				case inputParameters:
					fields++
				case inputContents:
					eachField(content, func(number protowire.Number, _ []byte) {
						if number == contentsTexts {
							texts++
						}
					})
				}
			})
		case requestOutputs:
			fields++
			eachField(content, func(number protowire.Number, _ []byte) {
				if number == outputParameters {
					fields++
				}
			})
		}
	})
	if fields > maxFields || dimensions > 10*maxFields { // a number has 10 bytes at most
		return invalid("the request has over %d inputs, outputs, parameters or dimensions", maxFields)
	}
	if texts > maxTexts {
		return invalid("the request has over %d elements of BYTES", maxTexts)
	}
	return nil
}

// eachField calls f with each field of a message, as far as it can be read, and with the
// content if the field has a length.
func eachField(message []byte, f func(number protowire.Number, content []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var content []byte
		if kind == protowire.BytesType {
			content, n = protowire.ConsumeBytes(message)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return
		}
		f(number, content)
		message = message[n:]
	}
}

// description returns the description of the service, of which a message that cannot be read
// is a fault of the client, and is logged and counted as other calls are.
func (c *calls) description() *grpc.ServiceDesc {
	d := inferencepb.GRPCInferenceService_ServiceDesc
	d.Methods = slices.Clone(d.Methods)
	for i := range d.Methods {
		m := &d.Methods[i]
		handle := m.Handler
		info := &grpc.UnaryServerInfo{FullMethod: "/" + d.ServiceName + "/" + m.MethodName}
		m.Handler = func(s any, ctx context.Context, read func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			return handle(s, ctx, func(v any) error {
				in := incoming{message: v}
				if err := read(&in); err != nil || in.fault == nil {
					return err
				}
				_, err := c.unary(ctx, nil, info, func(context.Context, any) (any, error) { return nil, in.fault })
				return err
			}, interceptor)
		}
	}
	return &d
}
