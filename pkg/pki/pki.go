// Package pki makes and reads the certificates and keys of a cluster. It knows X.509, PEM and files, and
// nothing of who needs which certificate.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"time"
)

// Algorithm names a kind of key, in kubeadm's words.
type Algorithm string

// The kinds of keys. RSA2048 is what stands where none is named.
const (
	RSA2048   Algorithm = "RSA-2048"
	RSA3072   Algorithm = "RSA-3072"
	RSA4096   Algorithm = "RSA-4096"
	ECDSAP256 Algorithm = "ECDSA-P256"
	ECDSAP384 Algorithm = "ECDSA-P384"
)

// How long certificates are valid where a CertSpec does not say, and how far before the time of signing
// their validity starts, because clocks of hosts differ.
const (
	CAValidity   = 10 * 365 * 24 * time.Hour
	LeafValidity = 365 * 24 * time.Hour
	backdate     = 5 * time.Minute
)

// Pair is a certificate with its private key. Chain are the certificates between Cert and the root, in
// that order; they are written behind Cert.
type Pair struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Chain []*x509.Certificate
}

// CertSpec says what a certificate is for.
type CertSpec struct {
	CommonName    string
	Organizations []string
	DNSNames      []string
	IPs           []net.IP
	Usages        []x509.ExtKeyUsage // none: no extended usage
	Validity      time.Duration      // zero: CAValidity or LeafValidity; never beyond the CA's own end
	Algorithm     Algorithm          // empty: RSA2048
}

// NewKey makes a private key.
func NewKey(a Algorithm) (crypto.Signer, error) {
	switch a {
	case "", RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	}
	return nil, fmt.Errorf("unknown key algorithm %q: use %s, %s, %s, %s or %s", a, RSA2048, RSA3072, RSA4096, ECDSAP256, ECDSAP384)
}

// NewCA makes a self-signed certificate authority. Of spec its name, DNS names, validity and algorithm are
// used; a CA without DNS names gets its common name as one, as kubeadm does.
func NewCA(spec CertSpec, now time.Time) (*Pair, error) {
	key, err := NewKey(spec.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("making the key of the CA %s: %w", spec.CommonName, err)
	}
	t, err := template(spec, now, CAValidity)
	if err != nil {
		return nil, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign
	t.ExtKeyUsage = nil
	if len(t.DNSNames) == 0 && spec.CommonName != "" {
		t.DNSNames = []string{spec.CommonName}
	}
	cert, err := create(t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the CA %s: %w", spec.CommonName, err)
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// Sign makes a key and a certificate for it, signed by p, which must be a certificate authority.
func (p *Pair) Sign(spec CertSpec, now time.Time) (*Pair, error) {
	key, err := NewKey(spec.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", spec.CommonName, err)
	}
	cert, err := p.SignPublic(spec, key.Public(), now)
	if err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// SignPublic makes a certificate for a key that its owner keeps.
func (p *Pair) SignPublic(spec CertSpec, public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if !p.Cert.IsCA {
		return nil, fmt.Errorf("signing a certificate for %s: %s is not a certificate authority", spec.CommonName, p.Cert.Subject.CommonName)
	}
	if spec.CommonName == "" {
		return nil, errors.New("signing a certificate: it needs a common name")
	}
	t, err := template(spec, now, LeafValidity)
	if err != nil {
		return nil, err
	}
	if t.NotAfter.After(p.Cert.NotAfter) {
		t.NotAfter = p.Cert.NotAfter
	}
	if t.NotBefore.Before(p.Cert.NotBefore) {
		t.NotBefore = p.Cert.NotBefore
	}
	t.BasicConstraintsValid = true
	t.KeyUsage = x509.KeyUsageDigitalSignature
	if _, ok := public.(*rsa.PublicKey); ok {
		t.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	cert, err := create(t, p.Cert, public, p.Key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", spec.CommonName, err)
	}
	return cert, nil
}

func template(spec CertSpec, now time.Time, validity time.Duration) (*x509.Certificate, error) {
	if spec.Validity > 0 {
		validity = spec.Validity
	}
	// A serial number is positive; 63 random bits make a collision under one CA unlikely enough.
	n, err := rand.Int(rand.Reader, big.NewInt(math.MaxInt64-1))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: n.Add(n, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: spec.CommonName, Organization: spec.Organizations},
		DNSNames:     spec.DNSNames,
		IPAddresses:  spec.IPs,
		NotBefore:    now.Add(-backdate).UTC(),
		NotAfter:     now.Add(validity).UTC(),
		ExtKeyUsage:  spec.Usages,
	}, nil
}

func create(t, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
