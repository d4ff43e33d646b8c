package probe

import (
	"context"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// target is what a worker probes. It is replaced as a whole when the pod's object or address changes.
type target struct {
	pod       *corev1.Pod
	container *corev1.Container
	ip        string
	spec      *corev1.Probe
}

// worker runs one probe of one container until cancelled.
type worker struct {
	manager *Manager
	kind    Kind
	running Running
	target  atomic.Pointer[target]
	cancel  context.CancelFunc
	poke    chan struct{} // probe at once: what gated this probe is gone

	last  Result
	count int32 // how often last came in a row
	held  bool  // the container is about to be restarted; there is nothing to find out
}

func (w *worker) run(ctx context.Context) {
	period := seconds(w.target.Load().spec.PeriodSeconds, 10)
	clock := w.manager.config.Clock
	if since := clock.Since(w.manager.started); since < period {
		// A kubelet that just started would probe everything at once.
		if !w.sleep(ctx, time.Duration(w.manager.config.Jitter()*float64(period))) {
			return
		}
	}
	ticker := clock.NewTicker(period)
	defer ticker.Stop()
	for w.step(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		case <-w.poke:
		}
	}
}

func (w *worker) sleep(ctx context.Context, d time.Duration) bool {
	timer := w.manager.config.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.poke:
	case <-timer.C():
	}
	return true
}

// step probes once if it is time to; false means that this worker's work is done.
func (w *worker) step(ctx context.Context) bool {
	t := w.target.Load()
	started := w.manager.containerStarted(w.running, t.container)
	switch {
	case ctx.Err() != nil:
		return false
	case w.kind == Startup && started:
		return false
	case t.pod.DeletionTimestamp != nil && w.kind != Readiness:
		// A pod that ends must not be restarted on the way.
		w.manager.set(ctx, w, Success)
		return false
	case w.held, w.kind != Startup && !started:
		return true
	case w.manager.config.Clock.Since(w.running.StartedAt) < time.Duration(t.spec.InitialDelaySeconds)*time.Second:
		return true
	}
	begin := w.manager.config.Clock.Now()
	result, ok := w.manager.prober.probe(ctx, t, w.kind, w.running.ID)
	if !w.counted(ctx, t, result, w.manager.config.Clock.Since(begin)) {
		return false
	}
	if !ok {
		return true
	}
	if result == w.last {
		w.count++
	} else {
		w.last, w.count = result, 1
	}
	if result == Failure && w.count < threshold(t.spec.FailureThreshold, 3) || result == Success && w.count < threshold(t.spec.SuccessThreshold, 1) {
		return true
	}
	w.held = result == Failure && w.kind != Readiness
	w.manager.set(ctx, w, result)
	return true
}

// counted measures a probe of a worker that was not stopped meanwhile: false where it was.
func (w *worker) counted(ctx context.Context, t *target, result Result, took time.Duration) bool {
	w.manager.mu.Lock()
	defer w.manager.mu.Unlock()
	if ctx.Err() != nil {
		return false
	}
	w.manager.metrics.count(w.kind, t, result, took)
	return true
}

// containerStarted says whether the startup probe, if there is one, has succeeded.
func (m *Manager) containerStarted(r Running, c *corev1.Container) bool {
	if c.StartupProbe == nil {
		return true
	}
	result, _ := m.Result(r.ID, Startup)
	return result == Success
}

// set keeps a result of a worker that was not stopped meanwhile, and tells of a change.
func (m *Manager) set(ctx context.Context, w *worker, result Result) {
	t := w.target.Load()
	m.mu.Lock()
	results := m.results[w.running.ID]
	changed := ctx.Err() == nil && results != nil && results[w.kind] != result
	if changed {
		results[w.kind] = result
		if w.kind == Startup && result == Success {
			for k, other := range m.pods[t.pod.UID] {
				if k.container == t.container.Name && k.kind != Startup {
					select {
					case other.poke <- struct{}{}:
					default:
					}
				}
			}
		}
	}
	m.mu.Unlock()
	if changed {
		m.config.Log.V(2).Info("Probe result changed", "pod", t.pod.Namespace+"/"+t.pod.Name, "container", t.container.Name, "probe", w.kind, "result", result.String())
		if m.config.Changed != nil {
			m.config.Changed(t.pod.UID)
		}
	}
}

func seconds(n, otherwise int32) time.Duration {
	return time.Duration(threshold(n, otherwise)) * time.Second
}

func threshold(n, otherwise int32) int32 {
	if n <= 0 {
		return otherwise
	}
	return n
}
