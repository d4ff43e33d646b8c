package runtime

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// Known is what the runtime has of one pod, and the pod as far as the runtime's labels tell of it.
type Known struct {
	Pod      *corev1.Pod
	Observed pod.Observed
}

// List observes all pods, coarsely: Observe knows more of one.
func (m *Manager) List(ctx context.Context) (map[types.UID]*Known, error) {
	sandboxes, err := m.Runtime.ListPodSandbox(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("listing the runtime's sandboxes: %w", err)
	}
	containers, err := m.Runtime.ListContainers(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("listing the runtime's containers: %w", err)
	}
	all := map[types.UID]*Known{}
	known := func(labels map[string]string) *Known {
		uid := types.UID(labels[labelPodUID])
		if uid == "" {
			return nil // another's
		}
		if all[uid] == nil {
			all[uid] = &Known{Pod: orphan(labels)}
		}
		return all[uid]
	}
	for _, s := range sandboxes {
		if k := known(s.GetLabels()); k != nil {
			k.Observed.Sandboxes = append(k.Observed.Sandboxes, sandboxOf(s))
		}
	}
	for _, c := range containers {
		if k := known(c.GetLabels()); k != nil {
			addContainer(k.Pod, c.GetLabels()[labelContainer], c.GetAnnotations())
			k.Observed.Containers = append(k.Observed.Containers, containerOf(c))
		}
	}
	for _, k := range all {
		k.Observed.Sort()
	}
	return all, nil
}

// Observe answers what the runtime has of a pod. Of before, what is known of containers that have ended is
// taken over, and not asked again.
func (m *Manager) Observe(ctx context.Context, uid types.UID, before *pod.Observed) (pod.Observed, error) {
	var o pod.Observed
	only := map[string]string{labelPodUID: string(uid)}
	sandboxes, err := m.Runtime.ListPodSandbox(ctx, &cri.PodSandboxFilter{LabelSelector: only})
	if err != nil {
		return o, fmt.Errorf("listing the pod's sandboxes: %w", err)
	}
	containers, err := m.Runtime.ListContainers(ctx, &cri.ContainerFilter{LabelSelector: only})
	if err != nil {
		return o, fmt.Errorf("listing the pod's containers: %w", err)
	}
	for _, s := range sandboxes {
		full := sandboxOf(s)
		if full.Ready {
			if full, err = m.Sandbox(ctx, s.GetId()); cri.IsNotFound(err) {
				continue
			} else if err != nil {
				return o, err
			}
		}
		o.Sandboxes = append(o.Sandboxes, full)
	}
	for _, c := range containers {
		if old := find(before, c.GetId()); old != nil && old.State == pod.Exited {
			o.Containers = append(o.Containers, *old)
			continue
		}
		full, err := m.Container(ctx, c.GetId(), c.GetPodSandboxId())
		if cri.IsNotFound(err) {
			continue
		}
		if err != nil {
			return o, err
		}
		o.Containers = append(o.Containers, full)
	}
	o.Sort()
	return o, nil
}

func find(o *pod.Observed, id string) *pod.Container {
	if o == nil {
		return nil
	}
	for i := range o.Containers {
		if o.Containers[i].ID == id {
			return &o.Containers[i]
		}
	}
	return nil
}

func sandboxOf(s *cri.PodSandbox) pod.Sandbox {
	return pod.Sandbox{ID: s.GetId(), Attempt: s.GetMetadata().GetAttempt(), Ready: s.GetState() == cri.SandboxReady, CreatedAt: time.Unix(0, s.GetCreatedAt())}
}

func containerOf(c *cri.Container) pod.Container {
	return pod.Container{
		ID: c.GetId(), Name: c.GetLabels()[labelContainer], SandboxID: c.GetPodSandboxId(), Attempt: c.GetMetadata().GetAttempt(),
		State: state(c.GetState()), Hash: c.GetAnnotations()[annotationHash], CreatedAt: time.Unix(0, c.GetCreatedAt()),
	}
}

func state(s cri.ContainerState) pod.State {
	switch s {
	case cri.ContainerCreated:
		return pod.Created
	case cri.ContainerRunning:
		return pod.Running
	case cri.ContainerExited:
		return pod.Exited
	default:
		return pod.Unknown
	}
}

// Sandbox observes one sandbox.
func (m *Manager) Sandbox(ctx context.Context, id string) (pod.Sandbox, error) {
	r, err := m.Runtime.PodSandboxStatus(ctx, id, false)
	if err != nil {
		return pod.Sandbox{}, fmt.Errorf("asking for the state of a sandbox: %w", err)
	}
	s := r.GetStatus()
	out := pod.Sandbox{
		ID: s.GetId(), Attempt: s.GetMetadata().GetAttempt(), Ready: s.GetState() == cri.SandboxReady, CreatedAt: time.Unix(0, s.GetCreatedAt()),
	}
	if ip := s.GetNetwork().GetIp(); ip != "" {
		out.IPs = append(out.IPs, ip)
	}
	for _, more := range s.GetNetwork().GetAdditionalIps() {
		out.IPs = append(out.IPs, more.GetIp())
	}
	return out, nil
}

// Container observes one container of a sandbox.
func (m *Manager) Container(ctx context.Context, id, sandboxID string) (pod.Container, error) {
	r, err := m.Runtime.ContainerStatus(ctx, id, false)
	if err != nil {
		return pod.Container{}, fmt.Errorf("asking for the state of a container: %w", err)
	}
	s := r.GetStatus()
	c := pod.Container{
		ID: s.GetId(), Name: s.GetLabels()[labelContainer], SandboxID: sandboxID, Attempt: s.GetMetadata().GetAttempt(),
		State: state(s.GetState()), Hash: s.GetAnnotations()[annotationHash],
		Image: s.GetImage().GetUserSpecifiedImage(), ImageID: s.GetImageRef(), LogPath: s.GetLogPath(),
		CreatedAt: time.Unix(0, s.GetCreatedAt()), StartedAt: time.Unix(0, s.GetStartedAt()), FinishedAt: time.Unix(0, s.GetFinishedAt()),
		ExitCode: s.GetExitCode(), Reason: s.GetReason(),
	}
	if c.Image == "" {
		c.Image = s.GetImage().GetImage()
	}
	if c.State == pod.Exited {
		c.Message = m.terminationMessage(s)
	}
	return c, nil
}
