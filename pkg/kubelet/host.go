package kubelet

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// Pods are the pods of this node, each with the status that this kubelet holds to be true now.
func (e *Engine) Pods() []*corev1.Pod {
	e.mu.Lock()
	workers := make([]*worker, 0, len(e.workers))
	for _, w := range e.workers {
		workers = append(workers, w)
	}
	e.mu.Unlock()
	var out []*corev1.Pod
	for _, w := range workers {
		if p := w.shown(); p != nil {
			out = append(out, p)
		}
	}
	return out
}

// Pod is one of them, nil where there is none of that name. Of several of one name it is the one that is not
// ending.
func (e *Engine) Pod(namespace, name string) *corev1.Pod {
	var found *corev1.Pod
	e.mu.Lock()
	workers := make([]*worker, 0, 1)
	for _, w := range e.workers {
		if w.isNamed(namespace, name) {
			workers = append(workers, w)
		}
	}
	e.mu.Unlock()
	for _, w := range workers {
		if p := w.shown(); p != nil && (found == nil || !w.isEnding()) {
			found = p
		}
	}
	return found
}

// shown is the worker's pod as others may see it, nil before its first step.
func (w *worker) shown() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spec == nil {
		return nil
	}
	p := *w.spec
	w.status.DeepCopyInto(&p.Status)
	return &p
}

// Ended is closed when a container no longer runs: at once where it does not now.
func (e *Engine) Ended(ctx context.Context, id string) <-chan struct{} {
	ch := make(chan struct{})
	e.mu.Lock()
	w := e.workers[e.owners[id]]
	if w == nil || !w.isRunning(id) {
		e.mu.Unlock()
		close(ch)
		return ch
	}
	if e.waiters[id] == nil {
		e.waiters[id] = map[chan struct{}]bool{}
	}
	e.waiters[id][ch] = true
	e.mu.Unlock()
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.waiters[id], ch)
	})
	return ch
}

func (w *worker) isRunning(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.saw.Containers {
		if w.saw.Containers[i].ID == id {
			return w.saw.Containers[i].State == pod.Running
		}
	}
	return false
}
