// Package basketgrpc serves models by the Open Inference Protocol V2 over gRPC, which the
// gRPC clients of Triton and KServe speak. It serves what package oip serves over HTTP, with
// the same names, rules and errors:
//
//	h := oip.NewHandler(store, models)
//	s := basketgrpc.NewServer(h)
//	err := s.Serve(listener)
//
// The service is inference.GRPCInferenceService: ServerLive, ServerReady, ModelReady,
// ServerMetadata, ModelMetadata and ModelInfer. The server also has gRPC's health service,
// for the names "" and "inference.GRPCInferenceService", and its reflection service.
//
// # Tensors
//
// Inputs are raw or typed; a request with raw inputs gets raw outputs, and one with typed
// inputs typed ones. NaN is a missing value. A message may be compressed by gzip.
//
// # Errors
//
// The status has the text of the HTTP answer and the code that belongs to its status:
//
//	400 INVALID_ARGUMENT    413 RESOURCE_EXHAUSTED  500 INTERNAL
//	401 UNAUTHENTICATED     415 UNIMPLEMENTED       501 UNIMPLEMENTED
//	403 PERMISSION_DENIED   429 RESOURCE_EXHAUSTED  503 UNAVAILABLE
//	404 NOT_FOUND           499 CANCELED            504 DEADLINE_EXCEEDED
//	409 FAILED_PRECONDITION
//
// # Other generated code of the protocol
//
// Package inferencepb registers the protocol's names with package protobuf, which allows
// that once in a program. A program that has other generated code of the protocol, such as
// Triton's, stops at its start; the environment variable
// GOLANG_PROTOBUF_REGISTRATION_CONFLICT=warn lets it run.
package basketgrpc

import (
	"context"
	"net/http"
	"time"

	"github.com/basket-go/basket"
	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // for clients that compress
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

const (
	// maxMessage is the default of WithMaxMessage, the limit of package oip.
	maxMessage = 16 << 20

	// maxStreams is how many calls a connection may have at a time: each holds a message.
	maxStreams = 32

	// maxHeader is the most bytes of a call's metadata.
	maxHeader = 16 << 10

	// readTimeout is the default of WithReadTimeout, which serve.NewServer has too.
	readTimeout = 10 * time.Second

	// handshakeTimeout and idleTimeout are how long a connection may take to begin, and
	// stay without a call.
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 5 * time.Minute
)

// An Option configures [NewServer].
type Option func(*config)

type config struct {
	access     func(http.Handler) http.Handler
	middleware []func(http.Handler) http.Handler
	loggers    []basket.ServiceLogger
	maxMessage int
	readLimit  time.Duration
	stop       context.Context
	options    []grpc.ServerOption
}

// WithAccess sets the HTTP middleware that decides which calls are let in: serve.Protect,
// for example, to which [FreeMethods] are Free. It runs before a message is read, on a
// request without body with the call's metadata as header, and with the method as path. If
// it answers by itself, the call fails with the code that belongs to the HTTP status. The
// context that it passes on is that of the call. It must not wait.
func WithAccess(m func(http.Handler) http.Handler) Option { return func(c *config) { c.access = m } }

// WithMiddleware adds HTTP middleware around each unary call, the first one outermost: limits,
// request IDs, metrics. It sees a request like that of [WithAccess] and, as the answer's
// status, the one that belongs to the call's. It must not return before the handler that it
// wraps has. The header that it sets is sent as metadata.
func WithMiddleware(m func(http.Handler) http.Handler) Option {
	return func(c *config) { c.middleware = append(c.middleware, m) }
}

// WithServiceLogger adds a logger that is told of each unary call, as a POST to the path of
// the method.
func WithServiceLogger(l basket.ServiceLogger) Option {
	return func(c *config) { c.loggers = append(c.loggers, l) }
}

// WithMaxMessage sets how many bytes a message may have, decompressed; 16 MiB by default. A
// longer one fails with RESOURCE_EXHAUSTED.
func WithMaxMessage(n int) Option { return func(c *config) { c.maxMessage = n } }

// WithReadTimeout sets how long a client may take to send the message of a unary call; 10
// seconds by default. Then the call ends with CANCELED.
func WithReadTimeout(d time.Duration) Option { return func(c *config) { c.readLimit = d } }

// WithContext sets a context that ends the streams that watch the health service, so that
// [grpc.Server.GracefulStop] does not wait for them.
func WithContext(ctx context.Context) Option { return func(c *config) { c.stop = ctx } }

// WithServerOptions adds options of the server, such as [grpc.Creds] for TLS.
func WithServerOptions(opts ...grpc.ServerOption) Option {
	return func(c *config) { c.options = append(c.options, opts...) }
}

// NewServer returns a server of what h serves. The caller calls Serve and, in the end,
// GracefulStop or Stop; other services may be registered before.
func NewServer(h *oip.Handler, opts ...Option) *grpc.Server {
	c := config{maxMessage: maxMessage, readLimit: readTimeout, stop: context.Background()}
	for _, o := range opts {
		o(&c)
	}
	calls := &calls{config: &c, unaryMethods: map[string]bool{}}
	for _, method := range Methods() {
		calls.unaryMethods[method] = true
	}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(c.maxMessage),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout}),
		grpc.InTapHandle(calls.begin),
		grpc.ChainUnaryInterceptor(calls.unary),
		grpc.ForceServerCodecV2(newCodec()),
	}
	s := grpc.NewServer(append(options, c.options...)...)
	s.RegisterService(calls.description(), &service{h: h})
	grpc_health_v1.RegisterHealthServer(s, &health{h: h, stop: c.stop})
	reflection.Register(s)
	return s
}

// FreeMethods returns the paths of the methods that tell whether the server is live and
// ready, which usually need no credential.
func FreeMethods() []string {
	return []string{
		inferencepb.GRPCInferenceService_ServerLive_FullMethodName, inferencepb.GRPCInferenceService_ServerReady_FullMethodName,
		grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName,
	}
}

// Methods returns the paths of all unary methods, as metrics name them.
func Methods() []string {
	methods := []string{grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_List_FullMethodName}
	d := &inferencepb.GRPCInferenceService_ServiceDesc
	for _, m := range d.Methods {
		methods = append(methods, "/"+d.ServiceName+"/"+m.MethodName)
	}
	return methods
}
