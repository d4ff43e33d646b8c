package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

const kubeletPort = 10250

// kubelets carries requests to the kubelets of nodes.
type kubelets struct {
	verified   http.RoundTripper
	unverified http.RoundTripper // for logs whose reader wants to see them whoever serves them
	proxied    http.RoundTripper // for proxies, which lead to fewer addresses
}

func newKubelets(cfg Config, g *guard) (kubelets, error) {
	verified := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.CAFile == ""}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return kubelets{}, fmt.Errorf("reading who signs the kubelets' certificates (--kubelet-certificate-authority): %w", err)
		}
		verified.RootCAs = x509.NewCertPool()
		if !verified.RootCAs.AppendCertsFromPEM(pem) {
			return kubelets{}, fmt.Errorf("%s (--kubelet-certificate-authority) holds no PEM certificate", cfg.CAFile)
		}
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			// Read for each connection, so that a renewed certificate is used without a restart.
			c, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("reading the client certificate for kubelets (--kubelet-client-certificate, --kubelet-client-key): %w", err)
			}
			return &c, nil
		}
		if _, err := load(nil); err != nil {
			return kubelets{}, err
		}
		verified.GetClientCertificate = load
	}
	unverified := verified.Clone()
	unverified.InsecureSkipVerify = true
	dial := g.dialer.DialContext
	return kubelets{verified: transport(dial, verified), unverified: transport(dial, unverified), proxied: transport(g.dial, verified)}, nil
}

// node reads a node.
func (s *Streams) node(ctx context.Context, name string) (*corev1.Node, error) {
	obj, err := s.cfg.Access.Get(ctx, nodes, "", name)
	if err != nil {
		return nil, err
	}
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, fmt.Errorf("node %s is stored as %T", name, obj)
	}
	return node, nil
}

// kubeletOf is where a node's kubelet answers.
func (s *Streams) kubeletOf(ctx context.Context, name string) (host, port string, err error) {
	node, err := s.node(ctx, name)
	if err != nil {
		return "", "", err
	}
	if host, err = preferred(node, s.cfg.AddressTypes); err != nil {
		return "", "", err
	}
	number := kubeletPort
	if p := node.Status.DaemonEndpoints.KubeletEndpoint.Port; p > 0 {
		number = int(p)
	}
	return host, strconv.Itoa(number), nil
}

// preferred is the address by which a node is reached.
func preferred(node *corev1.Node, types []string) (string, error) {
	for _, t := range types {
		for _, a := range node.Status.Addresses {
			if string(a.Type) == t && a.Address != "" {
				return a.Address, nil
			}
		}
		if t == string(corev1.NodeHostName) && node.Labels[corev1.LabelHostname] != "" {
			return node.Labels[corev1.LabelHostname], nil
		}
	}
	return "", fmt.Errorf("no preferred addresses found; known addresses: %v", node.Status.Addresses)
}
