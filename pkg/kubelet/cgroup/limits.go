package cgroup

import (
	"math"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

const (
	minShares = 2
	maxShares = 262144
	minQuota  = 1000 // microseconds: the kernel takes no less
)

// Shares turns milli-cpus into cpu shares, of which a whole cpu has 1024.
func Shares(milli int64) uint64 {
	return uint64(min(max(milli*1024/1000, minShares), maxShares))
}

// Quota turns a limit in milli-cpus into microseconds of each period; 0 for no limit.
func Quota(milli int64, period time.Duration) int64 {
	if milli == 0 {
		return 0
	}
	return max(milli*period.Microseconds()/1000, minQuota)
}

// Weight turns cpu shares into the weight of cgroup v2 such that the smallest, 1024 and the largest shares
// are 1, 100 and 10000, and what lies between is on a smooth curve.
func Weight(shares uint64) uint64 {
	switch {
	case shares <= minShares:
		return 1
	case shares >= maxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func podRequests(p *corev1.Pod) corev1.ResourceList {
	return resourcehelper.PodRequests(p, resourcehelper.PodResourcesOptions{})
}

// podLimits computes the settings of a pod's group. A limit holds for the whole pod only where every
// container has one.
func (m *Manager) podLimits(pod *corev1.Pod) Limits {
	requests := podRequests(pod)
	limits := resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})
	l := Limits{CPUShares: Shares(requests.Cpu().MilliValue()), HugePages: hugePages(limits)}
	if m.config.PidsLimit > 0 {
		l.Pids = m.config.PidsLimit
	}
	if QOS(pod) == corev1.PodQOSBestEffort {
		l.CPUShares = minShares
		return l
	}
	l.CPUPeriod = uint64(m.config.QuotaPeriod.Microseconds())
	l.CPUQuota, l.Memory = -1, -1
	if everywhere(pod, corev1.ResourceCPU) && m.config.CPUQuota {
		l.CPUQuota = Quota(limits.Cpu().MilliValue(), m.config.QuotaPeriod)
	}
	if everywhere(pod, corev1.ResourceMemory) {
		l.Memory = limits.Memory().Value()
	}
	return l
}

// everywhere says whether the pod, or each of its containers, has a limit of the resource.
func everywhere(pod *corev1.Pod, name corev1.ResourceName) bool {
	if r := pod.Spec.Resources; r != nil {
		if q, ok := r.Limits[name]; ok && !q.IsZero() {
			return true
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if q := list[i].Resources.Limits[name]; q.IsZero() {
				return false
			}
		}
	}
	return true
}

// hugePages reads hugepages-2Mi and the like, by the sizes that the kernel's files are named with.
func hugePages(list corev1.ResourceList) map[string]int64 {
	var pages map[string]int64
	for name, q := range list {
		size, ok := strings.CutPrefix(string(name), corev1.ResourceHugePagesPrefix)
		if !ok {
			continue
		}
		bytes, err := resource.ParseQuantity(size)
		if err != nil {
			continue
		}
		if pages == nil {
			pages = map[string]int64{}
		}
		pages[pageName(bytes.Value())] = q.Value()
	}
	return pages
}

func pageName(bytes int64) string {
	q := resource.NewQuantity(bytes, resource.BinarySI)
	return strings.TrimSuffix(q.String(), "i") + "B"
}

// Resources computes what the runtime is told of a container. memory is the node's capacity, in bytes.
func (m *Manager) Resources(pod *corev1.Pod, c *corev1.Container, memory int64) *cri.LinuxContainerResources {
	requests, limits := c.Resources.Requests, c.Resources.Limits
	r := &cri.LinuxContainerResources{OomScoreAdj: int64(OOMScoreAdj(pod, c, memory))}
	if own := podLevelLimits(pod); own != nil {
		limits = inherit(limits, own)
	}
	milli := requests.Cpu().MilliValue()
	if _, ok := requests[corev1.ResourceCPU]; !ok {
		milli = c.Resources.Limits.Cpu().MilliValue()
	}
	r.CpuShares = int64(Shares(milli))
	if m.config.CPUQuota {
		r.CpuPeriod = m.config.QuotaPeriod.Microseconds()
		r.CpuQuota = Quota(limits.Cpu().MilliValue(), m.config.QuotaPeriod)
	}
	r.MemoryLimitInBytes = limits.Memory().Value()
	if r.MemoryLimitInBytes > 0 && m.tree.hasSwap() {
		r.MemorySwapLimitInBytes = r.MemoryLimitInBytes // memory and swap together: no swap
	}
	for size, limit := range hugePages(limits) {
		r.HugepageLimits = append(r.HugepageLimits, &cri.HugepageLimit{PageSize: size, Limit: uint64(limit)})
	}
	if m.tree.version() == 2 && !m.config.SingleProcessOOMKill {
		r.Unified = map[string]string{"memory.oom.group": "1"}
	}
	return r
}

// SandboxResources is what the runtime is told of a pod as a whole: overhead and resources.
func (m *Manager) SandboxResources(pod *corev1.Pod) (overhead, resources *cri.LinuxContainerResources) {
	of := func(requests, limits corev1.ResourceList) *cri.LinuxContainerResources {
		r := &cri.LinuxContainerResources{
			CpuShares: int64(Shares(requests.Cpu().MilliValue())), MemoryLimitInBytes: limits.Memory().Value(),
		}
		if m.config.CPUQuota && !limits.Cpu().IsZero() {
			r.CpuPeriod = m.config.QuotaPeriod.Microseconds()
			r.CpuQuota = Quota(limits.Cpu().MilliValue(), m.config.QuotaPeriod)
		}
		return r
	}
	without := resourcehelper.PodResourcesOptions{ExcludeOverhead: true}
	overhead = &cri.LinuxContainerResources{}
	if len(pod.Spec.Overhead) > 0 {
		overhead = of(pod.Spec.Overhead, pod.Spec.Overhead)
	}
	return overhead, of(resourcehelper.PodRequests(pod, without), resourcehelper.PodLimits(pod, without))
}

func podLevelLimits(pod *corev1.Pod) corev1.ResourceList {
	if pod.Spec.Resources == nil {
		return nil
	}
	return pod.Spec.Resources.Limits
}

// inherit adds to a container's limits those of the pod that it has none of.
func inherit(limits, pods corev1.ResourceList) corev1.ResourceList {
	all := limits.DeepCopy()
	if all == nil {
		all = corev1.ResourceList{}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		if q, ok := pods[name]; ok {
			if _, has := all[name]; !has {
				all[name] = q
			}
		}
	}
	return all
}
