package pod

import (
	corev1 "k8s.io/api/core/v1"
)

// tally counts a pod's containers by what they are doing.
type tally struct{ running, waiting, stopped, succeeded, unknown int }

// Phase sums up a status's containers. ended says that the pod was told to end and has.
func Phase(p *corev1.Pod, s *corev1.PodStatus, ended bool) corev1.PodPhase {
	pending, failed := initTally(p, s)
	if failed && (p.Spec.RestartPolicy == corev1.RestartPolicyNever || ended) {
		return corev1.PodFailed
	}
	t := count(p, s)
	never := t.running == 0 && t.stopped == 0
	switch {
	case ended && t.running == 0 && !isStatic(p):
		if t.stopped > 0 && t.stopped == t.succeeded && t.waiting == 0 && t.unknown == 0 {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	case pending && never, t.waiting > 0:
		return corev1.PodPending
	case t.running > 0 && t.unknown == 0:
		return corev1.PodRunning
	case t.running == 0 && t.stopped > 0 && t.unknown == 0:
		return stoppedPhase(p, s, t)
	}
	return corev1.PodPending
}

// stoppedPhase is the phase of a pod all of whose containers have stopped.
func stoppedPhase(p *corev1.Pod, s *corev1.PodStatus, t tally) corev1.PodPhase {
	for i := range s.ContainerStatuses {
		if s.ContainerStatuses[i].State.Waiting != nil { // one of them will run again
			return corev1.PodRunning
		}
	}
	switch {
	case p.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return corev1.PodRunning
	case t.stopped == t.succeeded:
		return corev1.PodSucceeded
	case p.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	}
	return corev1.PodRunning
}

func isStatic(p *corev1.Pod) bool {
	source := p.Annotations["kubernetes.io/config.source"]
	return source != "" && source != "api"
}

// initTally says whether init containers are still to succeed, and whether one has failed.
func initTally(p *corev1.Pod, s *corev1.PodStatus) (pending, failed bool) {
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		st := find(s.InitContainerStatuses, c.Name)
		switch {
		case st == nil:
			pending = true
		case IsSidecar(c):
			pending = pending || st.Started == nil || !*st.Started
		case st.State.Running != nil:
			pending = true
		case st.State.Terminated != nil:
			failed = failed || st.State.Terminated.ExitCode != 0
			pending = pending || st.State.Terminated.ExitCode != 0
		case st.State.Waiting != nil:
			pending = true
			last := st.LastTerminationState.Terminated
			failed = failed || last != nil && last.ExitCode != 0
		}
	}
	return pending, failed
}

func count(p *corev1.Pod, s *corev1.PodStatus) tally {
	var t tally
	for i := range p.Spec.Containers {
		st := find(s.ContainerStatuses, p.Spec.Containers[i].Name)
		switch {
		case st == nil:
			t.unknown++
		case st.State.Running != nil:
			t.running++
		case st.State.Terminated != nil:
			t.stopped++
			if st.State.Terminated.ExitCode == 0 {
				t.succeeded++
			}
		case st.State.Waiting != nil:
			if st.LastTerminationState.Terminated != nil {
				t.stopped++
			} else {
				t.waiting++
			}
		default:
			t.unknown++
		}
	}
	return t
}

func find(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
