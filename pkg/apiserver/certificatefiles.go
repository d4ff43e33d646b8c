package apiserver

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificateFiles is a serving certificate that may be replaced on disk while the server runs.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	read    *tls.Certificate
	changed time.Time // of the certificate's file, when it was read
}

// get reads the files anew when they have changed; where that fails, the old certificate goes on.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.cert)
	if err == nil && f.read != nil && info.ModTime().Equal(f.changed) {
		return f.read, nil
	}
	if err == nil {
		var c tls.Certificate
		if c, err = tls.LoadX509KeyPair(f.cert, f.key); err == nil {
			f.read, f.changed = &c, info.ModTime()
		}
	}
	if f.read == nil {
		return nil, fmt.Errorf("reading the serving certificate (--tls-cert-file and --tls-private-key-file): %w", err)
	}
	return f.read, nil
}
