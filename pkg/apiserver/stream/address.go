package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// errAddress is the answer to a wish to be led where clients have no business to be.
var errAddress = errors.New("address not allowed")

// globalUnicast leaves out loopback, link-local, multicast and unspecified addresses: they lead into the
// apiserver's own host or to what answers for a cloud.
func globalUnicast(a netip.Addr) bool {
	return a.Unmap().IsGlobalUnicast()
}

// guard leads to allowed addresses alone. A name is resolved for each connection, each of its addresses checked, and
// one of those dialled: no second answer of the DNS can lead elsewhere.
type guard struct {
	allowed func(netip.Addr) bool
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	dialer  *net.Dialer
}

func lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// addresses are those of a host, all of which are allowed.
func (g *guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		if !g.allowed(a) {
			return nil, errAddress
		}
	}
	return found, nil
}

func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling %q: %w", address, err)
	}
	found, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	var last error
	for _, a := range found {
		conn, err := g.dialer.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// transport carries requests over connections that dial makes.
func transport(dial func(ctx context.Context, network, address string) (net.Conn, error), secure *tls.Config) http.RoundTripper {
	return &http.Transport{
		DialContext: dial, TLSClientConfig: secure, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true,
		Protocols: http1(), MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
	}
}

// http1 is the version of HTTP that can be left for another protocol.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
