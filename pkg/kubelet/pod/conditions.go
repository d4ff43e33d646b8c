package pod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions sets the five of the kubelet, and the extra ones, and leaves others as they are.
func (f *Facts) conditions(s, old *corev1.PodStatus) {
	containers := f.containersReady(s)
	own := []corev1.PodCondition{
		f.sandboxCondition(),
		f.initializedCondition(s),
		readyCondition(f.Pod, s, containers),
		containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
	}
	own = append(own, f.Extra...)
	now := metav1.NewTime(f.Now).Rfc3339Copy()
	for i := range own {
		c := &own[i]
		c.ObservedGeneration, c.LastTransitionTime = f.Pod.Generation, now
		if before := condition(old, c.Type); before != nil && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		}
	}
	for _, c := range old.Conditions {
		if condition(&corev1.PodStatus{Conditions: own}, c.Type) == nil {
			own = append(own, c)
		}
	}
	s.Conditions = own
}

func condition(s *corev1.PodStatus, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}

func status(holds bool) corev1.ConditionStatus {
	if holds {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// sandboxCondition tells whether the pod has a sandbox with a network.
func (f *Facts) sandboxCondition() corev1.PodCondition {
	s := f.Observed.Sandbox()
	return corev1.PodCondition{
		Type:   corev1.PodReadyToStartContainers,
		Status: status(s != nil && s.Ready && (f.Pod.Spec.HostNetwork || len(s.IPs) > 0)),
	}
}

func (f *Facts) initializedCondition(s *corev1.PodStatus) corev1.PodCondition {
	out := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		out.Reason = "PodCompleted"
		return out
	}
	if anyRegularStarted(s) { // its sidecars may be restarting now
		return out
	}
	var incomplete []string
	for i := range f.Pod.Spec.InitContainers {
		c := &f.Pod.Spec.InitContainers[i]
		st := find(s.InitContainerStatuses, c.Name)
		if IsSidecar(c) {
			if st == nil || st.Started == nil || !*st.Started {
				incomplete = append(incomplete, c.Name)
			}
		} else if st == nil || !st.Ready {
			incomplete = append(incomplete, c.Name)
		}
	}
	if len(incomplete) > 0 {
		out.Status, out.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		out.Message = named("containers with incomplete status", incomplete)
	}
	return out
}

func anyRegularStarted(s *corev1.PodStatus) bool {
	for i := range s.ContainerStatuses {
		if s.ContainerStatuses[i].State.Running != nil || s.ContainerStatuses[i].State.Terminated != nil {
			return true
		}
	}
	return false
}

func named(what string, names []string) string { return what + ": [" + strings.Join(names, " ") + "]" }

// containersReady looks at the containers proper and at the sidecars.
func (f *Facts) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	out := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	var unready []string
	for i := range f.Pod.Spec.InitContainers {
		c := &f.Pod.Spec.InitContainers[i]
		if st := find(s.InitContainerStatuses, c.Name); IsSidecar(c) && (st == nil || !st.Ready) {
			unready = append(unready, c.Name)
		}
	}
	for i := range f.Pod.Spec.Containers {
		name := f.Pod.Spec.Containers[i].Name
		if st := find(s.ContainerStatuses, name); st == nil || !st.Ready {
			unready = append(unready, name)
		}
	}
	switch {
	case s.Phase == corev1.PodSucceeded:
		out.Reason = "PodCompleted"
	case s.Phase == corev1.PodFailed:
		out.Reason = "PodFailed"
	case len(unready) > 0:
		out.Reason, out.Message = "ContainersNotReady", named("containers with unready status", unready)
	default:
		out.Status = corev1.ConditionTrue
	}
	return out
}

// readyCondition adds the readiness gates, which others open.
func readyCondition(p *corev1.Pod, s *corev1.PodStatus, containers corev1.PodCondition) corev1.PodCondition {
	out := containers
	out.Type = corev1.PodReady
	if containers.Status != corev1.ConditionTrue {
		return out
	}
	var closed []string
	for _, gate := range p.Spec.ReadinessGates {
		c := condition(s, gate.ConditionType)
		switch {
		case c == nil:
			closed = append(closed, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", string(gate.ConditionType)))
		case c.Status != corev1.ConditionTrue:
			closed = append(closed, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", string(gate.ConditionType), c.Status))
		}
	}
	if len(closed) > 0 {
		out.Status, out.Reason, out.Message = corev1.ConditionFalse, "ReadinessGatesNotReady", strings.Join(closed, ", ")
	}
	return out
}
