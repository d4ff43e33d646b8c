package kubelet

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
)

const (
	// relistEvery is the safety net under the runtime's events.
	relistEvery = time.Minute
	// stuckAfter is when a look at everything is held to hang.
	stuckAfter = 3 * relistEvery
	// pollEvery is how often a runtime without events is asked.
	pollEvery = 2 * time.Second
	// reconnect is the pause after the runtime's events broke off.
	reconnect = time.Second
)

// lookAgain is when all is looked at once events flow: at once, and again for what ended just before, of
// which no event comes any more and which the runtime may record some seconds late.
var lookAgain = []time.Duration{0, time.Second, 6 * time.Second}

// Follow hears the runtime's events until ctx ends. Whenever they begin again, all is looked at.
func (e *Engine) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		err := e.CRI.GetContainerEvents(ctx, func() { e.catchUp(ctx) }, e.hear)
		pause := reconnect
		if cri.IsUnimplemented(err) {
			pause = pollEvery
			e.Relist(ctx)
		} else if ctx.Err() == nil {
			e.Log.V(1).Info("The runtime's events broke off; following them again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-e.Clock.After(pause):
		}
	}
}

// catchUp looks at all while events are heard again.
func (e *Engine) catchUp(ctx context.Context) {
	e.all.Go(func() {
		for _, pause := range lookAgain {
			select {
			case <-ctx.Done():
				return
			case <-e.Clock.After(pause):
				e.Relist(ctx)
			}
		}
	})
}

// hear passes an event on to the pod's worker.
func (e *Engine) hear(event *cri.ContainerEvent) {
	id := event.GetContainerId()
	e.mu.Lock()
	uid, ok := e.owners[id]
	e.mu.Unlock()
	if !ok {
		uid = types.UID(event.GetPodSandboxStatus().GetMetadata().GetUid())
	}
	e.tell(uid, func(m *mail) { m.mark(id) })
}

// Tidy looks at everything once in a while: that nothing was missed, that nothing is left over.
func (e *Engine) Tidy(ctx context.Context) {
	ticker := e.Clock.NewTicker(relistEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			e.Relist(ctx)
			e.sweep(ctx)
			e.tidied.Store(e.Clock.Now().UnixNano())
		}
	}
}

// Healthy fails where Tidy no longer comes round: what else happened may then be missed too, and a restart of
// the kubelet would help.
func (e *Engine) Healthy(context.Context) error {
	if since := e.Clock.Since(time.Unix(0, e.tidied.Load())); since > stuckAfter {
		return fmt.Errorf("the pods were last looked at %s ago (does the container runtime answer?)", since.Round(time.Second))
	}
	return nil
}

// Relist compares what the runtime has with what the workers know, and has those look again who differ.
func (e *Engine) Relist(ctx context.Context) {
	have, err := e.Runtime.List(ctx)
	if err != nil {
		e.Log.V(1).Info("The runtime could not be asked what it has", "err", err)
		return
	}
	e.mu.Lock()
	workers := make([]*worker, 0, len(e.workers))
	for _, w := range e.workers {
		workers = append(workers, w)
	}
	e.mu.Unlock()
	for _, w := range workers {
		known := have[w.uid]
		if known == nil {
			known = &runtime.Known{}
		}
		if !w.agrees(&known.Observed) {
			w.tell(func(m *mail) { m.mark("") })
		}
	}
}

// sweep has every worker remove what it keeps no more, and ends what belongs to no pod.
func (e *Engine) sweep(ctx context.Context) {
	e.mu.Lock()
	synced := e.found == nil
	for _, w := range e.workers {
		w.tell(func(m *mail) { m.sweep = true })
	}
	e.mu.Unlock()
	if !synced {
		return
	}
	have, err := e.Runtime.List(ctx)
	if err != nil {
		return
	}
	e.endAll(have)
	e.tidyDisk(ctx, have)
}

// EndOrphans ends what was found at the start and belongs to no pod that was set since. It is called once,
// when all pods are known.
func (e *Engine) EndOrphans(ctx context.Context) {
	e.mu.Lock()
	found := e.found
	e.found = nil
	e.mu.Unlock()
	e.endAll(found)
	e.tidyDisk(ctx, found)
}

func (e *Engine) endAll(found map[types.UID]*runtime.Known) {
	for uid, known := range found {
		w, fresh := e.newWorker(uid)
		if !fresh {
			continue
		}
		e.Log.Info("Ending a pod that is on this node and should not be", "pod", known.Pod.Namespace+"/"+known.Pod.Name, "uid", uid)
		w.tell(func(m *mail) { m.pod, m.gone = known.Pod, true; m.mark("") })
	}
}

// tidyDisk removes what pods that are gone have left on disk and among the control groups.
func (e *Engine) tidyDisk(ctx context.Context, have map[types.UID]*runtime.Known) {
	left := func(uid types.UID) bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return have[uid] == nil && e.workers[uid] == nil
	}
	dirs, err := e.Volumes.OnDisk()
	if err != nil {
		e.Log.Error(err, "Looking for volumes that were left behind")
	}
	for _, uid := range dirs {
		if left(uid) {
			if err := e.Volumes.Teardown(ctx, uid); err != nil {
				e.Log.Error(err, "Removing the volumes of a pod that is gone", "uid", uid)
			}
		}
	}
	groups, err := e.Cgroups.OnDisk()
	if err != nil {
		e.Log.Error(err, "Looking for control groups that were left behind")
	}
	for _, uid := range groups {
		if left(uid) {
			if err := e.Cgroups.Remove(uid); err != nil {
				e.Log.Error(err, "Removing the control group of a pod that is gone", "uid", uid)
			}
		}
	}
}
