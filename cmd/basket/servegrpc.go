package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/basket-go/basket/adapters/basketgrpc"
	"github.com/basket-go/basket/oip"
	"github.com/basket-go/basket/serve"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// grpcGrace is how long calls over gRPC that are under way may take after the stop.
const grpcGrace = 15 * time.Second

// A grpcServer serves --grpc-addr.
type grpcServer struct {
	*grpc.Server
	listener net.Listener
	served   chan error // what Serve returned; nil until runGRPC
}

// openGRPC listens at --grpc-addr, if one is given. Keys, limits and telemetry are those of
// HTTP.
func (s *server) openGRPC(ctx context.Context, h *oip.Handler) error {
	if s.GRPCAddr == "" {
		return nil
	}
	opts := []basketgrpc.Option{
		basketgrpc.WithAccess(s.protect(freeMethods)),
		basketgrpc.WithMiddleware(s.telemetry.traced),
		basketgrpc.WithMiddleware(serve.RequestID),
		basketgrpc.WithMaxMessage(s.Limits.MaxBatchBody),
		basketgrpc.WithContext(ctx),
	}
	if s.limits.address != nil {
		opts = append(opts, basketgrpc.WithMiddleware(s.limits.address))
	}
	opts = append(opts, basketgrpc.WithMiddleware(s.limits.wrap))
	for _, l := range s.services {
		opts = append(opts, basketgrpc.WithServiceLogger(l))
	}
	if s.tls != nil {
		opts = append(opts, basketgrpc.WithServerOptions(grpc.Creds(credentials.NewTLS(s.tls))))
	}
	listener, err := net.Listen("tcp", s.GRPCAddr)
	if err != nil {
		return fmt.Errorf("--grpc-addr: %w", err)
	}
	s.grpc = &grpcServer{Server: basketgrpc.NewServer(h, opts...), listener: listener}
	return nil
}

// runGRPC serves gRPC, if there is any, and returns a context for HTTP that is done as soon
// as ctx is, or gRPC fails.
func (s *server) runGRPC(ctx context.Context) context.Context {
	if s.grpc == nil {
		return ctx
	}
	both, fail := context.WithCancel(ctx)
	s.grpc.served = make(chan error, 1)
	go func() {
		s.grpc.served <- s.grpc.Serve(s.grpc.listener)
		fail()
	}()
	return both
}

// stopGRPC ends gRPC, which HTTP's drain has given its clients time to leave, after the calls
// under way.
func (s *server) stopGRPC() error {
	switch {
	case s.grpc == nil:
		return nil
	case s.grpc.served == nil:
		return s.grpc.listener.Close()
	}
	cut := time.AfterFunc(grpcGrace, s.grpc.Stop)
	defer cut.Stop()
	s.grpc.GracefulStop()
	if err := <-s.grpc.served; err != nil {
		return fmt.Errorf("gRPC: %w", err)
	}
	return nil
}
