package kubelet

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
	"github.com/sampan-project/sampan/pkg/kubelet/volume"
)

// rounds bounds how many plans one step carries out: a sandbox, init containers that end at once.
const rounds = 10

// live goes one step with a pod that is to run, and answers when to look again.
func (w *worker) live(ctx context.Context, refresh bool) time.Time {
	if !w.admitted {
		if w.static && w.predecessor(w) {
			return time.Time{} // woken when that one has ended
		}
		if reason := w.admit(w); reason != nil {
			w.reject(*reason)
			return time.Time{}
		}
		w.admitted = true
		w.takeRoom(w.pod)
		w.Objects.Register(w.pod)
		w.publish(false)
	}
	if over := w.deadline(); over {
		return time.Time{}
	}
	if refresh {
		w.volumesRetry.ok()
		for name, f := range w.failures {
			f.RetryAt = time.Time{}
			w.failures[name] = f
		}
	}
	if w.volumes && (refresh || w.refreshDue()) {
		w.Objects.Register(w.pod)
		w.setUpVolumes(ctx)
	}
	for range rounds {
		w.last = pod.Plan(w.input())
		again := w.act(ctx)
		if ctx.Err() != nil {
			break
		}
		w.tellBackoff()
		w.publish(false)
		if !again || w.final {
			break
		}
	}
	return w.nextLook()
}

func (w *worker) refreshDue() bool {
	at := w.Volumes.RefreshAt(w.uid)
	return !at.IsZero() && !at.After(w.Clock.Now()) && !w.volumesRetry.waits(w.Clock.Now())
}

// deadline says whether the pod has run for as long as it may; it then fails.
func (w *worker) deadline() bool {
	at := w.deadlineAt()
	if at.IsZero() || at.After(w.Clock.Now()) {
		return false
	}
	w.failed = &pod.Reason{Reason: "DeadlineExceeded", Message: "Pod was active on the node longer than the specified deadline"}
	w.Event(w.pod, "", corev1.EventTypeNormal, "DeadlineExceeded", w.failed.Message)
	return true
}

func (w *worker) deadlineAt() time.Time {
	if w.pod.Spec.ActiveDeadlineSeconds == nil {
		return time.Time{}
	}
	return w.started.Add(time.Duration(*w.pod.Spec.ActiveDeadlineSeconds) * time.Second)
}

// reject fails a pod that cannot run on this node.
func (w *worker) reject(r pod.Reason) {
	w.failed = &r
	w.Event(w.pod, "", corev1.EventTypeWarning, r.Reason, r.Message)
}

// nextLook is the first time at which something is to be done that nobody tells of.
func (w *worker) nextLook() time.Time {
	var first time.Time
	for _, t := range []time.Time{
		w.last.WakeAt(), w.deadlineAt(), w.Volumes.RefreshAt(w.uid), w.sandboxRetry.at, w.volumesRetry.at, w.stopRetry.at,
	} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// act carries the last plan out and says whether another should be made at once.
func (w *worker) act(ctx context.Context) bool {
	for _, k := range w.last.Kill {
		w.kill(k)
	}
	if w.last.StopPod {
		return w.stopPod(ctx)
	}
	if w.last.NewSandbox {
		return w.newSandbox(ctx)
	}
	if len(w.last.Start) == 0 {
		return false
	}
	if !w.volumes && !w.setUpVolumes(ctx) {
		return false
	}
	// One after the other: a container may count on those before it, and on their postStart hooks.
	for i, s := range w.last.Start {
		w.start(ctx, s)
		if ctx.Err() != nil {
			return false
		}
		if i < len(w.last.Start)-1 {
			w.publish(false)
		}
	}
	return true
}

// newSandbox makes the pod's sandbox, with its volumes before.
func (w *worker) newSandbox(ctx context.Context) bool {
	if w.sandboxRetry.waits(w.Clock.Now()) || !w.volumes && !w.setUpVolumes(ctx) {
		return false
	}
	if w.last.SandboxAttempt > 0 {
		w.Event(w.pod, "", corev1.EventTypeNormal, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
	}
	s, err := w.Runtime.CreateSandbox(ctx, w.pod, w.last.SandboxAttempt)
	if err != nil {
		w.seen = false // whatever it left behind counts
		if ctx.Err() == nil {
			w.sandboxFailed(ctx, err)
		}
		return false
	}
	w.sandboxRetry.ok()
	w.observed.PutSandbox(s)
	w.show()
	return true
}

func (w *worker) sandboxFailed(ctx context.Context, err error) {
	w.sandboxRetry.failed(w.Clock.Now(), time.Second, 15*time.Second)
	if reason := w.networkDown(ctx); reason != "" && !w.pod.Spec.HostNetwork {
		w.Event(w.pod, "", corev1.EventTypeWarning, "NetworkNotReady", "network is not ready: container runtime network not ready: "+reason)
		return
	}
	w.Log.Info("A pod's sandbox could not be made; trying again", "pod", w.name(), "in", w.sandboxRetry.delay, "err", err.Error())
	w.Event(w.pod, "", corev1.EventTypeWarning, "FailedCreatePodSandBox", "Failed to create pod sandbox: "+errors.Unwrap(err).Error())
}

// networkDown is what the runtime says of its network where that is not ready.
func (w *worker) networkDown(ctx context.Context) string {
	r, err := w.CRI.Status(ctx, false)
	if err != nil {
		return ""
	}
	for _, c := range r.GetStatus().GetConditions() {
		if c.GetType() == cri.NetworkReady && !c.GetStatus() {
			return fmt.Sprintf("NetworkReady=false reason:%s message:%s", c.GetReason(), c.GetMessage())
		}
	}
	return ""
}

// setUpVolumes says whether all of them are in place.
func (w *worker) setUpVolumes(ctx context.Context) bool {
	if w.volumesRetry.waits(w.Clock.Now()) {
		return w.volumes
	}
	err := w.Volumes.Setup(ctx, w.view())
	if err == nil {
		w.volumes = true
		w.volumesRetry.ok()
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	w.volumesRetry.failed(w.Clock.Now(), time.Second, 2*time.Minute)
	for _, one := range each(err) {
		w.Event(w.pod, "", corev1.EventTypeWarning, "FailedMount", one.Error())
	}
	return w.volumes
}

// each takes an error apart into those of single volumes.
func each(err error) []error {
	var joined interface{ Unwrap() []error }
	var one *volume.MountError
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	if errors.As(err, &one) {
		return []error{one}
	}
	return []error{err}
}

// start starts one container and notes how that went.
func (w *worker) start(ctx context.Context, s pod.Start) {
	if !s.Ended.IsZero() {
		w.backoff[s.Name] = w.backoff[s.Name].Next(s.Ended, w.Clock.Now())
	}
	delete(w.waiting, s.Name)
	made, err := w.Runtime.StartContainer(ctx, w.view(), &w.observed, s)
	if made != nil {
		w.observed.Put(*made)
		w.show()
	}
	var failure *runtime.Error
	switch {
	case err == nil:
		delete(w.failures, s.Name)
	case errors.As(err, &failure):
		w.failures[s.Name] = pod.Failure{Reason: failure.Reason, Message: failure.Message, RetryAt: failure.RetryAt}
		if made == nil {
			w.seen = false // it may have been made all the same
		}
	default:
		w.seen = false
	}
}

// tellBackoff tells once of every container that came to wait for its next start.
func (w *worker) tellBackoff() {
	for name, until := range w.last.Waiting {
		c := w.observed.Latest(name)
		if w.waiting[name].Equal(until) || c == nil || c.State != pod.Exited || w.backoff[name].Until(c.FinishedAt) != until {
			continue
		}
		w.waiting[name] = until
		w.failures[name] = pod.Failure{Reason: pod.CrashLoopBackOff, Message: pod.BackoffMessage(w.pod, name, w.backoff[name].Delay)}
		w.Event(w.pod, name, corev1.EventTypeWarning, "BackOff",
			fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)", name, w.pod.Name, w.pod.Namespace, w.pod.UID))
	}
}

// kill stops one container beside the worker, which is told when it has ended.
func (w *worker) kill(k pod.Kill) {
	h := w.health(k.Container.ID)
	failed := ""
	switch {
	case h.Unhealthy:
		failed = "liveness"
	case h.Stillborn:
		failed = "startup"
	}
	grace := runtime.Grace(w.pod, pod.Find(w.pod, k.Container.Name), failed)
	w.stopping[k.Container.ID] = w.Clock.Now().Add(grace)
	p := w.view()
	w.beside([]string{k.Container.ID}, func(ctx context.Context) error {
		return w.Runtime.Kill(ctx, p, k.Container, runtime.KillOptions{Grace: grace, Message: k.Message})
	})
}

// beside runs what takes its time in a goroutine of its own, and tells the worker of its end.
func (w *worker) beside(ids []string, run func(ctx context.Context) error) {
	w.all.Go(func() {
		err := run(w.ctx)
		if err != nil && w.ctx.Err() == nil {
			w.Log.Error(err, "Stopping containers", "pod", w.uid)
			select { // not again at once
			case <-w.Clock.After(time.Second):
			case <-w.ctx.Done():
			}
		}
		w.tell(func(m *mail) {
			m.ended = append(m.ended, ids...)
			for _, id := range ids {
				m.mark(id)
			}
		})
	})
}
