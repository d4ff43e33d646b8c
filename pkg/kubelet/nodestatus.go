package kubelet

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/node"
)

// newNode makes what registers the node and reports of it.
func (k *kubelet) newNode() (*node.Manager, error) {
	cfg := &k.cfg.Kubelet
	hard := cfg.EvictionHard
	if k.cfg.AllocatableIgnoresEvict {
		hard = nil
	}
	return node.New(node.Config{
		Client: k.client, Name: k.name, Hostname: k.name, IPs: k.ips, Labels: k.cfg.NodeLabels, Taints: cfg.RegisterWithTaints,
		ProviderID: cfg.ProviderID, ExternalCloud: k.cfg.CloudProvider == "external", Register: *cfg.RegisterNode,
		AttachDetach: *cfg.EnableControllerAttachDetach, Port: cfg.Port, MaxImages: *cfg.NodeStatusMaxImages, Runtime: k.cri,
		Machine: func() (node.Machine, error) {
			return node.ReadMachine(node.Paths{Root: "/", RootDir: k.cfg.RootDir, MachineID: k.cfg.MachineIDFiles, BootID: k.cfg.BootIDFiles})
		},
		RootDir: k.cfg.RootDir,
		Reserve: node.Reserve{System: cfg.SystemReserved, Kube: cfg.KubeReserved, CPUs: cfg.ReservedSystemCPUs, EvictionHard: hard},
		MaxPods: cfg.MaxPods, PodsPerCore: cfg.PodsPerCore, Event: k.recorder.aboutNode(k.name),
		UpdateEvery: cfg.NodeStatusUpdateFrequency.Duration, ReportEvery: cfg.NodeStatusReportFrequency.Duration,
		LeaseDuration: secondsOf(cfg.NodeLeaseDurationSeconds), Clock: k.clock, Log: k.log,
	})
}

// nodeObject is the Node by which pods are admitted, nil before the apiserver told of it.
func (k *kubelet) nodeObject() *corev1.Node {
	if k.client != nil && !k.node.Registered() {
		return nil
	}
	return k.node.Node()
}

// memory is the node's, in bytes.
func (k *kubelet) memory() int64 {
	capacity := k.node.Capacity()
	return capacity.Memory().Value()
}

// roomChanged gives the classes of control groups what the pods in them ask for.
func (k *kubelet) roomChanged(pods []*corev1.Pod) {
	if err := k.groups.SyncClasses(pods); err != nil {
		k.log.Error(err, "Setting the weights of the pods' control groups")
	}
}
