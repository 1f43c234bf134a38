package basketgrpc_test

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// A rawCodec sends bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

// repeated is a message in which a field occurs n times.
func repeated(n int, number protowire.Number, content string) []byte {
	one := protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), content)
	return slices.Repeat(one, n)
}

// field is a message with one field.
func field(number protowire.Number, content []byte) []byte {
	return repeated(1, number, string(content))
}

// TestCodec_bounds: messages that would take much memory, and damaged ones, are faults of the
// client, are logged, and take a small multiple of their length.
func TestCodec_bounds(t *testing.T) {
	var mu sync.Mutex
	var events []basket.ServiceEvent
	conn := dial(t, newHandler(t), basketgrpc.WithServiceLogger(serviceLogger(func(_ context.Context, e basket.ServiceEvent) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	})))
	const n = 1 << 20
	for _, test := range []struct {
		name    string
		message []byte
		want    string
	}{
		{"inputs", repeated(n, 5, ""), "over 64 inputs"},
		{"outputs", repeated(n, 6, ""), "over 64 inputs"},
		{"parameters", repeated(n, 4, ""), "over 64 inputs"},
		{"raw contents", repeated(n, 7, ""), "over 64 inputs"},
		{"parameters of an input", field(5, repeated(n, 4, "")), "over 64 inputs"},
		{"parameters of an output", field(6, repeated(n, 2, "")), "over 64 inputs"},
		{"dimensions", field(5, field(3, make([]byte, n))), "over 64 inputs"},
		{"dimensions, one by one", field(5, slices.Repeat([]byte{3 << 3, 0}, n)), "over 64 inputs"},
		{"texts", field(5, field(5, repeated(2*n, 8, ""))), "over 1048576 elements of BYTES"},
		{"damaged", []byte{0xff, 0xff}, "cannot be read"},
		{"cut short", field(5, make([]byte, 100))[:50], "cannot be read"},
		{"no UTF-8", field(1, []byte("\xff")), "cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var answer []byte
			err := conn.Invoke(t.Context(), "/inference.GRPCInferenceService/ModelInfer", &test.message, &answer, grpc.ForceCodecV2(rawCodec{}))
			runtime.ReadMemStats(&after)
			if s := status.Convert(err); s.Code() != codes.InvalidArgument || !strings.Contains(s.Message(), test.want) {
				t.Errorf("%v: want INVALID_ARGUMENT, %q", err, test.want)
			}
			// The client and the transport have copies of their own.
			if got := after.TotalAlloc - before.TotalAlloc; got > 8*uint64(len(test.message))+(1<<20) {
				t.Errorf("%d bytes allocated for a message of %d", got, len(test.message))
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 12 || events[0].Status != http.StatusBadRequest || events[0].Err == nil {
		t.Errorf("%d events, the first %+v: want 12 of status 400", len(events), events[0])
	}
}
