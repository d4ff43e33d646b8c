package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

// healthHandler answers /healthz for load balancers and people: well once the rules stand.
func healthHandler(p *Proxy) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		last := p.LastSync()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if last.IsZero() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"lastUpdated": last.UTC().Format(time.RFC3339Nano), "currentTime": p.clock.Now().UTC().Format(time.RFC3339Nano),
			"nodeEligible": true,
		})
	}
	mux.HandleFunc("/healthz", answer)
	mux.HandleFunc("/livez", answer)
	return mux
}

// serveHTTP serves plain HTTP until ctx ends; it returns once the port listens.
func serveHTTP(ctx context.Context, address string, h http.Handler, log logr.Logger) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "No longer served", "address", address)
		}
	}()
	return nil
}

// serviceHealth opens the health check node ports of services with externalTrafficPolicy Local: a load
// balancer asks there whether this node has backends.
type serviceHealth struct {
	proxy *Proxy
	log   logr.Logger

	mu   sync.Mutex
	open map[uint16]openPort
}

type openPort struct {
	service types.NamespacedName
	stop    context.CancelFunc
}

// update opens and closes ports to match what the rules say now.
func (h *serviceHealth) update(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	want := h.proxy.HealthPorts()
	for port, o := range h.open {
		if want[port] != o.service {
			o.stop()
			delete(h.open, port)
		}
	}
	for port, service := range want {
		if _, ok := h.open[port]; ok {
			continue
		}
		sub, stop := context.WithCancel(ctx)
		if err := serveHTTP(sub, net.JoinHostPort("", strconv.Itoa(int(port))), h.handler(service), h.log); err != nil {
			stop()
			h.log.Error(err, "A service's health check node port cannot be opened", "service", service.String())
			continue
		}
		h.open[port] = openPort{service, stop}
	}
}

func (h *serviceHealth) handler(service types.NamespacedName) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := h.proxy.LocalBackends(service)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(n))
		if n == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"service":             map[string]string{"namespace": service.Namespace, "name": service.Name},
			"localEndpoints":      n,
			"serviceProxyHealthy": !h.proxy.LastSync().IsZero(),
		})
	})
}
