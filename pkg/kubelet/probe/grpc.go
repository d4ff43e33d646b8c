package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func (p *prober) grpc(ctx context.Context, t *target, timeout time.Duration) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	service := ""
	if t.spec.GRPC.Service != nil {
		service = *t.spec.GRPC.Service
	}
	address := net.JoinHostPort(t.ip, strconv.Itoa(int(t.spec.GRPC.Port)))
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(userAgent))
	if err != nil {
		return outcome{result: Failure, output: fmt.Sprintf("error: failed to connect service %q: %v", address, err)}, nil
	}
	defer func() { _ = conn.Close() }()
	// Without WaitForReady a refused connection would be told at once, but a container that is slow to
	// accept would be too.
	answer, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service}, grpc.WaitForReady(true))
	if err != nil {
		return outcome{result: Failure, output: grpcFailure(err, conn.GetState() == connectivity.Ready, address, timeout)}, nil
	}
	if answer.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return outcome{result: Failure, output: fmt.Sprintf("service unhealthy (responded with %q)", answer.GetStatus().String())}, nil
	}
	return outcome{result: Success, output: "service healthy"}, nil
}

func grpcFailure(err error, connected bool, address string, timeout time.Duration) string {
	switch code := status.Code(err); {
	case code == codes.Unimplemented:
		return fmt.Sprintf("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", status.Convert(err).Message())
	case code == codes.DeadlineExceeded && connected:
		return fmt.Sprintf("timeout: health rpc did not complete within %v", timeout)
	case code == codes.DeadlineExceeded:
		return fmt.Sprintf("timeout: failed to connect service %q within %v: %v", address, timeout, context.DeadlineExceeded)
	}
	return fmt.Sprintf("error: health rpc probe failed: %v", err)
}
