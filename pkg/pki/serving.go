package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"
)

// SelfSignedServing gives the serving certificate of a daemon that was not given one: <name>.crt and
// <name>.key under dir, made at the first start for host and the further names and addresses, with a CA of
// its own behind it in the same file. Their keys are elliptic: those are made in no time, and sign at each
// handshake for a thirtieth of what RSA's cost. An existing pair is taken as it is, unless it has run out.
func SelfSignedServing(dir, name, host string, ips []net.IP, names []string, now time.Time) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	pair, err := Load(certFile, keyFile)
	switch {
	case err == nil && now.Before(pair.Cert.NotAfter):
		return certFile, keyFile, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", fmt.Errorf("the serving certificate cannot be used; repair or remove it: %w", err)
	}
	ca, err := NewCA(CertSpec{CommonName: fmt.Sprintf("%s-ca@%d", host, now.Unix()), Validity: LeafValidity, Algorithm: ECDSAP256}, now)
	if err != nil {
		return "", "", err
	}
	spec := CertSpec{
		CommonName: fmt.Sprintf("%s@%d", host, now.Unix()),
		IPs:        ips,
		DNSNames:   names,
		Usages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		Algorithm:  ECDSAP256,
	}
	if ip := net.ParseIP(host); ip != nil {
		spec.IPs = append([]net.IP{ip}, ips...)
	} else {
		spec.DNSNames = append([]string{host}, names...)
	}
	if pair, err = ca.Sign(spec, now); err != nil {
		return "", "", err
	}
	pair.Chain = []*x509.Certificate{ca.Cert}
	if err = pair.WriteFiles(certFile, keyFile); err != nil {
		return "", "", fmt.Errorf("keeping the self-signed serving certificate: %w", err)
	}
	return certFile, keyFile, nil
}
