package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Machine is what a cluster could leave behind on a host: each kind of thing with the names of those there.
type Machine map[string][]string

// programs are those that a cluster runs; others come and go on a host for reasons of their own.
var programs = []string{"apiserver", "scheduler", "controller-manager", "kubelet", "proxy", "ctl", "coredns", "flanneld", "web",
	"pause", "containerd", "containerd-shim", "containerd-shim-runc-v2", "runc", "etcd"}

// trees are the folders that a cluster writes into.
var trees = []string{"/etc/kubernetes", "/etc/cni", "/etc/containerd", "/etc/systemd/system/kubelet.service.d", "/etc/modules-load.d", "/opt/cni", "/usr/lib/cni", "/var/lib/kubelet",
	"/var/lib/etcd", "/var/lib/cni", "/var/lib/containerd", "/var/lib/sampan", "/var/log/pods", "/var/log/containers", "/var/log/sampan",
	"/run/flannel", "/run/sampan", "/run/containerd", "/run/netns"}

// Survey looks at the host.
func Survey() (Machine, error) {
	m := Machine{}
	for kind, look := range map[string]func() ([]string, error){
		"process": processes, "mount": mounts, "interface": interfaces, "nft table": tables, "cgroup": cgroups, "file": files, "iptables rule": rules, "IPVS entry": ipvs,
	} {
		found, err := look()
		if err != nil {
			return nil, fmt.Errorf("looking for what the host has of kind %q: %w", kind, err)
		}
		sort.Strings(found)
		m[kind] = found
	}
	return m, nil
}

// Left lists what is there now and was not before, and what is gone, a line each. Of things of one name it counts
// how many there are.
func (m Machine) Left(before Machine) []string {
	var out []string
	for kind, now := range m {
		for name, n := range more(now, before[kind]) {
			out = append(out, fmt.Sprintf("%s left behind: %s (%d)", kind, name, n))
		}
		if kind == "process" {
			continue // one may end of itself; what else was there a cluster must leave alone
		}
		for name, n := range more(before[kind], now) {
			out = append(out, fmt.Sprintf("%s gone: %s (%d)", kind, name, n))
		}
	}
	sort.Strings(out)
	return out
}

// more counts what a has more of than b.
func more(a, b []string) map[string]int {
	count := map[string]int{}
	for _, name := range a {
		count[name]++
	}
	for _, name := range b {
		count[name]--
	}
	maps.DeleteFunc(count, func(_ string, n int) bool { return n <= 0 })
	return count
}

func processes() ([]string, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range dirs {
		exe, err := os.Readlink(d + "/exe")
		if err != nil {
			continue // a kernel thread, or gone meanwhile
		}
		if ours(strings.TrimSuffix(exe, " (deleted)")) {
			out = append(out, exe) // without its id, which a restart changes
		}
	}
	return out, nil
}

// ours says whether a program is one that a cluster runs: of this checkout, of an image, where it stands at the
// top, or the runtime's.
func ours(exe string) bool {
	dir := filepath.Dir(exe)
	return slices.Contains(programs, filepath.Base(exe)) && (dir == "/" || dir == "/opt/bin" || strings.HasPrefix(dir, "/usr/") || dir == filepath.Join(Root(), "bin"))
}

func mounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, f[4])
		}
	}
	return out, nil
}

func interfaces() ([]string, error) {
	entries, err := os.ReadDir("/sys/class/net")
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out, err
}

func tables() ([]string, error) {
	b, err := exec.Command("nft", "list", "tables").Output()
	return lines(b), err
}

// rules are those of iptables, of both kinds and families, that a plugin for host ports or a pod network could have made.
func rules() ([]string, error) {
	var out []string
	for _, command := range []string{"iptables-nft-save", "ip6tables-nft-save", "iptables-legacy-save", "ip6tables-legacy-save"} {
		b, err := exec.Command(command).Output()
		if err != nil {
			continue // a host without it, or without such tables, has no such rules
		}
		for _, l := range lines(b) {
			if strings.HasPrefix(l, "-A") || strings.HasPrefix(l, ":KUBE") || strings.HasPrefix(l, ":CNI") {
				out = append(out, strings.TrimSuffix(command, "-save")+" "+l)
			}
		}
	}
	return out, nil
}

// ipvs are the services and backends of the kernel's balancer, by their addresses.
func ipvs() ([]string, error) {
	b, err := os.ReadFile("/proc/net/ip_vs")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it was never used
	}
	var out []string
	for _, l := range lines(b) {
		f := strings.Fields(l) // "TCP 0A600001:01BB rr" and below it "-> 0AFB0002:192B Masq ...", after three lines that explain
		if f[0] == "TCP" || f[0] == "UDP" || f[0] == "SCTP" || f[0] == "FWM" || f[0] == "->" && f[1] != "RemoteAddress:Port" {
			out = append(out, f[0]+" "+f[1])
		}
	}
	return out, err
}

func cgroups() ([]string, error) {
	var out []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if d.IsDir() && ofCluster(p) {
			out = append(out, p)
		}
		return nil
	})
	return out, err
}

// ofCluster says which cgroups a cluster could have made: pods', the runtime's and our own. Those of other programs come
// and go for reasons of their own.
func ofCluster(group string) bool {
	return slices.ContainsFunc([]string{"kube", "k8s.io", "containerd", "sampan"}, func(ours string) bool { return strings.Contains(group, ours) })
}

func files() ([]string, error) {
	var out []string
	for _, tree := range trees {
		err := filepath.WalkDir(tree, func(p string, d os.DirEntry, err error) error {
			if err == nil && !stays(p) {
				out = append(out, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stays says which files are the runtime's own, not those of a cluster: it makes them at its first start.
func stays(p string) bool {
	return strings.HasPrefix(p, "/var/lib/containerd") || strings.HasPrefix(p, "/run/containerd") || p == "/run/netns" || p == "/var/lib/cni" || p == "/opt/cni"
}

func lines(b []byte) []string {
	s := strings.TrimSpace(string(b))
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
