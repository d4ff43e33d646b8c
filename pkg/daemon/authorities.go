package daemon

import (
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// Authorities are the certificates of a file, which is read again when it changes.
type Authorities struct {
	file string

	mu       sync.Mutex
	modified time.Time // of the file, when it was read
	size     int64
	pool     *x509.CertPool
}

// NewAuthorities reads the file, --client-ca-file for one.
func NewAuthorities(file string) (*Authorities, error) {
	a := &Authorities{file: file}
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates to trust: %w", err)
	}
	if a.pool, err = certPool(file); err != nil {
		return nil, err
	}
	a.modified, a.size = info.ModTime(), info.Size()
	return a, nil
}

// Pool is what the file holds now, or held when it last could be read.
func (a *Authorities) Pool() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(a.file)
	if err != nil || info.ModTime().Equal(a.modified) && info.Size() == a.size {
		return a.pool
	}
	if pool, err := certPool(a.file); err == nil {
		a.pool, a.modified, a.size = pool, info.ModTime(), info.Size()
	}
	return a.pool
}

func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates to trust: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}
