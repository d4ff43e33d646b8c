package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ClientConfig reads a kubeconfig for a daemon: protobuf on the wire, no client-side rate limit (the
// apiserver has its own), and userAgent as the name that the server sees. An empty path takes the
// service account of the pod that the process runs in.
func ClientConfig(path, userAgent string) (*rest.Config, error) {
	var cfg *rest.Config
	var err error
	if path == "" {
		if cfg, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("no --kubeconfig is given and this is not a pod with a service account: %w", err)
		}
	} else {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("the kubeconfig cannot be read (name another with --kubeconfig): %w", err)
		}
		if cfg, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
			return nil, fmt.Errorf("the kubeconfig %s is not usable: %w", path, err)
		}
	}
	cfg.UserAgent = userAgent
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	cfg.QPS = -1
	return cfg, nil
}

// Connect makes a daemon's client, unless the apiserver is one that cfg does not trust.
func Connect(ctx context.Context, cfg *rest.Config) (kubernetes.Interface, error) {
	if err := CheckServer(ctx, cfg); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making the client of the apiserver: %w", err)
	}
	return client, nil
}

// serverCheck is how long a server that does not answer is waited for before the daemon starts without a look at it.
const serverCheck = 5 * time.Second

// CheckServer fails where the apiserver's certificate is not one that cfg trusts: trying again would not mend
// that. A server that cannot be reached is no error, since it may only start later.
func CheckServer(ctx context.Context, cfg *rest.Config) error {
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return fmt.Errorf("making a client of the apiserver: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, serverCheck)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Host+"/livez", nil)
	if err != nil {
		return fmt.Errorf("the server of the kubeconfig is not usable: %w", err)
	}
	answer, err := client.Do(request)
	if err == nil {
		return answer.Body.Close()
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		return fmt.Errorf("the apiserver at %s is not the one that the kubeconfig trusts (put the cluster's own authority into its certificate-authority): %w", cfg.Host, untrusted)
	}
	return nil
}
