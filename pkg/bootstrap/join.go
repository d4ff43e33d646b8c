package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/api/kubeadm"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubeconfig"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/preflight"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/bootstrap/token"
)

// Join is what ctl join does.
type Join struct {
	*machine
	cluster *api.Cluster
}

// NewJoin makes a join of complete settings.
func NewJoin(s *settings.Settings, c clock.WithTicker) *Join {
	s.DataDir = "" // a node keeps no data of the cluster, and its reset must not take it for its own
	return &Join{machine: newMachine(s, c)}
}

// Phases are join's, in order.
func (j *Join) Phases() []phase.Phase {
	return []phase.Phase{
		{Name: "preflight", Short: "Look for what is missing on this machine", Run: j.preflight},
		{Name: "discovery", Short: "Find the cluster and make sure that it is the right one", Run: j.changes(j.discover)},
		{Name: "containerd", Short: "Prepare and start the container runtime", Run: j.changes(j.runtime)},
		{Name: "images", Short: "Import the images of the add-ons", Run: j.changes(j.images)},
		{Name: "kubelet-start", Short: "Configure and start the kubelet", Run: j.changes(j.startKubelet)},
		{Name: "kubelet-wait-bootstrap", Short: "Wait for the cluster to take this machine in", Run: j.waitBootstrap},
	}
}

func (j *Join) preflight(ctx context.Context, say phase.Say) error {
	if j.joined() {
		say("this machine is part of a cluster already; what is missing is done again")
	}
	return j.check(ctx, preflight.Wants{Images: []string{"pause", "proxy"}}, say)
}

// joined tells whether the kubelet has got a certificate before.
func (j *Join) joined() bool {
	_, err := os.Stat(j.On(layout.KubeletConf))
	return err == nil
}

// discoverWithin is how long a token may take to be known in the whole cluster.
const discoverWithin = 30 * time.Second

// find finds the cluster, once.
func (j *Join) find(ctx context.Context) (*api.Cluster, error) {
	if j.cluster != nil {
		return j.cluster, nil
	}
	if j.DiscoveryFile != "" {
		cluster, own, err := token.FromFile(j.DiscoveryFile)
		if err != nil {
			return nil, err
		}
		j.TLSToken = cmp.Or(j.TLSToken, own)
		j.cluster = cluster
		return cluster, nil
	}
	ctx, cancel := context.WithTimeout(ctx, discoverWithin)
	defer cancel()
	cluster, err := token.Discover(ctx, j.clock, j.Server, j.DiscoveryToken, j.CAHashes, j.SkipCACheck)
	j.cluster = cluster
	return cluster, err
}

// discover finds the cluster and keeps its authority and how the kubelet asks for its first certificate.
func (j *Join) discover(ctx context.Context, say phase.Say) error {
	cluster, err := j.find(ctx)
	if err != nil {
		return err
	}
	say("the cluster at %s is the one that was meant", cluster.Server)
	if err := j.write(filepath.Join(layout.PKIDir, "ca.crt"), cluster.CertificateAuthorityData, 0o644); err != nil {
		return err
	}
	if j.joined() {
		return nil
	}
	config := kubeconfig.Config("kubernetes", cluster.Server, cluster.CertificateAuthorityData, "tls-bootstrap-token-user", &api.AuthInfo{Token: j.TLSToken})
	return kubeconfig.Write(j.On(layout.BootstrapConf), config)
}

// client reads the cluster's configuration with the token, or as the node that this is already.
func (j *Join) client() (kubernetes.Interface, error) {
	file := j.On(layout.BootstrapConf)
	if j.joined() {
		file = j.On(layout.KubeletConf)
	}
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("run the phase discovery first: %w", err)
	}
	return kubeconfig.Client(file)
}

func (j *Join) startKubelet(ctx context.Context, say phase.Say) error {
	client, err := j.client()
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps("kube-system")
	cluster, err := maps.Get(ctx, "kubeadm-config", metav1.GetOptions{})
	if err != nil {
		return readError("kubeadm-config", err)
	}
	file, err := kubeadm.Decode([]byte(cluster.Data["ClusterConfiguration"]))
	if err != nil {
		return fmt.Errorf("the ConfigMap kubeadm-config: %w", err)
	}
	if file.Cluster != nil {
		j.record.PodCIDR = file.Cluster.Networking.PodSubnet
		j.record.CNIFiles = []string{flannelFile}
		if err := j.record.Write(); err != nil {
			return err
		}
	}
	config, err := maps.Get(ctx, "kubelet-config", metav1.GetOptions{})
	if err != nil {
		return readError("kubelet-config", err)
	}
	if err := j.configureKubelet(config.Data["kubelet"], false); err != nil {
		return err
	}
	return j.services().kubelet(ctx, j.machine, say)
}

func readError(name string, err error) error {
	if apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
		return fmt.Errorf("the cluster does not let this machine read %s: the token has run out, or may not authenticate; make another with: ctl token create --print-join-command (%w)", name, err)
	}
	return fmt.Errorf("reading %s from the cluster: %w", name, err)
}

// waitBootstrap returns once the kubelet has a certificate of its own and has registered the node, and
// removes the token from the machine.
func (j *Join) waitBootstrap(ctx context.Context, say phase.Say) error {
	ctx, cancel := context.WithTimeout(ctx, nodeWithin)
	defer cancel()
	err := j.await(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		if _, err := clientcmd.LoadFromFile(j.On(layout.KubeletConf)); err != nil {
			return fmt.Errorf("the kubelet has got no certificate from the cluster yet (its log says why: %s/kubelet.log or journalctl -u kubelet): %w", layout.LogDir, err)
		}
		client, err := kubeconfig.Client(j.On(layout.KubeletConf))
		if err != nil {
			return err
		}
		if _, err := client.CoreV1().Nodes().Get(ctx, j.NodeName, metav1.GetOptions{}); err != nil {
			return fmt.Errorf("the kubelet has not registered this machine as %s: %w", j.NodeName, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	say("node %s is part of the cluster", j.NodeName)
	if err := os.Remove(j.On(layout.BootstrapConf)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the token from this machine: %w", err)
	}
	return nil
}
