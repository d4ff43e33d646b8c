package bootstrap

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/api/kubeadm"
	"github.com/sampan-project/sampan/pkg/bootstrap/certs"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubeconfig"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/render"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Init is what ctl init does.
type Init struct {
	*machine
	token string // that nodes join with
}

// NewInit makes an init of complete settings.
func NewInit(s *settings.Settings, c clock.WithTicker) *Init { return &Init{machine: newMachine(s, c)} }

// Phases are init's, in order. Settings need to be complete only when one runs.
func (i *Init) Phases() []phase.Phase {
	return []phase.Phase{
		{Name: "preflight", Short: "Look for what is missing on this machine", Run: i.preflight},
		{Name: "certs", Short: "Make certificates and keys", Sub: i.certPhases()},
		{Name: "kubeconfig", Short: "Make kubeconfig files", Sub: i.kubeconfigPhases()},
		{Name: "containerd", Short: "Prepare and start the container runtime", Run: i.changes(i.runtime)},
		{Name: "images", Short: "Import the images of the control plane and the add-ons", Run: i.changes(i.images)},
		{Name: "control-plane", Short: "Write the manifests of the control plane's static pods", Sub: []phase.Phase{
			i.staticPod("apiserver", "kube-apiserver", func() []kubeadm.Arg { return i.APIServerArgs }),
			i.staticPod("controller-manager", "kube-controller-manager", func() []kubeadm.Arg { return i.ManagerArgs }),
			i.staticPod("scheduler", "kube-scheduler", func() []kubeadm.Arg { return i.SchedulerArgs }),
		}},
		{Name: "kubelet-start", Short: "Configure and start the kubelet", Run: i.changes(i.startKubelet)},
		{Name: "wait-control-plane", Short: "Wait for the control plane to answer", Run: i.waitControlPlane},
		{Name: "upload-config", Short: "Keep the configuration in the cluster", Run: i.uploadConfig},
		{Name: "mark-control-plane", Short: "Mark this node as one with a control plane", Run: i.markControlPlane},
		{Name: "bootstrap-token", Short: "Let nodes join by a token", Run: i.bootstrapToken},
		{Name: "addon", Short: "Install the add-ons", Sub: []phase.Phase{
			{Name: "kube-proxy", Short: "Install the proxy", Run: i.addon("addons/kube-proxy.yaml", func() bool { return !i.NoProxy })},
			{Name: "coredns", Short: "Install CoreDNS", Run: i.addon("addons/coredns.yaml", func() bool { return !i.NoDNS })},
			{Name: "network", Short: "Install the pod network", Run: i.changes(i.network)},
		}},
		{Name: "wait-node", Short: "Wait for the node and DNS to be ready", Run: i.waitNode},
	}
}

func (i *Init) certPhases() (list []phase.Phase) {
	for _, c := range certs.All() {
		list = append(list, phase.Phase{Name: c.Name, Short: c.Short, Run: i.changes(func(_ context.Context, say phase.Say) error {
			if c.Etcd && i.External() {
				return nil // that etcd has its own
			}
			kept, err := certs.Ensure(i.Settings, c, i.clock.Now())
			if kept && err == nil {
				say("kept the existing %s.crt", filepath.Join(i.CertDir, c.File))
			}
			return err
		})})
	}
	return append(list, phase.Phase{Name: "sa", Short: "The key that signs service account tokens", Run: i.changes(func(_ context.Context, say phase.Say) error {
		kept, err := certs.EnsureAccountKeys(i.Settings)
		if kept {
			say("kept the existing %s", filepath.Join(i.CertDir, "sa.key"))
		}
		return err
	})})
}

func (i *Init) kubeconfigPhases() (list []phase.Phase) {
	for _, id := range kubeconfig.All() {
		list = append(list, phase.Phase{Name: id.Name, Short: id.Short, Run: i.changes(func(_ context.Context, say phase.Say) error {
			kept, err := kubeconfig.Ensure(i.Settings, id, i.clock.Now())
			if kept && err == nil {
				say("kept the existing %s", id.File)
			}
			return err
		})})
	}
	return list
}

func (i *Init) staticPod(name, pod string, args func() []kubeadm.Arg) phase.Phase {
	return phase.Phase{Name: name, Short: "The static pod " + pod, Run: i.changes(func(_ context.Context, say phase.Say) error {
		v, err := i.fill()
		if err != nil {
			return err
		}
		data, err := render.StaticPod("staticpods/"+pod+".yaml", v, args())
		if err != nil {
			return err
		}
		if name == "apiserver" {
			if i.External() {
				say("etcd is the cluster at %s", strings.Join(i.Endpoints, ", "))
			} else {
				say("etcd runs in the apiserver's process and keeps its data in %s", i.DataDir)
			}
		}
		return i.write(filepath.Join(layout.ManifestsDir, pod+".yaml"), data, 0o600)
	})}
}

// JoinCommand is how another machine joins, once a token exists.
func (i *Init) JoinCommand() (string, error) { return JoinCommand(i.Settings, i.Endpoint, i.token) }

// JoinCommand is how a machine joins the cluster whose authority is on this one.
func JoinCommand(s *settings.Settings, endpoint, token string) (string, error) {
	ca, err := pki.LoadCertificates(filepath.Join(s.On(s.CertDir), "ca.crt"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("ctl join %s --token %s --discovery-token-ca-cert-hash %s", endpoint, token, certs.Hash(ca[0])), nil
}
