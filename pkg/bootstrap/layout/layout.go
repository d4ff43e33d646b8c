// Package layout says where the files of a node are. It knows names of files and nothing of their content.
package layout

import "path/filepath"

// Where things are on every node. The names are kubeadm's; people and tools know them.
const (
	KubernetesDir    = "/etc/kubernetes"
	PKIDir           = "/etc/kubernetes/pki"
	ManifestsDir     = "/etc/kubernetes/manifests"
	AdminConf        = "/etc/kubernetes/admin.conf"
	SuperAdminConf   = "/etc/kubernetes/super-admin.conf"
	ManagerConf      = "/etc/kubernetes/controller-manager.conf"
	SchedulerConf    = "/etc/kubernetes/scheduler.conf"
	KubeletConf      = "/etc/kubernetes/kubelet.conf"
	BootstrapConf    = "/etc/kubernetes/bootstrap-kubelet.conf"
	KubeletDir       = "/var/lib/kubelet"
	KubeletConfig    = "/var/lib/kubelet/config.yaml"
	KubeletFlags     = "/var/lib/kubelet/kubeadm-flags.env"
	KubeletExtra     = "/etc/default/kubelet"
	KubeletClient    = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	EtcdDir          = "/var/lib/etcd"
	CNIConfDir       = "/etc/cni/net.d"
	PodLogs          = "/var/log/pods"
	ContainerLogs    = "/var/log/containers"
	ContainerdConfig = "/etc/containerd/config.toml"
	ContainerdSocket = "/run/containerd/containerd.sock"
	ContainerdState  = "/run/containerd"
	ContainerdRoot   = "/var/lib/containerd"
	FlannelState     = "/run/flannel"
	StateDir         = "/var/lib/sampan"
	RecordFile       = "/var/lib/sampan/record.json"
	RunDir           = "/run/sampan"
	LogDir           = "/var/log/sampan"
	ResolvConf       = "/etc/resolv.conf"
	ResolvedConf     = "/run/systemd/resolve/resolv.conf"
)

// CNIBinDirs are where the plugins of pod networks are looked for: Debian's place, then everyone's.
func CNIBinDirs() []string { return []string{"/usr/lib/cni", "/opt/cni/bin"} }

// Layout places paths of a host below a directory. The zero value is the host itself; tests give another.
type Layout struct{ Root string }

// On is where the host's path is found.
func (l Layout) On(path string) string {
	if l.Root == "" {
		return path
	}
	return filepath.Join(l.Root, path)
}
