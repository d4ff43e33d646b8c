package stats

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// The labels by which containers tell what pod they are of.
const (
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// rateOver is the least time between two readings from which a rate is derived; within it the last rate stands.
const rateOver = time.Second

// Summary measures the node and its pods. With onlyCPUAndMemory file systems and networks are left out.
func (p *Provider) Summary(ctx context.Context, onlyCPUAndMemory bool) (*statsapi.Summary, error) {
	now := metav1.NewTime(p.cfg.Clock.Now())
	node, err := p.node(ctx, now, onlyCPUAndMemory)
	if err != nil {
		return nil, err
	}
	pods, err := p.pods(ctx, now, onlyCPUAndMemory)
	if err != nil {
		return nil, err
	}
	return &statsapi.Summary{Node: *node, Pods: pods}, nil
}

func (p *Provider) node(ctx context.Context, now metav1.Time, brief bool) (*statsapi.NodeStats, error) {
	n := &statsapi.NodeStats{NodeName: p.cfg.NodeName, StartTime: metav1.NewTime(p.bootTime())}
	used, err := p.nodeCPU()
	if err != nil {
		return nil, err
	}
	n.CPU = p.cpu("node", now.Time, used)
	if n.Memory, err = p.nodeMemory(now); err != nil {
		return nil, err
	}
	if brief {
		return n, nil
	}
	n.Network = p.nodeNetwork(now)
	if n.Fs, err = fileSystem(p.cfg.RootDir, now); err != nil {
		return nil, err
	}
	n.Rlimit = p.rlimit(now)
	n.Runtime = p.images(ctx, now)
	return n, nil
}

// images measures where the runtime keeps images; nothing is told where it does not tell.
func (p *Provider) images(ctx context.Context, now metav1.Time) *statsapi.RuntimeStats {
	info, err := p.cfg.Runtime.ImageFsInfo(ctx)
	if err != nil || len(info.GetImageFilesystems()) == 0 {
		return nil
	}
	usage := info.ImageFilesystems[0]
	fs, err := fileSystem(usage.GetFsId().GetMountpoint(), now)
	if err != nil {
		fs = &statsapi.FsStats{Time: now}
	}
	if usage.UsedBytes != nil {
		fs.UsedBytes = &usage.UsedBytes.Value
	}
	if usage.InodesUsed != nil {
		fs.InodesUsed = &usage.InodesUsed.Value
	}
	return &statsapi.RuntimeStats{ImageFs: fs, ContainerFs: fs}
}

// cpu is a reading with the rate since an earlier one.
func (p *Provider) cpu(what string, at time.Time, nanos uint64) *statsapi.CPUStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, had := p.last[what]
	now := sample{at: at, nanos: nanos, rate: last.rate, known: last.known}
	switch passed := at.Sub(last.at); {
	case had && passed < rateOver:
		now.at, now.nanos = last.at, last.nanos // wait for a longer stretch
	case had && nanos >= last.nanos:
		now.rate, now.known = uint64(float64(nanos-last.nanos)/passed.Seconds()), true
	}
	p.last[what] = now
	out := &statsapi.CPUStats{Time: metav1.NewTime(at), UsageCoreNanoSeconds: &nanos}
	if now.known {
		out.UsageNanoCores = &now.rate
	}
	return out
}

// forget drops the readings of what is not there any more.
func (p *Provider) forget(there map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for what := range p.last {
		if what != "node" && !there[what] {
			delete(p.last, what)
		}
	}
}

func (p *Provider) pods(ctx context.Context, now metav1.Time, brief bool) ([]statsapi.PodStats, error) {
	containers, err := p.cfg.Runtime.ListContainerStats(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the container runtime what containers use: %w", err)
	}
	sandboxes, err := p.cfg.Runtime.ListPodSandboxStats(ctx, nil)
	if err != nil && !cri.IsUnimplemented(err) {
		// A runtime may fail for all where the group of one pod has just gone. The sums of containers stand in.
		p.cfg.Log.Info("The container runtime does not tell what pods use as a whole", "err", err)
	}
	byUID := map[types.UID]*statsapi.PodStats{}
	for _, pod := range p.cfg.Pods() {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		s := &statsapi.PodStats{PodRef: statsapi.PodReference{Name: pod.Name, Namespace: pod.Namespace, UID: string(pod.UID)}, Containers: []statsapi.ContainerStats{}}
		if pod.Status.StartTime != nil {
			s.StartTime = *pod.Status.StartTime
		}
		for _, c := range newest(containers, pod.UID) {
			s.Containers = append(s.Containers, p.container(pod, c, now, brief))
		}
		byUID[pod.UID] = s
	}
	there := map[string]bool{}
	for _, c := range containers {
		there["container/"+c.GetAttributes().GetId()] = true
	}
	for _, sandbox := range sandboxes {
		if s := byUID[types.UID(sandbox.GetAttributes().GetLabels()[labelPodUID])]; s != nil {
			there["sandbox/"+sandbox.GetAttributes().GetId()] = true
			p.sandbox(s, sandbox, brief)
		}
	}
	p.forget(there)
	var out []statsapi.PodStats
	for _, s := range byUID {
		if len(s.Containers) == 0 {
			continue // nothing of it runs
		}
		total(s, now)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b statsapi.PodStats) int {
		return cmp.Or(cmp.Compare(a.PodRef.Namespace, b.PodRef.Namespace), cmp.Compare(a.PodRef.Name, b.PodRef.Name))
	})
	return out, nil
}

// newest are the stats of a pod's containers, of each the one made last.
func newest(all []*cri.ContainerStats, uid types.UID) []*cri.ContainerStats {
	byName := map[string]*cri.ContainerStats{}
	for _, c := range all {
		labels := c.GetAttributes().GetLabels()
		if labels[labelPodUID] != string(uid) {
			continue
		}
		name := labels[labelContainerName]
		if had := byName[name]; had == nil || had.GetAttributes().GetMetadata().GetAttempt() < c.GetAttributes().GetMetadata().GetAttempt() {
			byName[name] = c
		}
	}
	out := make([]*cri.ContainerStats, 0, len(byName))
	for _, c := range byName {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *cri.ContainerStats) int {
		return cmp.Compare(a.GetAttributes().GetMetadata().GetName(), b.GetAttributes().GetMetadata().GetName())
	})
	return out
}

func (p *Provider) container(pod *corev1.Pod, c *cri.ContainerStats, now metav1.Time, brief bool) statsapi.ContainerStats {
	name := c.GetAttributes().GetLabels()[labelContainerName]
	out := statsapi.ContainerStats{Name: name, StartTime: startOf(pod, name)}
	if used := c.GetCpu().GetUsageCoreNanoSeconds(); used != nil {
		out.CPU = p.cpu("container/"+c.GetAttributes().GetId(), stamp(c.GetCpu().GetTimestamp(), now), used.Value)
	}
	if c.GetMemory().GetWorkingSetBytes() != nil {
		out.Memory = memory(c.GetMemory(), now)
	}
	if layer := c.GetWritableLayer(); layer != nil && !brief {
		out.Rootfs = &statsapi.FsStats{Time: metav1.NewTime(stamp(layer.GetTimestamp(), now))}
		if layer.UsedBytes != nil {
			out.Rootfs.UsedBytes = &layer.UsedBytes.Value
		}
		if layer.InodesUsed != nil {
			out.Rootfs.InodesUsed = &layer.InodesUsed.Value
		}
	}
	return out
}

// startOf is when a container started, zero where that is not known.
func startOf(pod *corev1.Pod, name string) metav1.Time {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name && list[i].State.Running != nil {
				return list[i].State.Running.StartedAt
			}
		}
	}
	return metav1.Time{}
}

func memory(m *cri.MemoryUsage, now metav1.Time) *statsapi.MemoryStats {
	out := &statsapi.MemoryStats{Time: metav1.NewTime(stamp(m.GetTimestamp(), now))}
	for _, v := range []struct {
		from *cri.UInt64Value
		to   **uint64
	}{
		{m.WorkingSetBytes, &out.WorkingSetBytes}, {m.UsageBytes, &out.UsageBytes}, {m.RssBytes, &out.RSSBytes},
		{m.AvailableBytes, &out.AvailableBytes}, {m.PageFaults, &out.PageFaults}, {m.MajorPageFaults, &out.MajorPageFaults},
	} {
		if v.from != nil {
			*v.to = &v.from.Value
		}
	}
	return out
}

// sandbox fills in what the runtime knows of a whole pod.
func (p *Provider) sandbox(s *statsapi.PodStats, from *cri.PodSandboxStats, brief bool) {
	linux, now := from.GetLinux(), metav1.NewTime(p.cfg.Clock.Now())
	if used := linux.GetCpu().GetUsageCoreNanoSeconds(); used != nil {
		s.CPU = p.cpu("sandbox/"+from.GetAttributes().GetId(), stamp(linux.GetCpu().GetTimestamp(), now), used.Value)
	}
	if linux.GetMemory().GetWorkingSetBytes() != nil {
		s.Memory = memory(linux.GetMemory(), now)
	}
	if n := linux.GetProcess().GetProcessCount(); n != nil {
		s.ProcessStats = &statsapi.ProcessStats{ProcessCount: &n.Value}
	}
	if network := linux.GetNetwork(); network != nil && !brief {
		s.Network = &statsapi.NetworkStats{Time: metav1.NewTime(stamp(network.GetTimestamp(), now))}
		if i := network.GetDefaultInterface(); i != nil {
			s.Network.InterfaceStats = interfaceOf(i)
			s.Network.Interfaces = append(s.Network.Interfaces, interfaceOf(i))
		}
		for _, i := range network.GetInterfaces() {
			s.Network.Interfaces = append(s.Network.Interfaces, interfaceOf(i))
		}
	}
}

func interfaceOf(i *cri.NetworkInterfaceUsage) statsapi.InterfaceStats {
	out := statsapi.InterfaceStats{Name: i.GetName()}
	for _, v := range []struct {
		from *cri.UInt64Value
		to   **uint64
	}{{i.RxBytes, &out.RxBytes}, {i.RxErrors, &out.RxErrors}, {i.TxBytes, &out.TxBytes}, {i.TxErrors, &out.TxErrors}} {
		if v.from != nil {
			*v.to = &v.from.Value
		}
	}
	return out
}

// total sums up the containers where the runtime does not know the pod as a whole.
func total(s *statsapi.PodStats, now metav1.Time) {
	cpu, working, usage, rss := uint64(0), uint64(0), uint64(0), uint64(0)
	rate, rated := uint64(0), true
	for _, c := range s.Containers {
		if c.CPU != nil {
			cpu += *c.CPU.UsageCoreNanoSeconds
			if c.CPU.UsageNanoCores == nil {
				rated = false
			} else {
				rate += *c.CPU.UsageNanoCores
			}
		}
		if c.Memory != nil {
			working += value(c.Memory.WorkingSetBytes)
			usage += value(c.Memory.UsageBytes)
			rss += value(c.Memory.RSSBytes)
		}
	}
	if s.CPU == nil {
		s.CPU = &statsapi.CPUStats{Time: now, UsageCoreNanoSeconds: &cpu}
		if rated {
			s.CPU.UsageNanoCores = &rate
		}
	}
	if s.Memory == nil {
		s.Memory = &statsapi.MemoryStats{Time: now, WorkingSetBytes: &working, UsageBytes: &usage, RSSBytes: &rss}
	}
}

func value(n *uint64) uint64 {
	return ptr.Deref(n, 0)
}

// stamp is a runtime's time, or now where it gives none.
func stamp(nanos int64, now metav1.Time) time.Time {
	if nanos == 0 {
		return now.Time
	}
	return time.Unix(0, nanos)
}
