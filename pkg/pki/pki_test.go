package pki

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func authority(t *testing.T, now time.Time) *Pair {
	t.Helper()
	ca, err := NewCA(CertSpec{CommonName: "kubernetes", Algorithm: ECDSAP256}, now)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestSignedCertificateVerifiesAgainstItsAuthorityOnly(t *testing.T) {
	now := time.Now()
	ca, other := authority(t, now), authority(t, now)
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		leaf, err := ca.Sign(CertSpec{CommonName: "kube-apiserver", DNSNames: []string{"kubernetes"}, IPs: []net.IP{net.IPv4(10, 96, 0, 1)},
			Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, Algorithm: a}, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{"kubernetes", "10.96.0.1"} {
			roots := x509.NewCertPool()
			roots.AddCert(ca.Cert)
			if _, err := leaf.Cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now}); err != nil {
				t.Errorf("%s as %s: %v", a, host, err)
			}
			roots = x509.NewCertPool()
			roots.AddCert(other.Cert)
			if _, err := leaf.Cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: now}); err == nil {
				t.Errorf("%s as %s verifies against a foreign authority", a, host)
			}
		}
	}
}

func TestCertificateNeverOutlivesItsAuthority(t *testing.T) {
	now := time.Now()
	ca, err := NewCA(CertSpec{CommonName: "short", Validity: time.Hour, Algorithm: ECDSAP256}, now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Sign(CertSpec{CommonName: "x", Algorithm: ECDSAP256}, now)
	if err != nil {
		t.Fatal(err)
	}
	if leaf.Cert.NotAfter.After(ca.Cert.NotAfter) {
		t.Errorf("ends %v, its CA %v", leaf.Cert.NotAfter, ca.Cert.NotAfter)
	}
	if _, err := leaf.Sign(CertSpec{CommonName: "y"}, now); err == nil {
		t.Error("a leaf signed a certificate")
	}
}

func TestFilesComeBackAsWrittenAndKeysAreSecret(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		ca, err := NewCA(CertSpec{CommonName: "ca", Algorithm: a}, now)
		if err != nil {
			t.Fatal(err)
		}
		crt, key := filepath.Join(dir, "pki", string(a)+".crt"), filepath.Join(dir, "pki", string(a)+".key")
		if err := ca.WriteFiles(crt, key); err != nil {
			t.Fatal(err)
		}
		back, err := Load(crt, key)
		if err != nil {
			t.Fatal(err)
		}
		if !back.Cert.Equal(ca.Cert) {
			t.Errorf("%s: another certificate came back", a)
		}
		st, err := os.Stat(key)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s: key has mode %v", a, st.Mode().Perm())
		}
		public, err := LoadPublicKeys(key)
		if err != nil || len(public) != 1 {
			t.Errorf("%s: public keys of the private key: %v, %v", a, public, err)
		}
	}
	_, err := Load(filepath.Join(dir, "pki", "RSA-2048.crt"), filepath.Join(dir, "pki", "ECDSA-P256.key"))
	if err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a foreign key was taken: %v", err)
	}
}

func TestSelfSignedServingIsMadeOnceAndRenewedWhenRunOut(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	serve := func(at time.Time) string {
		crt, key, err := SelfSignedServing(dir, "apiserver", "10.0.0.7", nil, []string{"kubernetes.default.svc"}, at)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Load(crt, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Cert.VerifyHostname("10.0.0.7"); err != nil {
			t.Error(err)
		}
		if err := p.Cert.VerifyHostname("kubernetes.default.svc"); err != nil {
			t.Error(err)
		}
		return p.Cert.SerialNumber.String()
	}
	first := serve(now)
	if again := serve(now); again != first {
		t.Error("made anew although it stood")
	}
	if later := serve(now.Add(2 * LeafValidity)); later == first {
		t.Error("a certificate that has run out was kept")
	}
	if err := os.WriteFile(filepath.Join(dir, "apiserver.key"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := SelfSignedServing(dir, "apiserver", "h", nil, nil, now); err == nil || !strings.Contains(err.Error(), "repair or remove") {
		t.Errorf("a broken pair: %v", err)
	}
}
