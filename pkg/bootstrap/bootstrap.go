// Package bootstrap is what ctl init, join and reset do: the phases by which a machine becomes a cluster or
// part of one, and is made what it was before. Packages below it each know one matter; this one knows the
// order.
package bootstrap

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/containerd"
	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubelet"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
	"github.com/sampan-project/sampan/pkg/bootstrap/render"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
)

// machine is one run of init or join on this machine.
type machine struct {
	*settings.Settings
	clock   clock.WithTicker
	systemd bool
	again   bool // a run before this one left its record

	begin  func() error // notes how the machine is, once, before the first change
	record *record.Record
	values *render.Values // what templates can say, made once
}

func newMachine(s *settings.Settings, c clock.WithTicker) *machine {
	m := &machine{Settings: s, clock: c, systemd: s.Root == "" && host.Systemd(), again: record.Exists(s.Layout)}
	m.begin = sync.OnceValue(m.note)
	return m
}

// changes makes a phase's work note how the machine is first.
func (m *machine) changes(run func(ctx context.Context, say phase.Say) error) func(context.Context, phase.Say) error {
	return func(ctx context.Context, say phase.Say) error {
		if err := m.begin(); err != nil {
			return err
		}
		return run(ctx, say)
	}
}

// claimed are the places where a cluster keeps something on a node.
func claimed(s *settings.Settings) []string {
	paths := []string{
		layout.StateDir, layout.RunDir, layout.LogDir, layout.KubernetesDir, layout.ManifestsDir, s.CertDir, layout.KubeletDir, layout.CNIConfDir, layout.FlannelState,
		cniDir, filepath.Join(cniDir, "networks"), filepath.Join(cniDir, "results"),
		layout.PodLogs, layout.ContainerLogs, layout.ContainerdState, layout.ContainerdRoot, "/opt/containerd", "/run/netns", "/run/runc",
		"/run/xtables.lock", "/usr/libexec/kubernetes", "/etc/ssl/certs",
	}
	if !s.External() && s.DataDir != "" {
		paths = append(paths, s.DataDir)
	}
	for _, dir := range layout.CNIBinDirs() {
		paths = append(paths, filepath.Join(dir, "flannel"))
	}
	return paths
}

// sysctls are the kernel settings that a node needs.
var sysctls = map[string]string{
	"net/ipv4/ip_forward":                "1",
	"net/bridge/bridge-nf-call-iptables": "1",
}

// note writes into the record what is found here, unless an earlier run did.
func (m *machine) note() error {
	r, err := record.Open(m.Layout)
	if err != nil {
		return err
	}
	m.record = r
	if m.again {
		return nil
	}
	r.Claim(claimed(m.Settings)...)
	r.NodeName = m.NodeName
	r.Socket, r.CgroupRoot, r.PodCIDR, r.CertDir = m.Socket(), m.CgroupRoot, m.PodCIDR, m.CertDir
	if !m.External() {
		r.DataDir = m.DataDir
	}
	if m.Root == "" {
		if err := m.noteKernel(r); err != nil {
			return err
		}
	}
	return r.Write()
}

func (m *machine) noteKernel(r *record.Record) (err error) {
	r.Sysctls = map[string]string{}
	for name := range sysctls {
		if value, ok := host.Sysctl(name); ok {
			r.Sysctls[name] = value
		}
	}
	if m.CgroupRoot != "" {
		hierarchies, err := host.CgroupMounts()
		if err != nil {
			return err
		}
		for _, h := range hierarchies {
			r.Claim(filepath.Join(h, m.CgroupRoot))
		}
	}
	if r.Tables, err = host.Tables(context.Background()); err != nil {
		return err
	}
	r.Links, err = host.Links()
	return err
}

// fill makes what templates can say.
func (m *machine) fill() (*render.Values, error) {
	if m.values != nil {
		return m.values, nil
	}
	v := &render.Values{Settings: m.Settings, Images: map[string]string{}, DNSReplicas: 2, CNIBinDir: containerd.CNIBinDir(m.Layout)}
	if v.CNIBinDir == "" {
		v.CNIBinDir = layout.CNIBinDirs()[0]
	}
	if !m.TaintControl {
		v.DNSReplicas = 1 // a cluster of one node
	}
	archives, err := containerd.Archives(m.ImageDir)
	if err != nil {
		return nil, err
	}
	for _, a := range archives {
		v.Images[a.ID] = a.Name
	}
	if v.ClusterConfiguration, err = render.Sparse(m.Cluster()); err != nil {
		return nil, err
	}
	config, err := kubelet.Configuration(m.Settings)
	if err != nil {
		return nil, err
	}
	if v.KubeletConfiguration, err = kubelet.Text(config); err != nil {
		return nil, err
	}
	if v.ProxyConfiguration, err = render.Proxy(m.Settings); err != nil {
		return nil, err
	}
	v.Upstream = hasNameServer(m.On(layout.ResolvConf))
	m.values = v
	return v, nil
}

// write writes a file with the directories that lead to it.
func (m *machine) write(path string, data []byte, mode os.FileMode) error {
	file := m.On(path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	next := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".new")
	if err := os.WriteFile(next, data, mode); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(next, file); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
