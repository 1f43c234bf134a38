package basketgrpc_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

var good = rowsOf("FP64", &contents{Fp64Contents: []float64{94.61, 15, 0, 0}}, 1, 4)

// TestNewServer_keys: calls need a key in the metadata, in one of two forms, but for those
// that ask for the health; refused calls are refused before their message is read.
func TestNewServer_keys(t *testing.T) {
	key, access := withKey(t)
	var names []string
	conn := dial(t, newHandler(t),
		access,
		basketgrpc.WithMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				names = append(names, serve.IdentityOf(r.Context()).Name)
				next.ServeHTTP(w, r)
			})
		}))
	client, health := inferencepb.NewGRPCInferenceServiceClient(conn), grpc_health_v1.NewHealthClient(conn)
	long := rawRows("FP64", make([]byte, 20<<20), 1, 4)
	for _, test := range []struct {
		name, header, value string
		req                 *inferRequest
		want                codes.Code
	}{
		{"no key", "", "", good, codes.Unauthenticated},
		{"a wrong key", "authorization", "Bearer wrong", good, codes.Unauthenticated},
		{"no key, a message over the limit", "", "", long, codes.Unauthenticated},
		{"a key, a message over the limit", "authorization", "Bearer " + key, long, codes.ResourceExhausted},
		{"bearer", "authorization", "Bearer " + key, good, codes.OK},
		{"x-api-key", "x-api-key", key, good, codes.OK},
	} {
		ctx := t.Context()
		if test.header != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, test.header, test.value)
		}
		if _, err := client.ModelInfer(ctx, test.req); status.Code(err) != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	if want := []string{"shop", "shop"}; !slices.Equal(names, want) {
		t.Errorf("clients %q, want %q", names, want)
	}
	_, liveErr := client.ServerLive(t.Context(), &inferencepb.ServerLiveRequest{})
	_, readyErr := client.ServerReady(t.Context(), &inferencepb.ServerReadyRequest{})
	_, checkErr := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err := errors.Join(liveErr, readyErr, checkErr); err != nil {
		t.Errorf("without a key: %v", err)
	}
	_, modelErr := client.ModelReady(t.Context(), &inferencepb.ModelReadyRequest{Name: "basket"})
	stream, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, reflectErr := stream.Recv()
	for _, err := range []error{modelErr, reflectErr} {
		if status.Code(err) != codes.Unauthenticated || !strings.HasSuffix(err.Error(), "Unauthorized") {
			t.Errorf("%v: want UNAUTHENTICATED", err)
		}
	}
}

// TestNewServer_middleware: middleware sees a POST to the method's path and the status, and
// its header comes back as metadata; what it answers by itself is the call's error.
func TestNewServer_middleware(t *testing.T) {
	limit, err := serve.NewRateLimit(1e-3, 2)
	if err != nil {
		t.Fatal(err)
	}
	var events []basket.ServiceEvent
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, newHandler(t),
		basketgrpc.WithMiddleware(serve.RequestID), basketgrpc.WithMiddleware(limit.Wrap),
		basketgrpc.WithServiceLogger(serviceLogger(func(ctx context.Context, e basket.ServiceEvent) {
			e.Message = serve.RequestIDOf(ctx)
			events = append(events, e)
		}))))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "abc-1")
	var header metadata.MD
	if _, err := client.ModelInfer(ctx, good, grpc.Header(&header)); err != nil || header.Get("x-request-id")[0] != "abc-1" {
		t.Errorf("%v, header %v", err, header)
	}
	if _, err := client.ModelInfer(ctx, &inferRequest{ModelName: "nope"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown model: %v", err)
	}
	if _, err := client.ModelInfer(ctx, good, grpc.Header(&header)); status.Code(err) != codes.ResourceExhausted || len(header.Get("retry-after")) != 1 {
		t.Errorf("over the rate: %v, header %v: want RESOURCE_EXHAUSTED and retry-after", err, header)
	}
	if len(events) != 2 || events[0].Status != 200 || events[1].Status != 404 {
		t.Fatalf("events %+v: want two, of 200 and 404", events)
	}
	for _, e := range events {
		if e.Method != "POST" || e.Path != "/inference.GRPCInferenceService/ModelInfer" || e.Message != "abc-1" || e.Time.IsZero() {
			t.Errorf("event %+v", e)
		}
	}
}

type serviceLogger func(context.Context, basket.ServiceEvent)

func (f serviceLogger) LogService(ctx context.Context, e basket.ServiceEvent) { f(ctx, e) }

// TestNewServer_panic: a panic in a call is an error of this call.
func TestNewServer_panic(t *testing.T) {
	h := oip.NewHandler(nil, func() []oip.Version { panic("at /secret/path") })
	client := inferencepb.NewGRPCInferenceServiceClient(dial(t, h))
	for range 2 {
		_, err := client.ModelInfer(t.Context(), good)
		if s := status.Convert(err); s.Code() != codes.Internal || s.Message() != "internal error" {
			t.Errorf("%v: want INTERNAL", err)
		}
	}
}

// TestNewServer_deadline: a call whose time is over says so.
func TestNewServer_deadline(t *testing.T) {
	h := newHandler(t, oip.WithReady(func(context.Context) error {
		time.Sleep(200 * time.Millisecond) // longer than the client waits
		return nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := inferencepb.NewGRPCInferenceServiceClient(dial(t, h)).ServerReady(ctx, &inferencepb.ServerReadyRequest{}); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v: want DEADLINE_EXCEEDED", err)
	}
}

// TestNewServer_slowMessage: a message that does not come ends the call, and a call that takes
// longer than messages may is not ended.
func TestNewServer_slowMessage(t *testing.T) {
	h := newHandler(t, oip.WithReady(func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return nil
		}
	}))
	conn := dial(t, h, basketgrpc.WithReadTimeout(50*time.Millisecond))
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, inferencepb.GRPCInferenceService_ModelInfer_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(&inferencepb.ModelInferResponse{}); status.Code(err) != codes.Canceled {
		t.Errorf("no message: %v, want CANCELED", err)
	}
	if ready, err := inferencepb.NewGRPCInferenceServiceClient(conn).ServerReady(t.Context(), &inferencepb.ServerReadyRequest{}); err != nil || !ready.GetReady() {
		t.Errorf("a long call: %v, %v", ready, err)
	}
}

// TestNewServer_health: the health service follows readiness, and its streams end with the
// context.
func TestNewServer_health(t *testing.T) {
	var mu sync.Mutex
	var fault error
	set := func(err error) { mu.Lock(); fault = err; mu.Unlock() }
	stop, cancel := context.WithCancel(t.Context())
	conn := dial(t, newHandler(t, oip.WithReady(func(context.Context) error { mu.Lock(); defer mu.Unlock(); return fault })), basketgrpc.WithContext(stop))
	client := grpc_health_v1.NewHealthClient(conn)
	const serving, not = grpc_health_v1.HealthCheckResponse_SERVING, grpc_health_v1.HealthCheckResponse_NOT_SERVING
	for _, name := range []string{"", "inference.GRPCInferenceService"} {
		if got, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name}); err != nil || got.GetStatus() != serving {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "nope"}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service: %v", err)
	}
	stream, err := client.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		if got, err := stream.Recv(); err != nil || got.GetStatus() != want {
			t.Errorf("watch: %v, %v, want %v", got, err, want)
		}
	}
	next(serving)
	set(errors.New("no store"))
	next(not)
	if got, err := client.List(t.Context(), &grpc_health_v1.HealthListRequest{}); err != nil || len(got.GetStatuses()) != 2 || got.GetStatuses()[""].GetStatus() != not {
		t.Errorf("list: %v, %v", got, err)
	}
	set(nil)
	next(serving)
	unknown, err := client.Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "nope"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unknown.Recv(); err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN {
		t.Errorf("watch of an unknown service: %v, %v", got, err)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("at the stop: %v, want UNAVAILABLE", err)
	}
}

// TestNewServer_reflection: clients without the proto file find the services.
func TestNewServer_reflection(t *testing.T) {
	stream, err := reflectionpb.NewServerReflectionClient(dial(t, newHandler(t))).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range answer.GetListServicesResponse().GetService() {
		names = append(names, s.GetName())
	}
	for _, want := range []string{"inference.GRPCInferenceService", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("services %q: want %s", names, want)
		}
	}
}

// TestMethods: the methods for metrics are those that the server has.
func TestMethods(t *testing.T) {
	s := basketgrpc.NewServer(newHandler(t))
	defer s.Stop()
	want := append(basketgrpc.Methods(), basketgrpc.FreeMethods()...)
	for service, info := range s.GetServiceInfo() {
		for _, m := range info.Methods {
			if path := "/" + service + "/" + m.Name; !m.IsServerStream && !slices.Contains(want, path) {
				t.Errorf("%s is missing", path)
			}
		}
	}
	if len(basketgrpc.Methods()) != 8 || len(basketgrpc.FreeMethods()) != 4 {
		t.Errorf("methods %q, free %q", basketgrpc.Methods(), basketgrpc.FreeMethods())
	}
}
