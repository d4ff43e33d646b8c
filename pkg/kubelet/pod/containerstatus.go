package pod

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reasons of containers that wait or have ended.
const (
	ContainerCreating = "ContainerCreating"
	PodInitializing   = "PodInitializing"
	CrashLoopBackOff  = "CrashLoopBackOff"
	StatusUnknown     = "ContainerStatusUnknown"
)

func (f *Facts) statuses(spec []*corev1.Container, old []corev1.ContainerStatus, init bool) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(spec))
	for _, c := range spec {
		out = append(out, f.containerStatus(c, find(old, c.Name), init))
	}
	if init { // as upstream lists them: in the order of the specification; containers proper go by name
		return out
	}
	slices.SortStableFunc(out, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (f *Facts) ephemeralStatuses(old []corev1.ContainerStatus) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range f.Pod.Spec.EphemeralContainers {
		c := corev1.Container(f.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		st := f.containerStatus(&c, find(old, c.Name), false)
		st.Started, st.Ready = nil, false
		st.AllocatedResources, st.Resources = nil, nil
		out = append(out, st)
	}
	slices.SortStableFunc(out, func(a, b corev1.ContainerStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// containerStatus tells of one container: what it does now, and how the one before it ended.
func (f *Facts) containerStatus(c *corev1.Container, old *corev1.ContainerStatus, init bool) corev1.ContainerStatus {
	latest := f.Observed.Latest(c.Name)
	if latest == nil {
		return f.unseenStatus(c, old)
	}
	st := corev1.ContainerStatus{
		Name: c.Name, Image: latest.Image, ImageID: latest.ImageID, RestartCount: int32(latest.Attempt),
		ContainerID: f.id(latest.ID), State: f.state(latest), VolumeMounts: volumeMounts(c),
	}
	if before := f.Observed.previous(c.Name); before != nil {
		st.LastTerminationState = corev1.ContainerState{Terminated: f.terminated(before)}
	} else if old != nil && old.ContainerID == st.ContainerID && latest.Attempt > 0 {
		st.LastTerminationState = *old.LastTerminationState.DeepCopy() // its traces were removed
	}
	keepMessage(&st, old)
	started := latest.State == Running
	if started {
		h := f.healthOf(latest.ID)
		started = h.Started
		st.Ready = started && h.Ready
		setResources(&st, c)
	}
	if init && !IsSidecar(c) {
		st.Ready = latest.State == Exited && latest.ExitCode == 0
	}
	st.Started = &started
	if latest.State != Exited || shouldRestart(f.Pod, c, init && IsSidecar(c), latest) {
		f.overlayWaiting(c, &st)
	}
	return st
}

// keepMessage keeps a termination message that was read before its file was removed.
func keepMessage(st, old *corev1.ContainerStatus) {
	if old == nil {
		return
	}
	for _, t := range []*corev1.ContainerStateTerminated{st.State.Terminated, st.LastTerminationState.Terminated} {
		for _, before := range []*corev1.ContainerStateTerminated{old.State.Terminated, old.LastTerminationState.Terminated} {
			if t != nil && before != nil && t.ContainerID == before.ContainerID && t.Message == "" {
				t.Message = before.Message
			}
		}
	}
}

// healthOf is what the probes say; without probes all are well.
func (f *Facts) healthOf(id string) Health {
	if f.Health == nil {
		return Health{Started: true, Ready: true}
	}
	return f.Health(id)
}

// overlayWaiting shows a container that has ended and will run again as one that waits.
func (f *Facts) overlayWaiting(c *corev1.Container, st *corev1.ContainerStatus) {
	if f.Ending || st.State.Running != nil {
		return
	}
	reason, ok := f.waitingReason(c.Name, st)
	if !ok {
		return
	}
	if st.State.Terminated != nil {
		st.LastTerminationState = st.State
	}
	st.State = corev1.ContainerState{Waiting: reason}
}

func (f *Facts) waitingReason(name string, st *corev1.ContainerStatus) (*corev1.ContainerStateWaiting, bool) {
	if fail, ok := f.Failures[name]; ok {
		return &corev1.ContainerStateWaiting{Reason: fail.Reason, Message: fail.Message}, true
	}
	if f.Actions == nil {
		return nil, false
	}
	if _, waits := f.Actions.Waiting[name]; waits && st.State.Terminated != nil {
		return &corev1.ContainerStateWaiting{Reason: CrashLoopBackOff, Message: BackoffMessage(f.Pod, name, f.Backoff[name].Delay)}, true
	}
	return nil, false
}

// BackoffMessage is what a container that waits for its next start says.
func BackoffMessage(p *corev1.Pod, container string, delay time.Duration) string {
	return "back-off " + delay.String() + " restarting failed container=" + container + " pod=" + p.Name + "_" + p.Namespace + "(" + string(p.UID) + ")"
}

// unseenStatus tells of a container that the runtime does not have: not yet, or not any more.
func (f *Facts) unseenStatus(c *corev1.Container, old *corev1.ContainerStatus) corev1.ContainerStatus {
	no := false
	st := corev1.ContainerStatus{Name: c.Name, Image: c.Image, Started: &no, VolumeMounts: volumeMounts(c)}
	switch {
	case old != nil && old.State.Terminated != nil:
		kept := *old.DeepCopy()
		kept.Started = &no
		return kept
	case old != nil && old.State.Running != nil:
		st.RestartCount, st.ImageID = old.RestartCount+1, old.ImageID
		lost := &corev1.ContainerStateTerminated{
			Reason: StatusUnknown, ExitCode: 137, ContainerID: old.ContainerID, Message: "The container could not be located when the pod was deleted.  The container used to be Running",
		}
		if f.Ended {
			st.RestartCount = old.RestartCount
			st.State.Terminated = lost
			return st
		}
		st.LastTerminationState.Terminated = lost
	case old != nil:
		st.RestartCount, st.LastTerminationState = old.RestartCount, *old.LastTerminationState.DeepCopy()
	}
	reason := ContainerCreating
	if len(f.Pod.Spec.InitContainers) > 0 {
		reason = PodInitializing
	}
	st.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason}
	if old != nil && f.Ending && old.State.Waiting != nil {
		st.State = *old.State.DeepCopy()
	}
	if fail, ok := f.Failures[c.Name]; ok && !f.Ending {
		st.State.Waiting = &corev1.ContainerStateWaiting{Reason: fail.Reason, Message: fail.Message}
	}
	return st
}

func (f *Facts) id(id string) string { return f.RuntimeName + "://" + id }

func (f *Facts) state(c *Container) corev1.ContainerState {
	switch c.State {
	case Running:
		return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.StartedAt)}}
	case Exited:
		return corev1.ContainerState{Terminated: f.terminated(c)}
	case Created:
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: ContainerCreating}}
	default:
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: StatusUnknown, ExitCode: 137, ContainerID: f.id(c.ID),
			Message: "The container could not be located when the pod was terminated",
		}}
	}
}

func (f *Facts) terminated(c *Container) *corev1.ContainerStateTerminated {
	reason := c.Reason
	if reason == "" {
		reason = "Completed"
		if c.ExitCode != 0 {
			reason = "Error"
		}
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: c.ExitCode, Reason: reason, Message: c.Message,
		StartedAt: metav1.NewTime(c.StartedAt), FinishedAt: metav1.NewTime(c.FinishedAt), ContainerID: f.id(c.ID),
	}
}

// setResources tells what a running container was given.
func setResources(st *corev1.ContainerStatus, c *corev1.Container) {
	st.AllocatedResources = c.Resources.Requests.DeepCopy()
	r := corev1.ResourceRequirements{Requests: c.Resources.Requests.DeepCopy(), Limits: c.Resources.Limits.DeepCopy()}
	st.Resources = &r
}

func volumeMounts(c *corev1.Container) []corev1.VolumeMountStatus {
	var out []corev1.VolumeMountStatus
	for _, m := range c.VolumeMounts {
		st := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			disabled := corev1.RecursiveReadOnlyDisabled
			st.RecursiveReadOnly = &disabled
		}
		out = append(out, st)
	}
	return out
}
