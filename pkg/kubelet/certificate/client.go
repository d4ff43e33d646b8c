// Package certificate gives the kubelet its identities: the client certificate by which the apiserver
// knows the node, asked for with a bootstrap token and renewed in time, and the serving certificate.
package certificate

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	certificatesv1 "k8s.io/api/certificates/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// ClientConfig says where the kubelet's identity is, or comes from.
type ClientConfig struct {
	NodeName            string
	Kubeconfig          string // written where it does not exist and BootstrapKubeconfig is given
	BootstrapKubeconfig string
	CertDir             string
	Rotate              bool   // renew the certificate before it runs out
	UserAgent           string // empty: kubelet
	Clock               clock.Clock
	Log                 logr.Logger
	// NewClient makes a client; nil: kubernetes.NewForConfig. For tests.
	NewClient func(*rest.Config) (kubernetes.Interface, error)
}

// Client is the kubelet's identity towards the apiserver.
type Client struct {
	rest    *rest.Config
	manager certificate.Manager // nil: nothing is renewed
	dialer  *connrotation.Dialer
	clock   clock.Clock
}

// NewClient answers the kubelet's identity. Where there is none yet it asks the apiserver for one with the
// bootstrap kubeconfig, and waits until it is approved or ctx ends.
func NewClient(ctx context.Context, c ClientConfig) (*Client, error) {
	if c.NewClient == nil {
		c.NewClient = func(cfg *rest.Config) (kubernetes.Interface, error) { return kubernetes.NewForConfig(cfg) }
	}
	c.UserAgent = cmp.Or(c.UserAgent, "kubelet")
	if c.BootstrapKubeconfig != "" {
		if err := bootstrap(ctx, c); err != nil {
			return nil, err
		}
	}
	cfg, err := daemon.ClientConfig(c.Kubeconfig, c.UserAgent)
	if err != nil {
		return nil, err
	}
	client := &Client{rest: cfg, clock: c.Clock}
	if c.Rotate && hasCertificate(cfg) {
		if err := client.rotate(c); err != nil {
			return nil, err
		}
	}
	return client, nil
}

// REST is the configuration of clients; their connections always use the newest certificate.
func (c *Client) REST() *rest.Config { return rest.CopyConfig(c.rest) }

// Run renews the certificate in time, until ctx ends.
func (c *Client) Run(ctx context.Context) {
	if c.manager == nil {
		return
	}
	c.manager.Start()
	defer c.manager.Stop()
	// Connections carry the certificate that they were made with.
	last := c.manager.Current()
	ticker := time.NewTicker(rotationCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now := c.manager.Current(); now != nil && (last == nil || now.Leaf == nil || last.Leaf == nil || !now.Leaf.Equal(last.Leaf)) {
			last = now
			c.dialer.CloseAll()
		}
	}
}

// rotationCheck is how soon connections follow a new certificate; it lives for months.
const rotationCheck = 10 * time.Second

func hasCertificate(cfg *rest.Config) bool {
	return cfg.CertFile != "" || len(cfg.CertData) > 0
}

// rotate makes the manager, and connections that ask it for the certificate.
func (c *Client) rotate(config ClientConfig) error {
	store, err := clientStore(config.CertDir)
	if err != nil {
		return err
	}
	tlsConfig, err := rest.TLSConfigFor(c.rest)
	if err != nil {
		return fmt.Errorf("the kubeconfig %s is not usable: %w", config.Kubeconfig, err)
	}
	own := rest.CopyConfig(c.rest)
	if err := rest.LoadTLSFiles(own); err != nil {
		return fmt.Errorf("the kubeconfig %s is not usable: %w", config.Kubeconfig, err)
	}
	c.manager, err = certificate.NewManager(&certificate.Config{
		Name:        "kubelet-client",
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return config.NewClient(c.REST()) },
		GetTemplate: func() *x509.CertificateRequest { return &x509.CertificateRequest{Subject: subject(config.NodeName)} },
		SignerName:  certificatesv1.KubeAPIServerClientKubeletSignerName,
		GetUsages:   certificate.DefaultKubeletClientGetUsages,
		// The store may be empty: kubeadm embeds the first certificate in the kubeconfig.
		CertificateStore: store, BootstrapCertificatePEM: own.CertData, BootstrapKeyPEM: own.KeyData,
	})
	if err != nil {
		return fmt.Errorf("reading the client certificates of %s: %w", config.CertDir, err)
	}
	c.dialer = connrotation.NewDialer((&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext)
	tlsConfig.Certificates = nil
	tlsConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if current := c.manager.Current(); current != nil {
			return current, nil
		}
		return &tls.Certificate{}, nil
	}
	c.rest.Transport = utilnet.SetTransportDefaults(&http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig: tlsConfig, MaxIdleConnsPerHost: 25, DialContext: c.dialer.DialContext,
	})
	c.rest.TLSClientConfig = rest.TLSClientConfig{}
	return nil
}

func clientStore(dir string) (certificate.FileStore, error) {
	return fileStore("kubelet-client", dir, "", "")
}

func fileStore(name, dir, certFile, keyFile string) (certificate.FileStore, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of certificates (choose another with --cert-dir): %w", err)
	}
	store, err := certificate.NewFileStore(name, dir, dir, certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of %s: %w", dir, err)
	}
	return store, nil
}

// subject is how the Node authorizer knows a kubelet.
func subject(node string) pkix.Name {
	return pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}}
}

// stillValid says whether a kubeconfig exists whose credentials have not run out.
func stillValid(file string, now time.Time) (bool, error) {
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	cfg, err := daemon.ClientConfig(file, "kubelet")
	if err != nil {
		return false, err
	}
	if !hasCertificate(cfg) {
		return true, nil
	}
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return false, nil // the files are gone: ask again
	}
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	if err != nil {
		return false, nil
	}
	return now.Before(pair.Leaf.NotAfter), nil
}
