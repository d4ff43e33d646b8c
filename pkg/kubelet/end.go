package kubelet

import (
	"context"
	"time"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
)

// slack is how much sooner a kill must come than the one under way to be worth ordering.
const slack = 500 * time.Millisecond

// stopPod stops all that the pod has running. It says whether that is over and another plan can be made.
func (w *worker) stopPod(ctx context.Context) bool {
	if !w.stopContainers() {
		return false
	}
	var ready []pod.Sandbox
	for _, s := range w.observed.Sandboxes {
		if s.Ready {
			ready = append(ready, s)
		}
	}
	if len(ready) == 0 {
		return w.last.NewSandbox && w.newSandbox(ctx)
	}
	if w.stopRetry.waits(w.Clock.Now()) {
		return false
	}
	if err := w.Runtime.StopSandboxes(ctx, ready); err != nil {
		w.Log.Info("A pod's sandbox could not be stopped; trying again", "pod", w.name(), "err", err.Error())
		w.stopRetry.failed(w.Clock.Now(), time.Second, 10*time.Second)
		w.seen = false
		return false
	}
	for _, s := range ready {
		s.Ready, s.IPs = false, nil
		w.observed.PutSandbox(s)
	}
	w.stopRetry.ok()
	w.show()
	return true
}

// stopContainers has what runs of the pod stopped, within its grace, and says whether nothing runs. What is
// being stopped already is left to that, unless it has less time now.
func (w *worker) stopContainers() bool {
	alive := w.observed.Alive()
	if len(alive) == 0 {
		return true
	}
	grace := runtime.Grace(w.pod, nil, "")
	over := w.Clock.Now().Add(grace)
	var list []pod.Container
	var ids []string
	for _, c := range alive {
		if at, ok := w.stopping[c.ID]; ok && !over.Add(slack).Before(at) {
			continue
		}
		w.stopping[c.ID] = over
		list, ids = append(list, *c), append(ids, c.ID)
	}
	if len(list) > 0 {
		p := w.view()
		w.beside(ids, func(ctx context.Context) error { return w.Runtime.KillAll(ctx, p, list, grace) })
	}
	return false
}

// end goes one step with a pod that is to end. done says that nothing is left of it.
func (w *worker) end(ctx context.Context) (next time.Time, done bool) {
	w.mu.Lock()
	w.ending = true
	w.mu.Unlock()
	if w.cleaned && !w.gone {
		w.finish()
		return time.Time{}, false
	}
	w.last = pod.Actions{}
	if !w.stopContainers() {
		if w.gone {
			w.syncProbes()
		} else {
			w.publish(false)
		}
		return time.Time{}, false
	}
	for w.sandboxUp() {
		if !w.stopPod(ctx) {
			return w.stopRetry.at, false
		}
	}
	w.takeRoom(nil)
	w.Probes.Remove(w.uid)
	if !w.gone {
		w.publish(true)
	}
	if w.stopRetry.waits(w.Clock.Now()) {
		return w.stopRetry.at, false
	}
	if err := w.clean(ctx); err != nil {
		w.Log.Info("What is left of a pod could not be removed; trying again", "pod", w.name(), "err", err.Error())
		w.stopRetry.failed(w.Clock.Now(), time.Second, 30*time.Second)
		return w.stopRetry.at, false
	}
	w.cleaned = true
	if !w.gone {
		w.finish()
		return time.Time{}, false
	}
	w.Status.Forget(w.uid)
	if w.Gone != nil {
		defer w.Gone(w.pod)
	}
	return time.Time{}, true
}

func (w *worker) sandboxUp() bool {
	for _, s := range w.observed.Sandboxes {
		if s.Ready {
			return true
		}
	}
	return false
}

// finish lets the apiserver delete a pod that was told to end, now that it has.
func (w *worker) finish() {
	if w.pod.DeletionTimestamp != nil && !w.static {
		w.Status.Finish(w.uid)
	}
}

// clean gives back what an ended pod held. What its logs are read from stays until it is gone.
func (w *worker) clean(ctx context.Context) error {
	if w.gone {
		for _, s := range w.observed.Sandboxes {
			if err := w.Runtime.RemoveSandbox(ctx, s.ID); err != nil {
				return err
			}
		}
		for _, c := range w.observed.Containers {
			if err := w.Runtime.RemoveContainer(ctx, w.pod, c); err != nil {
				return err
			}
		}
		w.observed = pod.Observed{}
		if err := w.Runtime.RemoveLogs(w.pod); err != nil {
			return err
		}
	}
	if err := w.Volumes.Teardown(ctx, w.uid); err != nil {
		return err
	}
	w.volumes = false
	if err := w.Cgroups.Remove(w.uid); err != nil {
		return err
	}
	w.Objects.Unregister(w.uid)
	w.Images.Forget(w.uid)
	return nil
}

// removeOld removes containers that have ended, but for the newest of each name, and sandboxes that hold
// nothing any more.
func (w *worker) removeOld(ctx context.Context) {
	kept, used := map[string]int{}, map[string]bool{}
	for _, c := range w.observed.Clone().Containers {
		if c.State == pod.Running || c.State == pod.Unknown {
			used[c.SandboxID] = true
			continue
		}
		if kept[c.Name] < w.MaxDead {
			kept[c.Name]++
			used[c.SandboxID] = true
			continue
		}
		if err := w.Runtime.RemoveContainer(ctx, w.pod, c); err != nil {
			w.Log.V(1).Info("An old container could not be removed", "pod", w.name(), "container", c.Name, "err", err.Error())
			continue
		}
		w.observed.Drop(c.ID)
	}
	for i, s := range w.observed.Clone().Sandboxes {
		if i == 0 || s.Ready || used[s.ID] {
			continue
		}
		if err := w.Runtime.RemoveSandbox(ctx, s.ID); err != nil {
			w.Log.V(1).Info("An old sandbox could not be removed", "pod", w.name(), "err", err.Error())
			continue
		}
		w.observed.Drop(s.ID)
	}
	w.show()
}
