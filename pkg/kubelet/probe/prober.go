package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
)

const (
	// attempts is how often a probe that could not be carried out is tried before it is given up for this time.
	attempts = 3
	// maxOutput is how much of an answer gets into events.
	maxOutput = 10 << 10
	userAgent = "kube-probe/1.36"
	// sessions is how many hosts' TLS sessions are kept.
	sessions = 256
)

// outcome is what one attempt found.
type outcome struct {
	result Result
	output string
	warn   bool // a success that should be looked at
}

// prober carries out single probes.
type prober struct {
	config    Config
	transport *http.Transport
}

func newProber(c Config) *prober {
	return &prober{config: c, transport: &http.Transport{
		// Whoever answers has the pod's address; that is all the identity a probe knows.
		// Each probe connects anew, but goes on with the last session: a server that need not prove who it is again
		// saves its signature, most of what answering a probe costs it. Nobody will want to read probes when there are
		// quantum computers: keys that they cannot break cost both sides as much again.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(sessions),
			CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}},
		DisableKeepAlives: true, DisableCompression: true, Proxy: nil,
		DialContext: (&net.Dialer{}).DialContext,
	}}
}

// probe answers a result; ok is false where none could be had.
func (p *prober) probe(ctx context.Context, t *target, kind Kind, id string) (r Result, ok bool) {
	var o outcome
	var err error
	for range attempts {
		if o, err = p.attempt(ctx, t, id); err == nil || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return Unknown, false
	}
	if err != nil {
		p.event(t, "Unhealthy", fmt.Sprintf("%s probe errored and resulted in unknown state: %v", kind, err))
		return Unknown, false
	}
	if o.warn {
		p.event(t, "ProbeWarning", fmt.Sprintf("%s probe warning: %s", kind, o.output))
	}
	if o.result == Failure {
		p.event(t, "Unhealthy", fmt.Sprintf("%s probe failed: %s", kind, o.output))
	}
	return o.result, true
}

func (p *prober) event(t *target, reason, message string) {
	if p.config.Event != nil {
		p.config.Event(t.pod, t.container.Name, corev1.EventTypeWarning, reason, message)
	}
}

func (p *prober) attempt(ctx context.Context, t *target, id string) (outcome, error) {
	timeout := seconds(t.spec.TimeoutSeconds, 1)
	switch {
	case t.spec.Exec != nil:
		return p.exec(ctx, id, t.spec.Exec.Command, timeout)
	case t.spec.HTTPGet != nil:
		return p.http(ctx, t, timeout)
	case t.spec.TCPSocket != nil:
		return p.tcp(ctx, t, timeout)
	case t.spec.GRPC != nil:
		return p.grpc(ctx, t, timeout)
	}
	return outcome{}, fmt.Errorf("missing probe handler for %s:%s", t.pod.Name, t.container.Name)
}

func (p *prober) exec(ctx context.Context, id string, command []string, timeout time.Duration) (outcome, error) {
	output, code, err := p.config.Exec(ctx, id, command, timeout)
	text := shorten(output)
	switch {
	case err != nil && (errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded):
		return outcome{result: Failure, output: fmt.Sprintf("command timed out: %q timed out after %s", strings.Join(command, " "), timeout)}, nil
	case err != nil:
		return outcome{}, err
	case code != 0:
		return outcome{result: Failure, output: text}, nil
	}
	return outcome{result: Success, output: text}, nil
}

func shorten(b []byte) string {
	if len(b) > maxOutput {
		b = b[:maxOutput]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func (p *prober) tcp(ctx context.Context, t *target, timeout time.Duration) (outcome, error) {
	host := cmp.Or(t.spec.TCPSocket.Host, t.ip)
	port, err := Port(t.spec.TCPSocket.Port, t.container)
	if err != nil {
		return outcome{}, err
	}
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return outcome{result: Failure, output: err.Error()}, nil
	}
	_ = conn.Close()
	return outcome{result: Success}, nil
}
