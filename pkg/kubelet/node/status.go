package node

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// maxImageNames is how many names of one image are told.
const maxImageNames = 5

// setStatus computes the status of n, which holds the previous one, and answers the events of what
// changed.
func (m *Manager) setStatus(n *corev1.Node) []nodeEvent {
	m.mu.Lock()
	machine, capacity, allocatable, rt := m.machine, m.capacity, m.allocatable, m.runtime
	m.mu.Unlock()
	s := &n.Status
	s.Capacity = withForeign(capacity, s.Capacity)
	s.Allocatable = withForeign(allocatable, s.Allocatable)
	if !m.config.ExternalCloud || len(s.Addresses) == 0 {
		s.Addresses = m.addresses()
	}
	s.DaemonEndpoints.KubeletEndpoint.Port = m.config.Port
	var events []nodeEvent
	if before := s.NodeInfo.BootID; before != "" && machine.BootID != "" && before != machine.BootID {
		events = append(events, nodeEvent{corev1.EventTypeWarning, "Rebooted",
			fmt.Sprintf("Node %s has been rebooted, boot id: %s", n.Name, machine.BootID)})
	}
	s.NodeInfo = corev1.NodeSystemInfo{
		MachineID: machine.MachineID, SystemUUID: machine.SystemUUID, BootID: machine.BootID,
		KernelVersion: machine.Kernel, OSImage: machine.OSImage,
		ContainerRuntimeVersion: rt.version, KubeletVersion: daemon.Version,
		OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
	}
	if machine.Swap > 0 {
		s.NodeInfo.Swap = &corev1.NodeSwapStatus{Capacity: &machine.Swap}
	}
	if rt.handlers != nil {
		s.RuntimeHandlers = rt.handlers
	}
	if rt.images != nil {
		s.Images = rt.images
	}
	return append(events, m.setConditions(s, n.Name, rt)...)
}

type nodeEvent struct{ eventType, reason, message string }

func (m *Manager) setConditions(s *corev1.NodeStatus, name string, rt runtimeState) []nodeEvent {
	now := metav1.NewTime(m.config.Clock.Now())
	var events []nodeEvent
	for _, c := range []corev1.NodeCondition{
		// Nothing is evicted yet, so nothing is said to run out.
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		m.ready(rt),
	} {
		if setCondition(s, c, now) {
			reason := strings.Replace(c.Reason, "Kubelet", "Node", 1)
			events = append(events, nodeEvent{corev1.EventTypeNormal, reason, fmt.Sprintf("Node %s status is now: %s", name, reason)})
		}
	}
	return events
}

// ready is the condition Ready: every reason why not, or that there is none.
func (m *Manager) ready(rt runtimeState) corev1.NodeCondition {
	var why []string
	if !rt.asked {
		why = append(why, "container runtime status check may not have completed yet")
	}
	for _, err := range []error{rt.runtime, rt.network} {
		if err != nil {
			why = append(why, err.Error())
		}
	}
	switch len(why) {
	case 0:
		return corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"}
	case 1:
		return corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: why[0]}
	}
	return corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "[" + strings.Join(why, ", ") + "]"}
}

// setCondition keeps the time of the last transition; changed tells of one.
func setCondition(s *corev1.NodeStatus, c corev1.NodeCondition, now metav1.Time) (changed bool) {
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	for i, old := range s.Conditions {
		if old.Type != c.Type {
			continue
		}
		changed = old.Status != c.Status
		if !changed {
			c.LastTransitionTime = old.LastTransitionTime
		}
		s.Conditions[i] = c
		return changed
	}
	s.Conditions = append(s.Conditions, c)
	return true
}

// withForeign adds the resources that others, device plugins for one, have put into the status.
func withForeign(own, reported corev1.ResourceList) corev1.ResourceList {
	all := own.DeepCopy()
	for name, q := range reported {
		if _, ok := all[name]; !ok && strings.Contains(string(name), "/") {
			all[name] = q
		}
	}
	return all
}

func (m *Manager) addresses() []corev1.NodeAddress {
	var all []corev1.NodeAddress
	for _, ip := range m.config.IPs {
		all = append(all, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip.String()})
	}
	return append(all, corev1.NodeAddress{Type: corev1.NodeHostName, Address: m.config.Hostname})
}

// nodeImages lists the largest images, as the scheduler wants to know where a pull can be saved.
func nodeImages(images []*cri.Image, most int32) []corev1.ContainerImage {
	sorted := slices.Clone(images)
	slices.SortStableFunc(sorted, func(a, b *cri.Image) int {
		return cmp.Or(cmp.Compare(b.GetSize(), a.GetSize()), strings.Compare(a.GetId(), b.GetId()))
	})
	if most >= 0 && len(sorted) > int(most) {
		sorted = sorted[:most]
	}
	all := []corev1.ContainerImage{}
	for _, image := range sorted {
		names := append(slices.Clone(image.GetRepoDigests()), image.GetRepoTags()...)
		if len(names) > maxImageNames {
			names = names[:maxImageNames]
		}
		all = append(all, corev1.ContainerImage{Names: names, SizeBytes: int64(image.GetSize())})
	}
	return all
}
