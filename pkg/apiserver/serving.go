package apiserver

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sampan-project/sampan/pkg/pki"
)

// serving is how the server proves who it is. Certificates that were given are read again when they change.
func (c *Config) serving(listen net.Addr, networks []netip.Prefix, now time.Time) (*tls.Config, error) {
	cert, key := c.CertFile, c.KeyFile
	if cert == "" {
		ips := []net.IP{net.ParseIP(c.Advertise), net.IPv4(127, 0, 0, 1)}
		for _, n := range networks {
			ips = append(ips, net.IP(n.Addr().Next().AsSlice()))
		}
		if a, ok := listen.(*net.TCPAddr); ok && !a.IP.IsUnspecified() && !a.IP.IsLoopback() {
			ips = append(ips, a.IP)
		}
		var err error
		cert, key, err = pki.SelfSignedServing(c.CertDir, "apiserver", c.Advertise, ips,
			[]string{"kubernetes.default.svc", "kubernetes.default", "kubernetes", "localhost"}, now)
		if err != nil {
			return nil, fmt.Errorf("making a serving certificate in --cert-dir: %w", err)
		}
	}
	files := &certificateFiles{cert: cert, key: key}
	if _, err := files.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, GetCertificate: files.get,
	}, nil
}
