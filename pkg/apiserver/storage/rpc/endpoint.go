package rpc

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// connectWithin bounds the making of one connection.
const connectWithin = 20 * time.Second

// endpoint is one server.
type endpoint struct {
	network, address string
	authority        string // as requests name it
	tls              *tls.Config
	err              error // why it cannot be reached, nil where that is not known; guarded by the client's mu
}

// parse reads an endpoint as etcd's tools write it.
func parse(text string, config *tls.Config) (*endpoint, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		scheme, rest = "", text
		if path, unix := strings.CutPrefix(text, "unix:"); unix {
			scheme, rest = "unix", path
		}
	}
	e := &endpoint{network: "tcp", address: rest, authority: rest}
	switch scheme {
	case "http":
		config = nil
	case "https", "unixs":
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	case "", "unix":
	default:
		return nil, fmt.Errorf("the endpoint %q has the scheme %q: http, https, unix and unixs are known", text, scheme)
	}
	if strings.HasPrefix(scheme, "unix") {
		e.network, e.authority = "unix", "localhost"
	} else {
		u, err := url.Parse("//" + rest)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("the endpoint %q names no host: write scheme://host:port", text)
		}
		e.address, e.authority = u.Host, u.Host
	}
	if config != nil {
		e.tls = config.Clone()
		e.tls.NextProtos = []string{"h2"}
		if e.tls.ServerName == "" {
			e.tls.ServerName = hostname(e.authority)
		}
	}
	return e, nil
}

func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// connect makes a connection that is ready for calls.
func (e *endpoint) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, e.network, e.address)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if e.tls != nil {
		scheme = "https"
		secure := tls.Client(nc, e.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, fmt.Errorf("the connection to %s cannot be secured: %w", e.address, err)
		}
		nc = secure
	}
	c, err := newConn(nc, scheme, e.authority)
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("greeting %s: %w", e.address, err)
	}
	select {
	case <-c.ready:
		return c, nil
	case <-c.dead:
		return nil, c.ended()
	case <-ctx.Done():
		return nil, c.fail(fmt.Errorf("%s did not answer as HTTP/2: %w", e.address, ctx.Err()))
	}
}
