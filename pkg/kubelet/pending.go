package kubelet

import (
	"context"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/config"
)

func (k *kubelet) node() *corev1.Node               { return nil }
func (k *kubelet) allocatable() corev1.ResourceList { return nil }

func connect(ctx context.Context, cfg *config.Config, name string, log logr.Logger) (kubernetes.Interface, error) {
	if cfg.Kubeconfig == "" {
		return nil, nil
	}
	rest, err := daemon.ClientConfig(cfg.Kubeconfig, "kubelet/sampan")
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(rest)
}

func (k *kubelet) memory() int64 { return 8 << 30 }
