package bootstrap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/containerd"
	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
	"github.com/sampan-project/sampan/pkg/proxy"
)

// Reset is what ctl reset does: it takes away everything that init or join made, and looks whether
// something is left. Running it on a machine without a cluster does nothing.
type Reset struct {
	layout.Layout
	Socket  string // of the container runtime; empty: as the record says
	clock   clock.WithTicker
	systemd bool
	record  *record.Record
	failed  []error // what could not be done, told by the last phase with what is left
}

// NewReset reads what the machine was like before. What socket and cgroupRoot say goes before the record.
func NewReset(l layout.Layout, socket, cgroupRoot string, c clock.WithTicker) (*Reset, error) {
	rec, err := record.Open(l)
	if err != nil {
		return nil, err
	}
	r := &Reset{Layout: l, Socket: strings.TrimPrefix(socket, "unix://"), clock: c, systemd: l.Root == "" && host.Systemd(), record: rec}
	if cgroupRoot != "" {
		rec.CgroupRoot = cgroupRoot
	}
	for _, s := range []string{strings.TrimPrefix(rec.Socket, "unix://"), layout.ContainerdSocket} {
		r.Socket = cmp.Or(r.Socket, s)
	}
	return r, nil
}

// Phases are reset's, in order. One that fails does not keep the next from its work.
func (r *Reset) Phases() []phase.Phase {
	list := []phase.Phase{
		{Name: "kubelet", Short: "Stop the kubelet", Run: r.stopKubelet},
		{Name: "pods", Short: "Remove all pods and what the container runtime keeps of the cluster", Run: r.pods},
		{Name: "containerd", Short: "Stop the container runtime, if it was started for the cluster", Run: r.stopRuntime},
		{Name: "mounts", Short: "Unmount what pods had mounted", Run: r.mounts},
		{Name: "network", Short: "Remove interfaces, routes and packet rules", Run: r.network},
		{Name: "cgroups", Short: "Remove the pods' cgroups", Run: r.cgroups},
		{Name: "files", Short: "Remove files, and put back what was there before", Run: r.files},
	}
	for n, ph := range list {
		list[n].Run = func(ctx context.Context, say phase.Say) error {
			if err := ph.Run(ctx, say); err != nil {
				say("not done: %v", err)
				r.failed = append(r.failed, fmt.Errorf("%s: %w", ph.Name, err))
			}
			return ctx.Err()
		}
	}
	return append(list, phase.Phase{Name: "proof", Short: "Look whether anything is left", Run: r.proof})
}

// grace is how long a program may take to end.
const grace = 20 * time.Second

func (r *Reset) stopKubelet(ctx context.Context, say phase.Say) error {
	if r.systemd && slices.Contains(r.record.Enabled, "kubelet.service") {
		if _, err := host.Run(ctx, "systemctl", "disable", "--now", "kubelet.service"); err != nil {
			return err
		}
		say("stopped the unit kubelet.service")
	}
	// The supervisor goes first and at once: what it keeps running must stay down, and its last act would be
	// to stop containerd, which has to remove pods yet.
	if p, ok := host.ReadProcess(r.On(supervisorPID)); ok {
		if err := p.Kill(ctx); err != nil {
			return err
		}
		say("stopped the supervisor (process %d)", p.PID)
	}
	if p, ok := host.ReadProcess(r.On(kubeletPID)); ok {
		if err := p.Stop(ctx, grace); err != nil {
			return err
		}
		say("stopped the kubelet (process %d)", p.PID)
	}
	return nil
}

func (r *Reset) pods(ctx context.Context, say phase.Say) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	stop, err := r.wakeRuntime(ctx)
	if err != nil || stop == nil {
		return err
	}
	defer stop()
	n, held, err := containerd.RemovePods(ctx, r.Socket)
	if len(held) > 0 {
		err = errors.Join(r.remember(held), r.detach())
		_, _, e := containerd.RemovePods(ctx, r.Socket) // those whose namespace was in the way
		err = errors.Join(err, e)
	}
	if n > 0 {
		say("removed %d pods", n)
	}
	if r.record.Containerd && r.record.Ours(layout.ContainerdRoot) {
		return err // all of it goes with its directory
	}
	kept, e := containerd.Store{Socket: r.Socket}.Empty(ctx)
	if kept > 0 {
		say("removed %d containers, images and their content from containerd's namespace k8s.io", kept)
	}
	return errors.Join(err, e)
}

// wakeRuntime sees to it that the runtime answers, if it may hold something of a cluster. The function that
// it answers must be called; nil says that there is nothing to remove.
func (r *Reset) wakeRuntime(ctx context.Context) (stop func(), err error) {
	if containerd.Answers(ctx, r.Socket) == nil {
		return func() {}, nil
	}
	if _, err := os.Stat(r.On(layout.ContainerdRoot)); err != nil || r.Root != "" || !record.Exists(r.Layout) || host.Program("containerd") == "" {
		return nil, nil
	}
	for _, dir := range []string{layout.RunDir, layout.LogDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	p := containerdProgram(host.Program("containerd"))
	process, err := p.Start()
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m := &machine{clock: r.clock}
	if err := m.await(within, 50*time.Millisecond, func(ctx context.Context) error { return containerd.Answers(ctx, r.Socket) }); err != nil {
		_ = process.Stop(ctx, grace)
		return nil, err
	}
	if r.record.Containerd {
		return func() {}, nil // the next phase stops it
	}
	return func() { _ = process.Stop(context.WithoutCancel(ctx), grace) }, nil
}

func (r *Reset) stopRuntime(ctx context.Context, say phase.Say) error {
	if r.systemd && slices.Contains(r.record.Enabled, "containerd.service") {
		if _, err := host.Run(ctx, "systemctl", "stop", "containerd.service"); err != nil {
			return err
		}
		say("stopped the unit containerd.service")
	}
	if p, ok := host.ReadProcess(r.On(containerdPID)); ok {
		if err := p.Stop(ctx, grace); err != nil {
			return err
		}
		say("stopped containerd (process %d)", p.PID)
	}
	if r.Root != "" || !record.Exists(r.Layout) {
		return nil
	}
	for _, p := range host.Shims(r.Socket) {
		if err := p.Stop(ctx, time.Second); err != nil {
			return err
		}
		say("ended a pod's process that was left (process %d)", p.PID)
	}
	return nil
}

// mounted are the directories below which pods have mounts.
func (r *Reset) mounted() []string {
	dirs := []string{layout.KubeletDir}
	for _, d := range []string{layout.ContainerdState, layout.ContainerdRoot} {
		if r.record.Ours(d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

// podMounts are the mounts of pods that are left.
func (r *Reset) podMounts() ([]string, error) { return host.MountsUnder(r.mounted(), r.attached()) }

func (r *Reset) mounts(_ context.Context, say phase.Say) error {
	if r.Root != "" {
		return nil
	}
	points, err := r.podMounts()
	if err != nil {
		return err
	}
	namespaces := r.attached()
	for _, p := range points {
		if slices.Contains(namespaces, p) {
			err = errors.Join(err, host.RemoveNamespace(p))
		} else {
			err = errors.Join(err, host.Unmount(p))
		}
	}
	if len(points) > 0 {
		say("unmounted %d file systems", len(points))
	}
	return err
}

// flannelTables are what flannel makes in nftables.
var flannelTables = []string{"ip flannel-ipv4", "ip6 flannel-ipv6"}

func (r *Reset) network(ctx context.Context, say phase.Say) error {
	if r.Root != "" || !record.Exists(r.Layout) {
		return nil
	}
	err := proxy.Cleanup(ctx, proxy.DefaultConfig())
	links, e := host.PodLinks(r.record.Links)
	err = errors.Join(err, e)
	for _, l := range links {
		if e := host.RemoveLink(l); e != nil {
			err = errors.Join(err, e)
			continue
		}
		say("removed the interface %s", l)
	}
	removed, e := host.RemoveRoutes(r.record.PodCIDR)
	for _, what := range removed {
		say("removed the %s", what)
	}
	return errors.Join(err, e, r.removePortmap(ctx, say), r.removeTables(ctx, say))
}

// portmapChains is how the names of chains start that the CNI plugins portmap and bridge make in iptables' nat
// tables, and of which portmap leaves some when the last pod is gone.
const portmapChains = "CNI-"

func (r *Reset) removePortmap(ctx context.Context, say phase.Say) error {
	tables, err := host.NATTables(ctx)
	for _, t := range tables {
		chains, e := t.Chains(ctx, portmapChains)
		e = errors.Join(e, t.RemoveChains(ctx, portmapChains))
		if e == nil && len(chains) > 0 {
			say("removed the chains %s from %s", strings.Join(chains, ", "), t)
		}
		err = errors.Join(err, e)
	}
	return err
}

// leftChains are those of removePortmap that are there yet.
func (r *Reset) leftChains(ctx context.Context) (left []string, err error) {
	tables, err := host.NATTables(ctx)
	for _, t := range tables {
		chains, e := t.Chains(ctx, portmapChains)
		left, err = append(left, chains...), errors.Join(err, e)
	}
	return left, err
}

// leftTables are tables that were not there before and that flannel or iptables made: iptables' only when
// they hold no rule any more.
func (r *Reset) leftTables(ctx context.Context) (left []string, err error) {
	tables, err := host.Tables(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if slices.Contains(r.record.Tables, t) || r.record.Tables == nil {
			continue
		}
		_, name, _ := strings.Cut(t, " ")
		switch {
		case slices.Contains(flannelTables, t), strings.HasPrefix(name, "kube-proxy"):
			left = append(left, t)
		case slices.Contains([]string{"nat", "filter", "mangle", "raw"}, name):
			if empty, err := host.EmptyTable(ctx, t); err == nil && empty {
				left = append(left, t)
			}
		}
	}
	return left, nil
}

func (r *Reset) removeTables(ctx context.Context, say phase.Say) error {
	tables, err := r.leftTables(ctx)
	for _, t := range tables {
		if e := host.DeleteTable(ctx, t); e != nil {
			err = errors.Join(err, e)
			continue
		}
		say("removed the nftables table %s", t)
	}
	return err
}

// slices are systemd's units of pods' cgroups.
func (r *Reset) slices(ctx context.Context) ([]string, error) {
	if !r.systemd {
		return nil, nil
	}
	return host.PodSlices(ctx, r.record.CgroupRoot)
}

func (r *Reset) cgroups(ctx context.Context, say phase.Say) error {
	if r.Root != "" || !record.Exists(r.Layout) {
		return nil
	}
	units, err := r.slices(ctx)
	err = errors.Join(err, host.RemoveSlices(ctx, units))
	if len(units) > 0 {
		say("stopped the slices %s", strings.Join(units, ", "))
	}
	dirs, e := host.PodCgroups(r.record.CgroupRoot)
	err = errors.Join(err, e)
	for _, d := range dirs {
		host.KillCgroup(d)
		m := &machine{clock: r.clock}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err = errors.Join(err, m.await(ctx, 50*time.Millisecond, func(context.Context) error { return host.RemoveCgroup(d) }))
		cancel()
	}
	if len(dirs) > 0 {
		say("removed the cgroups %s", strings.Join(dirs, ", "))
	}
	return err
}
