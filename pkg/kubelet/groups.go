package kubelet

import (
	"errors"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cgroup"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// groups are the node's control groups as the runtime manager wants them.
type groups struct {
	*cgroup.Manager
	memory func() int64 // of the node, in bytes
}

// newGroups makes the tree of control groups under the configured root.
func newGroups(k *kubelet) (*groups, error) {
	cfg := &k.cfg.Kubelet
	enforce := false
	for _, what := range cfg.EnforceNodeAllocatable {
		enforce = enforce || what == "pods"
	}
	m, err := cgroup.New(cgroup.Config{
		Driver: cfg.CgroupDriver, Root: cfg.CgroupRoot, PerQOS: *cfg.CgroupsPerQOS, CPUQuota: *cfg.CPUCFSQuota,
		QuotaPeriod: cfg.CPUCFSQuotaPeriod.Duration, PidsLimit: *cfg.PodPidsLimit, EnforcePods: enforce,
		SingleProcessOOMKill: *cfg.SingleProcessOOMKill, Clock: k.clock, Log: k.log,
	})
	if err != nil {
		return nil, err
	}
	if *cfg.FailCgroupV1 && m.Version() == 1 {
		return nil, errors.New("this machine has cgroup v1: boot it with cgroup v2, or start the kubelet with --fail-cgroupv1=false")
	}
	return &groups{Manager: m, memory: func() int64 { return k.memory() }}, nil
}

// Resources is what the runtime is told of a container.
func (g *groups) Resources(p *corev1.Pod, c *corev1.Container) *cri.LinuxContainerResources {
	return g.Manager.Resources(p, c, g.memory())
}
