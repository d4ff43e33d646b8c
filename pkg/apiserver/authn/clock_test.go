package authn

import (
	"crypto/x509"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/pki"
)

// TestCertificatesHoldByTheClockOfTheMoment puts the clock forward and back: what was good before may not be now.
func TestCertificatesHoldByTheClockOfTheMoment(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := made
	clock := func() time.Time { return now }
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "ca", Algorithm: pki.ECDSAP256}, made.AddDate(0, 0, -1))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := ca.WriteFiles(file, file+".key"); err != nil {
		t.Fatal(err)
	}
	jane, err := ca.Sign(pki.CertSpec{CommonName: "jane", Validity: 30 * time.Minute, Algorithm: pki.ECDSAP256, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, made)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBundle(file, clock, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(b, clock)
	for _, c := range []struct {
		off  time.Duration
		good bool
	}{{0, true}, {time.Hour, false}, {0, true}, {-time.Hour, false}, {0, true}, {30 * time.Minute, true}, {30*time.Minute + time.Second, false}} {
		now = made.Add(c.off)
		if err := v.verify([]*x509.Certificate{jane.Cert}); (err == nil) != c.good {
			t.Errorf("a clock that is %v off: %v", c.off, err)
		}
	}
}

func TestBootstrapTokensEndByTheClock(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	secret := func(expiration string) *corev1.Secret {
		return &corev1.Secret{Type: bootstrapSecretType, Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"),
			"usage-bootstrap-authentication": []byte("true"), "expiration": []byte(expiration)}}
	}
	for _, c := range []struct {
		expiration string
		off        time.Duration
		good       bool
	}{
		{"", time.Hour, true}, {"2026-01-02T03:34:05Z", 0, true}, {"2026-01-02T03:34:05Z", -time.Hour, true}, {"2026-01-02T03:34:05Z", time.Hour, false},
		{"2026-01-02T03:34:05Z", 30 * time.Minute, false}, {"2026-01-02T05:34:05+02:00", 29 * time.Minute, true}, {"tomorrow", 0, false},
	} {
		b := &bootstrapTokens{now: func() time.Time { return made.Add(c.off) }}
		if got := b.valid(secret(c.expiration), "abcdef", "0123456789abcdef"); got != c.good {
			t.Errorf("one that ends at %q is good by a clock that is %v off: %t", c.expiration, c.off, got)
		}
	}
}
