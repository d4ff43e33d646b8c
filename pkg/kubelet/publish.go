package kubelet

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
	"github.com/sampan-project/sampan/pkg/kubelet/probe"
)

// health is what the probes say of a container.
func (w *worker) health(id string) pod.Health {
	h := pod.Health{Started: true, Ready: true}
	if r, has := w.Probes.Result(id, probe.Startup); has {
		h.Started, h.Stillborn = r == probe.Success, r == probe.Failure
	}
	if r, has := w.Probes.Result(id, probe.Readiness); has {
		h.Ready = r == probe.Success
	}
	if r, has := w.Probes.Result(id, probe.Liveness); has {
		h.Unhealthy = r == probe.Failure
	}
	return h
}

// syncProbes has the containers that run probed, and no others.
func (w *worker) syncProbes() {
	running := map[string]probe.Running{}
	for i := range w.observed.Containers {
		c := &w.observed.Containers[i]
		if c.State != pod.Running || w.observed.Latest(c.Name).ID != c.ID {
			continue
		}
		r := probe.Running{ID: c.ID, StartedAt: c.StartedAt}
		for _, list := range [][]corev1.ContainerStatus{w.pod.Status.ContainerStatuses, w.pod.Status.InitContainerStatuses} {
			for j := range list {
				if list[j].ContainerID == w.RuntimeName+"://"+c.ID {
					r.Started, r.Ready = list[j].Started != nil && *list[j].Started, list[j].Ready
				}
			}
		}
		running[c.Name] = r
	}
	ip := ""
	if ips := w.podIPs(); len(ips) > 0 {
		ip = ips[0]
	}
	p := w.pod
	if w.isOver() { // nothing is restarted any more; only who may send requests still matters
		p = withReadinessOnly(p)
	}
	w.Probes.Sync(p, ip, running)
}

func withReadinessOnly(p *corev1.Pod) *corev1.Pod {
	p = p.DeepCopy()
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].LivenessProbe, list[i].StartupProbe = nil, nil
		}
	}
	return p
}

func (w *worker) podIPs() []string { return pod.PodIPs(w.pod, &w.observed, w.HostIPs()) }

// input is what plans and statuses depend on.
func (w *worker) input() pod.Input {
	stopping := make(map[string]bool, len(w.stopping))
	for id := range w.stopping {
		stopping[id] = true
	}
	return pod.Input{
		Pod: w.pod, Observed: &w.observed, Health: w.health, Backoff: w.backoff, Failures: w.failures, Stopping: stopping, Now: w.Clock.Now(),
	}
}

// publish works the pod's status out and has it written.
func (w *worker) publish(ended bool) {
	w.syncProbes()
	s := pod.Status(pod.Facts{
		Input: w.input(), RuntimeName: w.RuntimeName, HostIPs: w.HostIPs(), StartTime: w.started,
		Ending: w.isOver(), Ended: ended, Failed: w.failed, Actions: &w.last,
	})
	w.mu.Lock()
	w.status, w.spec = s, w.pod
	w.mu.Unlock()
	if pod.IsTerminal(s.Phase) {
		w.final = true
	}
	w.Status.Set(w.uid, s)
	// The next status builds on this one: times of conditions, ends of containers whose traces go.
	p := *w.pod
	s.DeepCopyInto(&p.Status)
	w.pod = &p
}

// view is the pod with its addresses as they are now.
func (w *worker) view() *corev1.Pod {
	p := *w.pod
	p.Status.HostIPs, p.Status.PodIPs = nil, nil
	for _, ip := range w.HostIPs() {
		p.Status.HostIPs = append(p.Status.HostIPs, corev1.HostIP{IP: ip})
	}
	for _, ip := range w.podIPs() {
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(p.Status.HostIPs) > 0 {
		p.Status.HostIP = p.Status.HostIPs[0].IP
	}
	if len(p.Status.PodIPs) > 0 {
		p.Status.PodIP = p.Status.PodIPs[0].IP
	}
	return &p
}
