package basketgrpc

import (
	"context"
	"time"

	"github.com/basket-go/basket/adapters/basketgrpc/inferencepb"
	"github.com/basket-go/basket/oip"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// healthInterval is how often a stream that watches looks.
const healthInterval = time.Second

// health is gRPC's health service; see its GRPC Health Checking Protocol.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	h    *oip.Handler
	stop context.Context
}

// services are the names that the health service knows.
var services = []string{"", inferencepb.GRPCInferenceService_ServiceDesc.ServiceName}

func known(service string) bool { return service == services[0] || service == services[1] }

func (s *health) status(ctx context.Context) *grpc_health_v1.HealthCheckResponse {
	if s.h.Ready(ctx) != nil {
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_NOT_SERVING}
	}
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
}

// Check returns the status of a service.
func (s *health) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if !known(r.GetService()) {
		return nil, status.Errorf(codes.NotFound, "no service is named %.100q: want %q or none", r.GetService(), services[1])
	}
	return s.status(ctx), nil
}

// List returns the status of each service.
func (s *health) List(ctx context.Context, _ *grpc_health_v1.HealthListRequest) (*grpc_health_v1.HealthListResponse, error) {
	now := s.status(ctx)
	all := map[string]*grpc_health_v1.HealthCheckResponse{}
	for _, name := range services {
		all[name] = now
	}
	return &grpc_health_v1.HealthListResponse{Statuses: all}, nil
}

// Watch sends the status of a service, and again when it changes.
func (s *health) Watch(r *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	ctx := stream.Context()
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	last := grpc_health_v1.HealthCheckResponse_UNKNOWN
	for {
		now := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVICE_UNKNOWN}
		if known(r.GetService()) {
			now = s.status(ctx)
		}
		if now.Status != last {
			if err := stream.Send(now); err != nil {
				return err
			}
			last = now.Status
		}
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stop.Done():
			return status.Error(codes.Unavailable, "the server stops")
		case <-ticker.C:
		}
	}
}
