package daemon

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/pki"
)

func TestAuthoritiesFollowTheirFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if _, err := NewAuthorities(file); err == nil {
		t.Error("a file that does not exist was taken")
	}
	write := func(data []byte, hours int) {
		t.Helper()
		err := errors.Join(os.WriteFile(file, data, 0o600), os.Chtimes(file, time.Time{}, time.Now().Add(time.Duration(hours)*time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
	}
	authority := func() *pki.Pair {
		ca, err := pki.NewCA(pki.CertSpec{CommonName: "ca"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	pool := func(ca *pki.Pair) *x509.CertPool {
		p := x509.NewCertPool()
		p.AddCert(ca.Cert)
		return p
	}
	one, two := authority(), authority()
	write(one.CertificatePEM(), 1)
	a, err := NewAuthorities(file)
	if err != nil || !a.Pool().Equal(pool(one)) {
		t.Fatalf("got %v, %v", a, err)
	}
	write(two.CertificatePEM(), 2)
	if !a.Pool().Equal(pool(two)) {
		t.Error("the changed file is not read")
	}
	write([]byte("broken"), 3)
	if !a.Pool().Equal(pool(two)) {
		t.Error("a broken file took the authorities away")
	}
}
