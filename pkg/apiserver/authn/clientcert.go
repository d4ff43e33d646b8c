package authn

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// uidOID marks the attribute of a certificate's subject that holds the user's uid.
var uidOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}

// maxVerified bounds what a verifier remembers.
const maxVerified = 4096

// verifier checks client certificates against a bundle. Verifying a chain costs a signature check per
// certificate, so what was once found good is remembered by the hash of what the client sent, as long as
// the authorities stay the same and the certificate has not run out.
type verifier struct {
	bundle *bundle
	now    func() time.Time

	mu   sync.Mutex
	by   *authorities
	good map[[sha256.Size]byte]span
}

// span is the time in which all certificates of a chain are valid, its ends included. A clock may be put back, too.
type span struct{ from, until time.Time }

func (s span) holds(now time.Time) bool { return !now.Before(s.from) && !now.After(s.until) }

func newVerifier(b *bundle, now func() time.Time) *verifier {
	return &verifier{bundle: b, now: now, good: map[[sha256.Size]byte]span{}}
}

func (v *verifier) verify(chain []*x509.Certificate) error {
	by, now := v.bundle.current(), v.now()
	h := sha256.New()
	for _, c := range chain {
		h.Write(c.Raw)
	}
	var key [sha256.Size]byte
	h.Sum(key[:0])

	v.mu.Lock()
	if v.by != by {
		v.by = by
		clear(v.good)
	}
	valid, known := v.good[key]
	v.mu.Unlock()
	if known && valid.holds(now) {
		return nil
	}

	opts := x509.VerifyOptions{Roots: by.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if len(chain) > 1 {
		opts.Intermediates = x509.NewCertPool()
		for _, c := range chain[1:] {
			opts.Intermediates.AddCert(c)
		}
	}
	found, err := chain[0].Verify(opts)
	if err != nil {
		return fmt.Errorf("verifying certificate %s failed: %w", describe(chain[0]), err)
	}
	valid = span{chain[0].NotBefore, chain[0].NotAfter}
	for _, c := range found[0] {
		if c.NotBefore.After(valid.from) {
			valid.from = c.NotBefore
		}
		if c.NotAfter.Before(valid.until) {
			valid.until = c.NotAfter
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == by {
		if len(v.good) >= maxVerified {
			clear(v.good)
		}
		v.good[key] = valid
	}
	return nil
}

func describe(c *x509.Certificate) string {
	return fmt.Sprintf("SN=%s, SKID=%s, AKID=%s", c.SerialNumber, hex.EncodeToString(c.SubjectKeyId), hex.EncodeToString(c.AuthorityKeyId))
}

// clientCertificates takes the common name as the user and the organizations as the groups.
type clientCertificates struct{ certs *verifier }

func (c *clientCertificates) Authenticate(r *http.Request) (*request.User, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	if err := c.certs.verify(r.TLS.PeerCertificates); err != nil {
		return nil, err
	}
	cert := r.TLS.PeerCertificates[0]
	if cert.Subject.CommonName == "" {
		return nil, nil
	}
	uid, err := certificateUID(cert)
	if err != nil {
		return nil, err
	}
	fingerprint := sha256.Sum256(cert.Raw)
	return &request.User{
		Name:   cert.Subject.CommonName,
		UID:    uid,
		Groups: slices.Clone(cert.Subject.Organization),
		Extra:  map[string][]string{CredentialID: {"X509SHA256=" + hex.EncodeToString(fingerprint[:])}},
	}, nil
}

func certificateUID(cert *x509.Certificate) (string, error) {
	uid := ""
	for _, n := range cert.Subject.Names {
		if !n.Type.Equal(uidOID) {
			continue
		}
		s, ok := n.Value.(string)
		switch {
		case !ok || s == "":
			return "", errors.New("unable to parse the uid of a certificate's subject")
		case uid != "":
			return "", errors.New("expected 1 uid in a certificate's subject, found several")
		}
		uid = s
	}
	return uid, nil
}
