package authn

import (
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/pki"
)

// recheck is how long a bundle is trusted without looking at its file again.
const recheck = time.Second

// authorities are one reading of a bundle.
type authorities struct {
	pool  *x509.CertPool
	certs []*x509.Certificate
}

// bundle is a file of certificate authorities that may be replaced while the server runs. It is looked at
// when it is needed, at most once in `recheck`. A new file that cannot be read is logged, and the old
// authorities stay.
type bundle struct {
	file string
	now  func() time.Time
	log  logr.Logger

	mu      sync.Mutex
	checked time.Time
	stat    os.FileInfo
	read    *authorities
}

func newBundle(file string, now func() time.Time, log logr.Logger) (*bundle, error) {
	b := &bundle{file: file, now: now, log: log}
	st, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading certificate authorities: %w", err)
	}
	if b.read, err = readAuthorities(file); err != nil {
		return nil, err
	}
	b.stat, b.checked = st, now()
	return b, nil
}

func readAuthorities(file string) (*authorities, error) {
	certs, err := pki.LoadCertificates(file)
	if err != nil {
		return nil, err
	}
	a := &authorities{pool: x509.NewCertPool(), certs: certs}
	for _, c := range certs {
		a.pool.AddCert(c)
	}
	return a, nil
}

// current answers the same value as long as the file stays the same.
func (b *bundle) current() *authorities {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if now.Sub(b.checked) < recheck {
		return b.read
	}
	b.checked = now
	st, err := os.Stat(b.file)
	if err != nil {
		b.log.Error(err, "keeping the certificate authorities that were read before", "file", b.file)
		return b.read
	}
	if os.SameFile(st, b.stat) && st.ModTime().Equal(b.stat.ModTime()) && st.Size() == b.stat.Size() {
		return b.read
	}
	a, err := readAuthorities(b.file)
	if err != nil {
		b.log.Error(err, "keeping the certificate authorities that were read before", "file", b.file)
		return b.read
	}
	b.read, b.stat = a, st
	b.log.Info("read changed certificate authorities", "file", b.file, "count", len(a.certs))
	return a
}
