package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
)

// always are places that belong to a cluster alone, as kubeadm sees it too: their content goes even where
// the directory was there before.
func (r *Reset) always() []string {
	paths := []string{
		layout.AdminConf, layout.SuperAdminConf, layout.ManagerConf, layout.SchedulerConf, layout.KubeletConf, layout.BootstrapConf,
		layout.ManifestsDir + "/*", layout.PKIDir + "/*", layout.KubeletDir + "/*", layout.FlannelState + "/*",
		layout.PodLogs + "/*", layout.ContainerLogs + "/*", layout.LogDir, layout.RunDir,
	}
	if r.record.CertDir != "" {
		paths = append(paths, r.record.CertDir+"/*")
	}
	if r.record.DataDir != "" {
		paths = append(paths, filepath.Join(r.record.DataDir, "member"))
	}
	return append(append(paths, cniState()...), r.record.CNIFiles...)
}

// made are the places where nothing was before. What a runtime that goes on running keeps is not among them.
func (r *Reset) made() (paths []string) {
	runs := r.Root == "" && !r.record.Containerd && !slices.Contains(r.record.Enabled, "containerd.service")
	for _, p := range r.record.Made {
		if runs && (p == layout.ContainerdState || p == layout.ContainerdRoot || p == "/opt/containerd" || p == "/run/runc") {
			continue
		}
		paths = append(paths, p)
	}
	return paths
}

// files removes what is ours. The record goes last, so that a reset that was cut short can be run again.
func (r *Reset) files(ctx context.Context, say phase.Say) (err error) {
	if !record.Exists(r.Layout) {
		return nil
	}
	if points, e := r.podMounts(); r.Root == "" && (e != nil || len(points) > 0) {
		return errors.Join(e, fmt.Errorf("file systems are mounted yet, whose content must not be touched: %s", strings.Join(points, ", ")))
	}
	restored, err := r.record.Restore()
	for _, f := range restored {
		say("put back %s", f)
	}
	err = errors.Join(err, r.settings(say))
	for _, pattern := range append(r.made(), r.always()...) {
		if pattern == layout.StateDir {
			continue
		}
		found, _ := filepath.Glob(r.On(pattern))
		for _, f := range found {
			if e := os.RemoveAll(f); e != nil {
				err = errors.Join(err, fmt.Errorf("removing %s: %w", f, e))
				continue
			}
			say("removed %s", f)
		}
	}
	if r.systemd && len(r.record.Units)+len(r.record.Enabled) > 0 {
		_, e := host.Run(ctx, "systemctl", "daemon-reload")
		err = errors.Join(err, e)
	}
	return errors.Join(err, r.rereadRuntime(ctx, restored, say))
}

// rereadRuntime starts a containerd that ran before the cluster anew when it has its own configuration again.
func (r *Reset) rereadRuntime(ctx context.Context, restored []string, say phase.Say) error {
	changed := slices.Contains(restored, layout.ContainerdConfig) || r.record.Ours(layout.ContainerdConfig)
	if !r.systemd || !changed || slices.Contains(r.record.Enabled, "containerd.service") {
		return nil
	}
	if _, err := host.Run(ctx, "systemctl", "try-restart", "containerd.service"); err != nil {
		return err
	}
	say("containerd runs as it was configured before")
	return nil
}

// settings puts the kernel's settings back.
func (r *Reset) settings(say phase.Say) (err error) {
	if r.Root != "" {
		return nil
	}
	for name, value := range r.record.Sysctls {
		have, ok := host.Sysctl(name)
		if !ok || have == value {
			continue
		}
		if e := host.SetSysctl(name, value); e != nil {
			err = errors.Join(err, e)
			continue
		}
		say("set %s back to %s", strings.ReplaceAll(name, "/", "."), value)
	}
	return err
}

// left lists what is still there.
func (r *Reset) left(ctx context.Context) (left []string, err error) {
	left = r.leftFiles()
	if r.Root != "" {
		return left, nil
	}
	for _, file := range []string{supervisorPID, kubeletPID, containerdPID} {
		if p, ok := host.ReadProcess(file); ok {
			left = append(left, fmt.Sprintf("process %d (%s)", p.PID, strings.TrimSuffix(filepath.Base(file), ".pid")))
		}
	}
	for _, p := range host.Shims(r.Socket) {
		left = append(left, fmt.Sprintf("process %d (a pod's)", p.PID))
	}
	for _, of := range []struct {
		what string
		find func() ([]string, error)
	}{
		{"mount ", r.podMounts},
		{"interface ", func() ([]string, error) { return host.PodLinks(r.record.Links) }},
		{"", func() ([]string, error) { return host.Routes(r.record.PodCIDR) }},
		{"iptables chain ", func() ([]string, error) { return r.leftChains(ctx) }},
		{"nftables table ", func() ([]string, error) { return r.leftTables(ctx) }},
		{"cgroup ", func() ([]string, error) { return host.PodCgroups(r.record.CgroupRoot) }},
		{"unit ", func() ([]string, error) { return r.slices(ctx) }},
	} {
		found, e := of.find()
		err = errors.Join(err, e)
		for _, f := range found {
			left = append(left, of.what+f)
		}
	}
	return left, err
}

// leftFiles lists files and directories that are still there, without what lies in one that is named.
func (r *Reset) leftFiles() (left []string) {
	for _, pattern := range append(r.made(), r.always()...) {
		if pattern != layout.StateDir {
			found, _ := filepath.Glob(r.On(pattern))
			left = append(left, found...)
		}
	}
	slices.Sort(left)
	left = slices.Compact(left)
	return slices.DeleteFunc(slices.Clone(left), func(f string) bool {
		return slices.ContainsFunc(left, func(dir string) bool { return strings.HasPrefix(f, dir+"/") })
	})
}

// proof fails with a list where something is left; otherwise the record goes, too.
func (r *Reset) proof(ctx context.Context, say phase.Say) error {
	if !record.Exists(r.Layout) {
		say("ctl made no cluster on this machine; nothing was touched")
		return errors.Join(r.failed...)
	}
	left, err := r.left(ctx)
	if err = errors.Join(append(r.failed, err)...); err != nil || len(left) > 0 {
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("left on this machine: %s", strings.Join(left, "; ")))
		}
		return fmt.Errorf("run ctl reset again when the cause is gone: %w", err)
	}
	if err := r.record.Remove(); err != nil {
		return err
	}
	say("nothing is left: no process, mount, interface, packet rule, cgroup or file")
	return nil
}
