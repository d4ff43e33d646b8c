package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/certificate"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/pki"
)

// ServingConfig says where the serving certificate comes from.
type ServingConfig struct {
	NodeName string
	Hostname string
	IPs      []net.IP
	CertDir  string
	// CertFile and KeyFile are a given certificate; it is read again when it changes.
	CertFile, KeyFile string
	// Request asks the apiserver for a certificate and renews it; it must be approved by somebody.
	Request bool
	Client  kubernetes.Interface // for Request
	Clock   clock.PassiveClock
}

// Serving is the identity of the kubelet's own port.
type Serving struct {
	manager certificate.Manager // nil: files
	files   *pairFile
}

// NewServing takes the given certificate, or asks for one, or else makes a self-signed one that is kept in
// CertDir as kubelet.crt and kubelet.key.
func NewServing(c ServingConfig) (*Serving, error) {
	certFile, keyFile := c.CertFile, c.KeyFile
	switch {
	case c.CertFile != "":
	case c.Request && c.Client != nil:
		return requested(c)
	default:
		var err error
		names := []string{"localhost"}
		if c.Hostname != "" && c.Hostname != c.NodeName {
			names = append(names, c.Hostname)
		}
		ips := append(slices.Clone(c.IPs), net.IPv4(127, 0, 0, 1))
		if certFile, keyFile, err = pki.SelfSignedServing(c.CertDir, "kubelet", c.NodeName, ips, names, c.Clock.Now()); err != nil {
			return nil, err
		}
	}
	files := &pairFile{cert: certFile, key: keyFile}
	if _, err := files.get(); err != nil {
		return nil, err
	}
	return &Serving{files: files}, nil
}

func requested(c ServingConfig) (*Serving, error) {
	store, err := fileStore("kubelet-server", c.CertDir, "", "")
	if err != nil {
		return nil, err
	}
	m, err := certificate.NewManager(&certificate.Config{
		Name:        "kubelet-server",
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return c.Client, nil },
		GetTemplate: func() *x509.CertificateRequest {
			request := &x509.CertificateRequest{Subject: subject(c.NodeName), IPAddresses: c.IPs}
			if c.Hostname != "" {
				request.DNSNames = []string{c.Hostname}
			}
			return request
		},
		SignerName:       certificatesv1.KubeletServingSignerName,
		GetUsages:        certificate.DefaultKubeletServingGetUsages,
		CertificateStore: store,
	})
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificates of %s: %w", c.CertDir, err)
	}
	return &Serving{manager: m}, nil
}

// Run renews a requested certificate in time, until ctx ends.
func (s *Serving) Run(ctx context.Context) {
	if s.manager == nil {
		return
	}
	s.manager.Start()
	<-ctx.Done()
	s.manager.Stop()
}

// GetCertificate is for tls.Config.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.manager == nil {
		return s.files.get()
	}
	if c := s.manager.Current(); c != nil {
		return c, nil
	}
	return nil, errors.New("no serving certificate available for the kubelet: its certificate signing request is not approved yet")
}

// stamp tells whether a file is still the one that was read.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(file string) (stamp, error) {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// pairFile reads a certificate again when its file changed. While the new files do not fit together the
// last good ones serve.
type pairFile struct {
	cert, key string

	mu   sync.Mutex
	read stamp
	pair *tls.Certificate
}

func (f *pairFile) get() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := stampOf(f.cert)
	if err == nil && f.pair != nil && now == f.read {
		return f.pair, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(f.cert, f.key)
	}
	switch {
	case err == nil:
		f.pair, f.read = &pair, now
	case f.pair == nil:
		return nil, fmt.Errorf("reading the serving certificate (--tls-cert-file, --tls-private-key-file): %w", err)
	}
	return f.pair, nil
}
