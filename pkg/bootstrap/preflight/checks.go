package preflight

import (
	"fmt"
	"strings"
)

// Machine is what checks ask of a machine. The function fields let a test be any machine.
type Machine struct {
	Root      bool
	Program   func(name string) string // where it is, "" for nowhere
	Listening func(address string, port int) bool
	Sysctl    func(name string) (value string, ok bool)
	Exists    func(path string) bool
	Empty     func(dir string) bool // or not there
	Writable  func(dir string) error
	Swap      func() bool
	Cgroups   func() []string // names of controllers that are to be had
	CNI       string          // directory of plugins, "" for none
	Runtime   func() error    // does a runtime answer at the socket
}

// Wants are what is to be done on the machine.
type Wants struct {
	ControlPlane bool
	Again        bool // init or join ran here before: their own files and ports are no obstacle
	NodeName     string
	WasNode      string // the name under which it ran before
	Port         int
	DataDir      string
	OwnEtcd      bool
	BinDir       string
	Kubelet      string // its program, "" where there is none
	ImageDir     string
	Images       []string // archives that must be there
	HaveImages   []string
}

// Run makes every check. It changes nothing but for a file that it makes and removes to see whether it can.
func Run(m Machine, w Wants) (f []Finding) {
	add := func(check string, s Severity, format string, args ...any) {
		f = append(f, Finding{check, s, fmt.Sprintf(format, args...)})
	}
	if !m.Root {
		add("IsPrivilegedUser", Error, "this needs root: run it with sudo")
		return f
	}
	if w.WasNode != "" && w.WasNode != w.NodeName {
		add("NodeName", Error, "this machine is the node %s of a cluster already and cannot be %s: name it so with --node-name, or remove the cluster with: ctl reset", w.WasNode, w.NodeName)
	}
	programs(m, w, add)
	kernel(m, add)
	if !w.Again {
		ports(m, w, add)
	}
	if w.ControlPlane && w.OwnEtcd {
		data(m, w, add)
	}
	images(w, add)
	return f
}

type adder func(check string, s Severity, format string, args ...any)

func programs(m Machine, w Wants, add adder) {
	if m.Runtime() != nil {
		for _, p := range []string{"containerd", "runc"} {
			if m.Program(p) == "" {
				add("FileExisting-"+p, Error, "%s is missing: apt-get install %s", p, p)
			}
		}
	}
	if m.Program("ctr") == "" {
		add("FileExisting-ctr", Error, "ctr is missing, by which images are imported: apt-get install containerd")
	}
	if m.CNI == "" {
		add("FileExisting-cni", Error, "there are no CNI plugins in /usr/lib/cni or /opt/cni/bin: apt-get install containernetworking-plugins")
	}
	for _, p := range []struct {
		name, pkg string
		s         Severity
	}{{"nft", "nftables", Error}, {"iptables", "iptables", Warning}, {"mount", "mount", Error}} {
		if m.Program(p.name) == "" {
			add("FileExisting-"+p.name, p.s, "%s is missing: apt-get install %s", p.name, p.pkg)
		}
	}
	if w.Kubelet == "" {
		add("FileExisting-kubelet", Error, "the kubelet is neither in %s nor in PATH: run make build or make install, or name its directory with --bin-dir", w.BinDir)
	}
}

func kernel(m Machine, add adder) {
	if m.Swap() {
		add("Swap", Warning, "swap is on, which makes memory limits of pods vague: swapoff -a")
	}
	have := m.Cgroups()
	var missing []string
	for _, c := range []string{"cpu", "memory", "pids"} {
		found := false
		for _, h := range have {
			found = found || h == c
		}
		if !found {
			missing = append(missing, c)
		}
	}
	if len(missing) > 0 {
		add("SystemVerification", Error, "the cgroup controllers %s are not mounted below /sys/fs/cgroup: mount -t cgroup2 none /sys/fs/cgroup, or boot with them", strings.Join(missing, ", "))
	}
	if _, ok := m.Sysctl("net/ipv4/ip_forward"); !ok {
		add("FileContent--proc-sys-net-ipv4-ip_forward", Error, "this kernel cannot forward packets: /proc/sys/net/ipv4/ip_forward does not exist or /proc/sys is not mounted")
	}
	if _, ok := m.Sysctl("net/bridge/bridge-nf-call-iptables"); !ok {
		add("FileContent--proc-sys-net-bridge-bridge-nf-call-iptables", Warning, "pods of one node that reach each other through a service may not be answered: modprobe br_netfilter")
	}
}

func ports(m Machine, w Wants, add adder) {
	wanted := []struct {
		address string
		port    int
		who     string
	}{{"", 10250, "the kubelet"}, {"127.0.0.1", 10248, "the kubelet"}}
	if w.ControlPlane {
		wanted = append(wanted, []struct {
			address string
			port    int
			who     string
		}{{"", w.Port, "the apiserver"}, {"127.0.0.1", 10257, "the controller-manager"}, {"127.0.0.1", 10259, "the scheduler"}}...)
	}
	for _, p := range wanted {
		if !m.Listening(p.address, p.port) {
			continue
		}
		hint := "stop what listens there (ss -ltnp shows it)"
		if p.who == "the apiserver" {
			hint += ", or choose another with --apiserver-bind-port"
		}
		add(fmt.Sprintf("Port-%d", p.port), Error, "port %d, which %s needs, is taken: %s; a cluster from before is removed with: ctl reset", p.port, p.who, hint)
	}
}

func data(m Machine, w Wants, add adder) {
	if err := m.Writable(w.DataDir); err != nil {
		add("DataDirWritable", Error, "the data directory %s is not writable (%v): choose another with --data-dir", w.DataDir, err)
		return
	}
	if !w.Again && !m.Empty(w.DataDir) {
		add("DirAvailable--var-lib-etcd", Error, "%s is not empty: it holds the data of a cluster; remove that with: ctl reset, or choose another directory with --data-dir", w.DataDir)
	}
	for _, file := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		if path := "/etc/kubernetes/manifests/" + file + ".yaml"; !w.Again && m.Exists(path) {
			add("FileAvailable--etc-kubernetes-manifests-"+file+".yaml", Error, "%s exists: a cluster was made here before; remove it with: ctl reset", path)
		}
	}
}

func images(w Wants, add adder) {
	have := map[string]bool{}
	for _, i := range w.HaveImages {
		have[i] = true
	}
	var missing []string
	for _, i := range w.Images {
		if !have[i] {
			missing = append(missing, i)
		}
	}
	if len(missing) > 0 {
		add("Images", Error, "the images %s are not in %s: run make images, or name their directory with --image-dir", strings.Join(missing, ", "), w.ImageDir)
	}
}
