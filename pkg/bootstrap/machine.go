package bootstrap

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/sampan-project/sampan/pkg/bootstrap/containerd"
	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubelet"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/preflight"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
)

// check runs the pre-flight checks.
func (m *machine) check(ctx context.Context, w preflight.Wants, say phase.Say) error {
	archives, err := containerd.Archives(m.ImageDir)
	if err != nil {
		return err
	}
	for _, a := range archives {
		w.HaveImages = append(w.HaveImages, a.ID)
	}
	was, err := record.Open(m.Layout)
	if err != nil {
		return err
	}
	w.Kubelet = m.kubeletPath()
	w.NodeName, w.WasNode = m.NodeName, was.NodeName
	w.Again, w.BinDir, w.ImageDir = m.again, m.BinDir, m.ImageDir
	findings := preflight.Run(m.look(ctx), w)
	return preflight.Judge(findings, m.IgnorePreflight, say)
}

// look is this machine as checks see it.
func (m *machine) look(ctx context.Context) preflight.Machine {
	return preflight.Machine{
		Root: os.Geteuid() == 0, Program: host.Program, Listening: host.Listening, Sysctl: host.Sysctl,
		Exists: func(p string) bool { _, err := os.Stat(m.On(p)); return err == nil },
		Empty: func(dir string) bool {
			entries, err := os.ReadDir(m.On(dir))
			return err != nil || len(entries) == 0
		},
		Writable: func(dir string) error { return writable(m.On(dir)) },
		Swap: func() bool {
			data, _ := os.ReadFile("/proc/swaps")
			return strings.Count(string(data), "\n") > 1
		},
		Cgroups: controllers,
		CNI:     containerd.CNIBinDir(m.Layout),
		Runtime: func() error { return containerd.Answers(ctx, m.Socket()) },
	}
}

// writable tries to make a file in the directory, or in the nearest one above it that exists.
func writable(dir string) error {
	for {
		info, err := os.Stat(dir)
		if os.IsNotExist(err) {
			dir = filepath.Dir(dir)
			continue
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", dir)
		}
		f, err := os.CreateTemp(dir, ".ctl-*")
		if err != nil {
			return err
		}
		return os.Remove(f.Name())
	}
}

// controllers are the cgroup controllers that are to be had, of either version.
func controllers() []string {
	if data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return strings.Fields(string(data))
	}
	entries, _ := os.ReadDir("/sys/fs/cgroup")
	var names []string
	for _, e := range entries {
		names = append(names, strings.Split(e.Name(), ",")...)
	}
	return names
}

// runtime prepares the kernel and containerd, and sees to it that it runs.
func (m *machine) runtime(ctx context.Context, say phase.Say) error {
	if err := m.modules(ctx); err != nil {
		return err
	}
	for name, value := range sysctls {
		if _, ok := host.Sysctl(name); ok {
			if err := host.SetSysctl(name, value); err != nil {
				return err
			}
		}
	}
	want := containerd.Config{
		CNIBinDir: containerd.CNIBinDir(m.Layout), SystemdCgroup: kubelet.Driver(m.Settings, m.systemd) == "systemd",
		RestrictOOM: !host.MayLowerOOMScore(),
	}
	answered := containerd.Answers(ctx, m.Socket()) == nil
	changed := ""
	if m.Socket() == layout.ContainerdSocket {
		var err error
		if changed, err = containerd.Ensure(ctx, m.Layout, want, m.record); err != nil {
			return err
		}
		if changed != "" {
			say("wrote %s: %s; ctl reset puts the old one back", layout.ContainerdConfig, changed)
		}
	}
	return m.services().runtime(ctx, m, answered, changed != "", say)
}

// modulesFile tells systemd what to load when the machine starts again.
const modulesFile = "/etc/modules-load.d/sampan.conf"

// modules asks for what some kernels do not load by themselves, now and at each start of the machine. Where that
// fails the pre-flight checks have told already.
func (m *machine) modules(ctx context.Context) error {
	modprobe := host.Program("modprobe")
	if modprobe == "" {
		return nil
	}
	var loaded []string
	for _, name := range []string{"overlay", "br_netfilter"} {
		if _, err := host.Run(ctx, modprobe, name); err == nil {
			loaded = append(loaded, name)
		}
	}
	if !m.systemd || len(loaded) == 0 {
		return nil
	}
	return m.loadAtStart(loaded)
}

func (m *machine) loadAtStart(modules []string) error {
	m.record.Claim(modulesFile)
	if err := m.record.Write(); err != nil {
		return err
	}
	return m.write(modulesFile, []byte("# Written by ctl; ctl reset removes it.\n"+strings.Join(modules, "\n")+"\n"), 0o644)
}

// images imports what archives hold.
func (m *machine) images(ctx context.Context, say phase.Say) error {
	archives, err := containerd.Archives(m.ImageDir)
	if err != nil {
		return err
	}
	sandbox := ""
	if effective, err := containerd.Read(ctx, m.Layout); err == nil {
		sandbox = effective.SandboxImage
	}
	return containerd.Store{Socket: m.Socket()}.Import(ctx, archives, sandbox, say)
}

// configureKubelet writes the kubelet's files. config is what the cluster's kubelets agree on.
func (m *machine) configureKubelet(config string, controlPlane bool) error {
	var c kubeletconfig.KubeletConfiguration
	if err := yaml.Unmarshal([]byte(config), &c); err != nil {
		return fmt.Errorf("the cluster's kubelet configuration: %w", err)
	}
	kubelet.Adapt(&c, m.Settings, m.systemd)
	text, err := kubelet.Text(&c)
	if err != nil {
		return err
	}
	if err := m.write(layout.KubeletConfig, []byte(text), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(m.On(layout.ManifestsDir), 0o755); err != nil {
		return fmt.Errorf("making the directory of static pods: %w", err)
	}
	flags := kubelet.Flags(m.Settings, kubelet.Taints(m.Settings, controlPlane))
	return m.write(layout.KubeletFlags, []byte(flags), 0o644)
}

// kubeletPath is the kubelet's program: ours, or else one that is in PATH.
func (m *machine) kubeletPath() string {
	own := filepath.Join(m.BinDir, "kubelet")
	if _, err := os.Stat(own); err == nil {
		return own
	}
	return host.Program("kubelet")
}

func hasNameServer(resolvConf string) bool {
	data, _ := os.ReadFile(resolvConf)
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			return true
		}
	}
	return false
}
