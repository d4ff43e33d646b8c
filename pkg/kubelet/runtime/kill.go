package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// leastGrace is what a container gets between the stop signal and the kill whatever was spent before.
const leastGrace = 2 * time.Second

// KillOptions say how a container is stopped.
type KillOptions struct {
	Grace   time.Duration
	Message string          // of the event; "": Stopping container NAME
	turn    <-chan struct{} // closed when the stop signal may be sent
}

// Grace is how long a container may take to end: what the pod's deletion, the failed probe ("liveness" or
// "startup"), or the pod's specification says.
func Grace(p *corev1.Pod, c *corev1.Container, failedProbe string) time.Duration {
	seconds := ptr.Deref(p.Spec.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if c != nil {
		probe := map[string]*corev1.Probe{"liveness": c.LivenessProbe, "startup": c.StartupProbe}[failedProbe]
		if probe != nil && probe.TerminationGracePeriodSeconds != nil {
			seconds = *probe.TerminationGracePeriodSeconds
		}
	}
	if p.DeletionGracePeriodSeconds != nil {
		seconds = *p.DeletionGracePeriodSeconds
	}
	return time.Duration(seconds) * time.Second
}

// Kill runs a container's preStop hook, sends the stop signal, and kills it when its grace is over. It
// returns when the container has ended.
func (m *Manager) Kill(ctx context.Context, p *corev1.Pod, c pod.Container, o KillOptions) error {
	o.Message = cmp.Or(o.Message, "Stopping container "+c.Name)
	m.Event(p, c.Name, corev1.EventTypeNormal, "Killing", o.Message)
	over := m.Clock.Now().Add(o.Grace)
	spec := pod.Find(p, c.Name)
	if spec != nil && spec.Lifecycle != nil && spec.Lifecycle.PreStop != nil && o.Grace > 0 {
		m.preStop(ctx, p, spec, c.ID, o.Grace)
	}
	if o.turn != nil {
		select {
		case <-o.turn:
		case <-m.Clock.After(max(0, over.Sub(m.Clock.Now()))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	left := max(over.Sub(m.Clock.Now()).Round(time.Second), leastGrace)
	if err := m.Runtime.StopContainer(ctx, c.ID, left); err != nil && !cri.IsNotFound(err) {
		return fmt.Errorf("stopping container %s: %w", c.Name, err)
	}
	return nil
}

// preStop runs the hook for at most the grace. Whatever becomes of it, the container is stopped.
func (m *Manager) preStop(ctx context.Context, p *corev1.Pod, c *corev1.Container, id string, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- m.Hooks.Run(ctx, p, c, id, p.Status.PodIP, c.Lifecycle.PreStop) }()
	select {
	case err := <-done:
		if err != nil {
			m.Log.Info("A preStop hook failed", "pod", name(p), "container", c.Name, "err", err.Error())
			m.Event(p, c.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
		}
	case <-ctx.Done():
		m.Log.Info("A preStop hook did not end within the grace period", "pod", name(p), "container", c.Name)
	}
}

// KillAll stops containers at once; only the sidecars wait until all others have ended, and then end in the
// reverse of the order in which they started. It returns when all have ended.
func (m *Manager) KillAll(ctx context.Context, p *corev1.Pod, list []pod.Container, grace time.Duration) error {
	rank := map[string]int{} // 0: not a sidecar; the higher, the sooner it ends
	for i := range p.Spec.InitContainers {
		if pod.IsSidecar(&p.Spec.InitContainers[i]) {
			rank[p.Spec.InitContainers[i].Name] = i + 1
		}
	}
	var all, before sync.WaitGroup
	errs := make([]error, len(list))
	stop := func(i int, o KillOptions, done func()) {
		defer done()
		defer all.Done()
		errs[i] = m.Kill(ctx, p, list[i], o)
	}
	all.Add(len(list))
	for i := range list {
		if rank[list[i].Name] == 0 {
			before.Add(1)
			go stop(i, KillOptions{Grace: grace}, before.Done)
		}
	}
	first := make(chan struct{})
	go func() { before.Wait(); close(first) }()
	turn := first
	for i := len(p.Spec.InitContainers); i > 0; i-- {
		for j := range list {
			if rank[list[j].Name] != i {
				continue
			}
			next := make(chan struct{})
			go stop(j, KillOptions{Grace: grace, turn: turn}, func() { close(next) })
			turn = next
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// RemoveContainer removes a container that has ended, and its logs.
func (m *Manager) RemoveContainer(ctx context.Context, p *corev1.Pod, c pod.Container) error {
	if err := m.Runtime.RemoveContainer(ctx, c.ID); err != nil && !cri.IsNotFound(err) {
		return fmt.Errorf("removing container %s: %w", c.Name, err)
	}
	if m.LinksDir != "" {
		_ = os.Remove(m.linkPath(p, c.Name, c.ID)) // a link that is not there is gone
	}
	log := filepath.Join(m.LogDir(p), logFile(c.Name, c.Attempt))
	rotated, _ := filepath.Glob(log + ".*") // the pattern is well formed
	for _, file := range append(rotated, log) {
		if strings.HasPrefix(file, m.LogsDir) {
			_ = os.Remove(file)
		}
	}
	return nil
}

// RemoveLogs removes what is left of a pod's logs.
func (m *Manager) RemoveLogs(p *corev1.Pod) error {
	if err := os.RemoveAll(m.LogDir(p)); err != nil {
		return fmt.Errorf("removing the pod's logs: %w", err)
	}
	return nil
}
