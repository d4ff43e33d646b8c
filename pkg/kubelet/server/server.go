package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// Server is the kubelet's port.
type Server struct {
	cfg     Config
	handler http.Handler
	runtime *http.Transport // to the runtime's streaming server
}

// New makes a server; Run opens its ports.
func New(cfg Config) *Server {
	cfg.StreamIdle = cmp.Or(cfg.StreamIdle, defaultStreamIdle)
	s := &Server{cfg: cfg, runtime: &http.Transport{
		DialContext: (&net.Dialer{Timeout: 30 * time.Second}).DialContext, DisableKeepAlives: true, DisableCompression: true,
		Protocols: http1(),
		// The runtime listens on loopback with a certificate that nobody vouches for, where it has one at all.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}}
	s.handler = s.permitted(s.routes())
	return s
}

// Handler is what the HTTPS port answers with, permissions included.
func (s *Server) Handler() http.Handler { return s.handler }

// Run opens the ports and serves until ctx ends. It returns an error where a port cannot be had.
func (s *Server) Run(ctx context.Context) error {
	secure, err := listen(ctx, s.cfg.Address, s.cfg.Port, "--port")
	if err != nil {
		return err
	}
	servers := []*http.Server{{
		Handler: s.handler, ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second, ErrorLog: daemon.QuietLog(s.cfg.Log),
		TLSConfig: &tls.Config{GetCertificate: s.cfg.Certificate, MinVersion: max(tls.VersionTLS12, s.cfg.MinTLS), CipherSuites: s.cfg.Ciphers, ClientAuth: tls.RequestClientCert},
	}}
	serve := []func() error{func() error { return servers[0].ServeTLS(secure, "", "") }}
	if s.cfg.HealthPort != 0 {
		plain, err := listen(ctx, s.cfg.HealthAddress, s.cfg.HealthPort, "--healthz-port")
		if err != nil {
			_ = secure.Close()
			return err
		}
		health := http.NewServeMux()
		s.cfg.Health.Install(health)
		servers = append(servers, &http.Server{Handler: health, ReadHeaderTimeout: 32 * time.Second, ErrorLog: daemon.QuietLog(s.cfg.Log)})
		serve = append(serve, func() error { return servers[1].Serve(plain) })
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, run := range serve {
		servers[i].BaseContext = func(net.Listener) context.Context { return ctx }
		context.AfterFunc(ctx, func() { _ = servers[i].Close() })
		group.Go(func() error {
			if err := run(); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving the kubelet's port: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// http1 is the version of HTTP that can be left for another protocol.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

func listen(ctx context.Context, address string, port int, flag string) (net.Listener, error) {
	at := net.JoinHostPort(address, strconv.Itoa(port))
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listening on %s (is another kubelet running there? %s chooses another): %w", at, flag, err)
	}
	return l, nil
}
