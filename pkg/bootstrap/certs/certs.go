// Package certs makes the certificates and keys of a control plane, in kubeadm's files. What exists and is
// still good is kept: running it again changes nothing.
package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Cert is one certificate of a control plane. Its files are NAME.crt and NAME.key in the directory.
type Cert struct {
	Name  string // also the phase's, with / in place of -
	File  string // below the directory, without ending
	CA    string // File of who signs it; empty for an authority
	Short string
	Etcd  bool // not for an etcd elsewhere
	spec  func(s *settings.Settings) pki.CertSpec
}

var (
	client = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	server = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	both   = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
)

// All lists the certificates in the order in which they can be made.
func All() []Cert {
	return []Cert{
		{Name: "ca", File: "ca", Short: "The authority that vouches for every member", spec: authority("kubernetes")},
		{Name: "apiserver", File: "apiserver", CA: "ca", Short: "The apiserver's serving certificate", spec: apiserver},
		{Name: "apiserver-kubelet-client", File: "apiserver-kubelet-client", CA: "ca", Short: "The apiserver's certificate towards kubelets", spec: leaf("kube-apiserver-kubelet-client", client, "kubeadm:cluster-admins")},
		{Name: "front-proxy-ca", File: "front-proxy-ca", Short: "The authority of proxies in front of the apiserver", spec: authority("front-proxy-ca")},
		{Name: "front-proxy-client", File: "front-proxy-client", CA: "front-proxy-ca", Short: "The apiserver's certificate towards extension servers", spec: leaf("front-proxy-client", client)},
		{Name: "etcd-ca", File: "etcd/ca", Etcd: true, Short: "The authority of etcd's members and clients", spec: authority("etcd-ca")},
		{Name: "etcd-server", File: "etcd/server", CA: "etcd/ca", Etcd: true, Short: "etcd's serving certificate", spec: etcd},
		{Name: "etcd-peer", File: "etcd/peer", CA: "etcd/ca", Etcd: true, Short: "etcd's certificate towards other members", spec: etcd},
		{Name: "etcd-healthcheck-client", File: "etcd/healthcheck-client", CA: "etcd/ca", Etcd: true, Short: "The certificate of etcd's health checks", spec: leaf("kube-etcd-healthcheck-client", client)},
		{Name: "apiserver-etcd-client", File: "apiserver-etcd-client", CA: "etcd/ca", Etcd: true, Short: "The apiserver's certificate towards etcd", spec: leaf("kube-apiserver-etcd-client", client)},
	}
}

func authority(name string) func(*settings.Settings) pki.CertSpec {
	return func(s *settings.Settings) pki.CertSpec { return pki.CertSpec{CommonName: name, Validity: s.CAValidity} }
}

func leaf(name string, usages []x509.ExtKeyUsage, groups ...string) func(*settings.Settings) pki.CertSpec {
	return func(s *settings.Settings) pki.CertSpec {
		return pki.CertSpec{CommonName: name, Organizations: groups, Usages: usages, Validity: s.CertValidity}
	}
}

func apiserver(s *settings.Settings) pki.CertSpec {
	spec := pki.CertSpec{CommonName: "kube-apiserver", Usages: server, Validity: s.CertValidity}
	host, _, _ := net.SplitHostPort(s.Endpoint)
	names := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.DNSDomain, s.NodeName,
		s.APIAddress(), s.Advertise, "127.0.0.1", host,
	}
	addNames(&spec, append(names, s.ExtraSANs...))
	return spec
}

func etcd(s *settings.Settings) pki.CertSpec {
	spec := pki.CertSpec{CommonName: s.NodeName, Usages: both, Validity: s.CertValidity}
	addNames(&spec, []string{"localhost", s.NodeName, s.Advertise, "127.0.0.1", "::1"})
	return spec
}

func addNames(spec *pki.CertSpec, names []string) {
	seen := map[string]bool{"": true}
	for _, n := range names {
		if seen[n] {
			continue
		}
		seen[n] = true
		if ip := net.ParseIP(n); ip != nil {
			spec.IPs = append(spec.IPs, ip)
		} else {
			spec.DNSNames = append(spec.DNSNames, n)
		}
	}
}

func paths(s *settings.Settings, file string) (cert, key string) {
	base := filepath.Join(s.On(s.CertDir), file)
	return base + ".crt", base + ".key"
}

// Ensure makes the certificate, or answers that an existing one is kept. An existing one that does not
// fit (another authority, names that are missing, run out) is an error: nothing of the user's is replaced.
func Ensure(s *settings.Settings, c Cert, now time.Time) (kept bool, err error) {
	cert, key := paths(s, c.File)
	spec := c.spec(s)
	spec.Algorithm = pki.Algorithm(s.KeyAlgorithm)
	var ca *pki.Pair
	if c.CA != "" {
		if ca, err = LoadCA(s, c.CA); err != nil {
			return false, err
		}
	}
	have, err := pki.Load(cert, key)
	if err == nil {
		return true, check(have.Cert, ca, spec, cert, now)
	}
	if exists(cert) || !errors.Is(err, fs.ErrNotExist) {
		return keepAuthority(c, cert, err)
	}
	var pair *pki.Pair
	if ca == nil {
		pair, err = pki.NewCA(spec, now)
	} else {
		pair, err = ca.Sign(spec, now)
	}
	if err != nil {
		return false, err
	}
	return false, pair.WriteFiles(cert, key)
}

// keepAuthority accepts an authority without a key: its leaves were brought by the user too.
func keepAuthority(c Cert, cert string, err error) (bool, error) {
	if _, readable := pki.LoadCertificates(cert); c.CA == "" && readable == nil && errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, fmt.Errorf("%s cannot be used; repair it, or remove it and its key: %w", cert, err)
}

func check(have *x509.Certificate, ca *pki.Pair, spec pki.CertSpec, file string, now time.Time) error {
	again := fmt.Sprintf("remove %s and its key to have it made again", file)
	if now.After(have.NotAfter) {
		return fmt.Errorf("%s ran out on %s: %s", file, have.NotAfter.Format(time.DateOnly), again)
	}
	if ca == nil {
		if !have.IsCA {
			return fmt.Errorf("%s is not a certificate authority: %s", file, again)
		}
		return nil
	}
	if err := have.CheckSignatureFrom(ca.Cert); err != nil {
		return fmt.Errorf("%s was not signed by %s: %s", file, ca.Cert.Subject.CommonName, again)
	}
	for _, n := range spec.DNSNames {
		if have.VerifyHostname(n) != nil {
			return fmt.Errorf("%s does not name %s: %s", file, n, again)
		}
	}
	for _, ip := range spec.IPs {
		if have.VerifyHostname(ip.String()) != nil {
			return fmt.Errorf("%s does not name %s: %s", file, ip, again)
		}
	}
	return nil
}

// LoadCA reads an authority that signs.
func LoadCA(s *settings.Settings, file string) (*pki.Pair, error) {
	cert, key := paths(s, file)
	ca, err := pki.Load(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority is needed to sign (run the phase certs/%s first): %w", file, err)
	}
	return ca, nil
}

// EnsureAccountKeys makes the key that signs service account tokens, and its public half.
func EnsureAccountKeys(s *settings.Settings) (kept bool, err error) {
	key, public := filepath.Join(s.On(s.CertDir), "sa.key"), filepath.Join(s.On(s.CertDir), "sa.pub")
	if _, err := pki.LoadKey(key); err == nil && exists(public) {
		return true, nil
	} else if exists(key) && err != nil {
		return false, fmt.Errorf("%s cannot be used; repair or remove it: %w", key, err)
	}
	signer, err := pki.LoadKey(key)
	if err != nil {
		if signer, err = pki.NewKey(pki.Algorithm(s.KeyAlgorithm)); err != nil {
			return false, err
		}
	}
	return false, pki.WriteKeyPair(key, public, signer)
}

// Hash is how a joining machine knows an authority: SHA-256 of its public key.
func Hash(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
