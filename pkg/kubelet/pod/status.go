package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Facts is all that a pod's status depends on. It is only read.
type Facts struct {
	Input
	RuntimeName string         // as in the container ids: "containerd"
	HostIPs     []string       // the node's addresses
	StartTime   time.Time      // when this kubelet first saw the pod; the API's older one wins
	Ending      bool           // it was told to end: nothing is restarted
	Ended       bool           // it was told to end and nothing of it runs any more
	Failed      *Reason        // the kubelet gave it up
	Actions     *Actions       // what waits for its back-off
	Extra       []PodCondition // of this kubelet's making beside the usual ones
}

// Reason says why a pod failed as a whole.
type Reason struct{ Reason, Message string }

// PodCondition is the API's.
type PodCondition = corev1.PodCondition

// Status is the pod's status, to be written to the apiserver. What others write there (other conditions,
// nominations, ...) is kept.
func Status(f Facts) corev1.PodStatus {
	old := &f.Pod.Status
	s := *old.DeepCopy()
	s.ObservedGeneration = f.Pod.Generation
	s.InitContainerStatuses = f.statuses(containersOf(f.Pod.Spec.InitContainers), old.InitContainerStatuses, true)
	s.ContainerStatuses = f.statuses(containersOf(f.Pod.Spec.Containers), old.ContainerStatuses, false)
	s.EphemeralContainerStatuses = f.ephemeralStatuses(old.EphemeralContainerStatuses)
	if s.QOSClass == "" {
		s.QOSClass = QOS(f.Pod)
	}
	if s.StartTime == nil {
		t := metav1.NewTime(f.StartTime).Rfc3339Copy()
		s.StartTime = &t
	}
	if f.Failed != nil && len(f.Observed.Containers) == 0 && len(old.ContainerStatuses) == 0 {
		s.InitContainerStatuses, s.ContainerStatuses = nil, nil // it was turned away at the door
	}
	f.addresses(&s)
	f.phase(&s, old)
	if f.Ended {
		endWaiting(s.ContainerStatuses)
	}
	f.conditions(&s, old)
	return s
}

func containersOf(list []corev1.Container) []*corev1.Container {
	out := make([]*corev1.Container, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}

// endWaiting turns containers that never ran, or were not seen to end, of a pod that has ended into ended
// ones: nothing will come of them.
func endWaiting(list []corev1.ContainerStatus) {
	for i := range list {
		if list[i].State.Waiting != nil {
			list[i].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: StatusUnknown, ExitCode: 137, Message: "The container could not be located when the pod was terminated",
			}}
		}
	}
}

// addresses sets the pod's and the node's. A pod that has ended keeps what it had.
func (f *Facts) addresses(s *corev1.PodStatus) {
	if len(f.HostIPs) > 0 {
		s.HostIP, s.HostIPs = f.HostIPs[0], nil
		for _, ip := range f.HostIPs {
			s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
		}
	}
	ips := PodIPs(f.Pod, f.Observed, f.HostIPs)
	if len(ips) == 0 {
		return
	}
	s.PodIP, s.PodIPs = ips[0], nil
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

// PodIPs are the addresses of a pod whose sandbox runs, none before.
func PodIPs(p *corev1.Pod, o *Observed, hostIPs []string) []string {
	s := o.Sandbox()
	if s == nil || !s.Ready {
		return nil
	}
	if p.Spec.HostNetwork {
		return hostIPs
	}
	return s.IPs
}

func (f *Facts) phase(s, old *corev1.PodStatus) {
	switch {
	case IsTerminal(old.Phase): // an end is final, whatever is seen afterwards
		s.Phase, s.Reason, s.Message = old.Phase, old.Reason, old.Message
	case f.Failed != nil:
		s.Phase, s.Reason, s.Message = corev1.PodFailed, f.Failed.Reason, f.Failed.Message
	default:
		s.Phase, s.Reason, s.Message = Phase(f.Pod, s, f.Ended), "", ""
		if f.Pod.DeletionTimestamp != nil {
			s.Reason, s.Message = old.Reason, old.Message // NodeLost, for one, is another's to say
		}
	}
}

// IsTerminal says whether nothing of the pod will run again.
func IsTerminal(p corev1.PodPhase) bool { return p == corev1.PodSucceeded || p == corev1.PodFailed }
