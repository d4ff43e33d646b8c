package daemon

import (
	"fmt"
	"os"

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
