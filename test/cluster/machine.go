package cluster

import (
	"fmt"
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
var trees = []string{"/etc/kubernetes", "/etc/cni", "/etc/containerd", "/etc/systemd/system/kubelet.service.d", "/opt/cni", "/usr/lib/cni", "/var/lib/kubelet",
	"/var/lib/etcd", "/var/lib/cni", "/var/lib/containerd", "/var/lib/sampan", "/var/log/pods", "/var/log/containers", "/var/log/sampan",
	"/run/flannel", "/run/sampan", "/run/containerd", "/run/netns"}

// Survey looks at the host.
func Survey() (Machine, error) {
	m := Machine{}
	for kind, look := range map[string]func() ([]string, error){
		"process": processes, "mount": mounts, "interface": interfaces, "nft table": tables, "cgroup": cgroups, "file": files, "iptables rule": rules,
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

// Left lists what is there now and was not before, and what is gone, a line each.
func (m Machine) Left(before Machine) []string {
	var out []string
	for kind, now := range m {
		for _, name := range now {
			if !slices.Contains(before[kind], name) {
				out = append(out, kind+" left behind: "+name)
			}
		}
		for _, name := range before[kind] {
			// A process may end of itself; what else was there a cluster must leave alone.
			if kind != "process" && !slices.Contains(now, name) {
				out = append(out, kind+" gone: "+name)
			}
		}
	}
	sort.Strings(out)
	return out
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
			out = append(out, exe+" ("+filepath.Base(d)+")")
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

// rules are those of iptables that a plugin for host ports or a pod network could have made.
func rules() ([]string, error) {
	b, err := exec.Command("iptables-save").Output()
	if err != nil {
		return nil, nil // a host without iptables has no such rules
	}
	var out []string
	for _, l := range lines(b) {
		if strings.HasPrefix(l, "-A") || strings.HasPrefix(l, ":KUBE") || strings.HasPrefix(l, ":CNI") {
			out = append(out, l)
		}
	}
	return out, nil
}

func cgroups() ([]string, error) {
	var out []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return nil // gone meanwhile
		}
		if d.IsDir() {
			out = append(out, p)
		}
		return nil
	})
	return out, err
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
