// Package server is the kubelet's own port: what runs here, its logs and measurements, and streams into
// containers, each for those whom the apiserver permits. It knows the runtime and the pods' statuses; it
// changes neither.
package server

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/stats"
)

// Host is the kubelet as its port sees it.
type Host interface {
	// Pods are the pods of this node, static ones included, each with the status that the kubelet itself
	// holds to be true now. The caller does not change them.
	Pods() []*corev1.Pod
	// Pod is one of them, nil where there is none of that name.
	Pod(namespace, name string) *corev1.Pod
	// Ended is closed when the container no longer runs: at once where it does not run now. ctx ends the wait;
	// the channel may then stay open.
	Ended(ctx context.Context, containerID string) <-chan struct{}
}

// Config is what a Server is made of.
type Config struct {
	Address string // to listen on: "0.0.0.0"
	Port    int    // HTTPS: 10250
	// HealthAddress and HealthPort are the plain port that answers /healthz and nothing else; port 0: none.
	HealthAddress string
	HealthPort    int
	// Certificate answers the serving certificate for each connection, so that it can be renewed.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// MinTLS is the oldest TLS version that is spoken, and Ciphers are the suites below TLS 1.3; 0 and nil: those
	// that Go thinks safe, from 1.2 on.
	MinTLS  uint16
	Ciphers []uint16
	// Auth says who may do what here.
	Auth     *daemon.Delegated
	NodeName string
	Host     Host
	Runtime  cri.Runtime
	Stats    *stats.Provider
	// Health are the checks behind /healthz on both ports.
	Health *daemon.Health
	// Metrics and ProbeMetrics are what /metrics and /metrics/probes answer.
	Metrics      prometheus.Gatherer
	ProbeMetrics prometheus.Gatherer
	// Pages are about the process itself.
	Pages []daemon.ZPage
	// LogDir is served below /logs/ ("/var/log"); empty: not served.
	LogDir string
	// Configuration is answered by /configz: the KubeletConfiguration in force.
	Configuration any
	// NoDebugging switches off exec, attach, port-forward, run and logs (enableDebuggingHandlers: false).
	NoDebugging bool
	// Profiling serves profiles below /debug/pprof/ (enableProfilingHandler).
	Profiling bool
	// StreamIdle ends streams on which nothing was sent for so long (streamingConnectionIdleTimeout); 0: 4 h.
	StreamIdle time.Duration
	Clock      clock.PassiveClock
	Log        logr.Logger
}

// defaultStreamIdle is upstream's streamingConnectionIdleTimeout.
const defaultStreamIdle = 4 * time.Hour
