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

// guarded carries requests to pods, services and nodes. A name is resolved once, each address checked, and that address dialled,
// so that no second answer of the DNS can lead elsewhere. Certificates are not checked: nothing says
// who should have signed those of pods.
func guarded(allowed func(netip.Addr) bool, timeout time.Duration) http.RoundTripper {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("dialling %q: %w", address, err)
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			if !allowed(a) {
				return nil, errAddress
			}
		}
		var last error
		for _, a := range found {
			conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(a.Unmap().String(), port))
			if err == nil {
				return conn, nil
			}
			last = err
		}
		return nil, last
	}
	return &http.Transport{
		DialContext: dial, DisableCompression: true, Protocols: http1(), TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12},
	}
}

// http1 is the version of HTTP that can be left for another protocol.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
