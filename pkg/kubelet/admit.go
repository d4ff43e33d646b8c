package kubelet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// admit says why a pod cannot run on this node; nil where it can. What runs already is not asked again.
func (e *Engine) admit(w *worker) *pod.Reason {
	if len(w.observed.Containers) > 0 {
		return nil
	}
	if r := admitSysctls(w.pod, e.UnsafeSysctls); r != nil {
		return r
	}
	node := e.Node()
	if node == nil {
		return nil // a kubelet that stands alone, or one whose node is about to be registered
	}
	return Admit(w.pod, node, e.others(w), e.MaxPods)
}

// others are the pods that take up room beside w's.
func (e *Engine) others(w *worker) []*corev1.Pod {
	var out []*corev1.Pod
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.workers {
		if other == w {
			continue
		}
		other.mu.Lock()
		if p := other.room; p != nil {
			out = append(out, p)
		}
		other.mu.Unlock()
	}
	return out
}

// takeRoom notes that the pod takes up room on the node, or, with nil, that it does no longer.
func (w *worker) takeRoom(p *corev1.Pod) {
	w.mu.Lock()
	changed := w.room != p
	w.room = p
	w.mu.Unlock()
	if changed && w.RoomChanged != nil {
		w.RoomChanged(w.others(nil))
	}
}

// Admit says why a pod cannot run on a node beside others; nil where it can. The scheduler asks the same
// questions before, but its view may be old, and nobody asks for pods that name their node themselves.
func Admit(p *corev1.Pod, node *corev1.Node, others []*corev1.Pod, maxPods int64) *pod.Reason {
	static := p.Annotations["kubernetes.io/config.source"] == "file" || p.Annotations["kubernetes.io/config.source"] == "http"
	if p.Spec.OS != nil && p.Spec.OS.Name != corev1.Linux {
		return &pod.Reason{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	if !static {
		if ok, err := nodeaffinity.GetRequiredNodeAffinity(p).Match(node); !ok || err != nil {
			return refuse("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
		}
		if t := untolerated(p, node); t != nil {
			return refuse("TaintToleration", fmt.Sprintf("node(s) had untolerated taint {%s: %s}", t.Key, t.Value))
		}
	}
	if r := fits(p, node, others, maxPods); r != nil {
		return r
	}
	return ports(p, others)
}

// refuse words a failed predicate as upstream does.
func refuse(predicate, why string) *pod.Reason {
	return &pod.Reason{Reason: predicate, Message: fmt.Sprintf("Pod was rejected: Predicate %s failed: %s", predicate, why)}
}

func untolerated(p *corev1.Pod, node *corev1.Node) *corev1.Taint {
	for i := range node.Spec.Taints {
		t := &node.Spec.Taints[i]
		if t.Effect == corev1.TaintEffectNoExecute && !tolerates(p, t) {
			return t
		}
	}
	return nil
}

func tolerates(p *corev1.Pod, t *corev1.Taint) bool {
	for _, tol := range p.Spec.Tolerations {
		if tol.Effect != "" && tol.Effect != t.Effect || tol.Key != "" && tol.Key != t.Key {
			continue
		}
		if tol.Operator == corev1.TolerationOpExists || tol.Key != "" && tol.Value == t.Value {
			return true
		}
	}
	return false
}

// fits compares what the pod asks for with what is left of the node.
func fits(p *corev1.Pod, node *corev1.Node, others []*corev1.Pod, maxPods int64) *pod.Reason {
	if limit, ok := node.Status.Allocatable[corev1.ResourcePods]; ok {
		maxPods = limit.Value()
	}
	if n := int64(len(others)); maxPods > 0 && n+1 > maxPods {
		return outOf(corev1.ResourcePods, 1, n, maxPods)
	}
	used := corev1.ResourceList{}
	for _, o := range others {
		for name, q := range resource.PodRequests(o, resource.PodResourcesOptions{}) {
			sum := used[name]
			sum.Add(q)
			used[name] = sum
		}
	}
	requests := resource.PodRequests(p, resource.PodResourcesOptions{})
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		want, have, taken := requests[name], node.Status.Allocatable[name], used[name]
		if want.IsZero() || node.Status.Allocatable == nil {
			continue
		}
		sum := want.DeepCopy()
		sum.Add(taken)
		if sum.Cmp(have) <= 0 {
			continue
		}
		if name == corev1.ResourceCPU {
			return outOf(name, want.MilliValue(), taken.MilliValue(), have.MilliValue())
		}
		return outOf(name, want.Value(), taken.Value(), have.Value())
	}
	return nil
}

func outOf(name corev1.ResourceName, requested, used, capacity int64) *pod.Reason {
	return &pod.Reason{Reason: "OutOf" + string(name), Message: fmt.Sprintf(
		"Pod was rejected: Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d", name, requested, used, capacity)}
}

// ports looks for another pod that has one of the node's ports that this one asks for.
func ports(p *corev1.Pod, others []*corev1.Pod) *pod.Reason {
	type port struct {
		number   int32
		protocol corev1.Protocol
	}
	taken := map[port][]string{}
	each := func(p *corev1.Pod, do func(port, string) bool) bool {
		for i := range p.Spec.Containers {
			for _, c := range p.Spec.Containers[i].Ports {
				if c.HostPort > 0 && do(port{c.HostPort, c.Protocol}, c.HostIP) {
					return true
				}
			}
		}
		return false
	}
	for _, o := range others {
		each(o, func(k port, ip string) bool { taken[k] = append(taken[k], ip); return false })
	}
	all := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	if each(p, func(k port, ip string) bool {
		for _, other := range taken[k] {
			if all(ip) || all(other) || ip == other {
				return true
			}
		}
		return false
	}) {
		return refuse("NodePorts", "node(s) didn't have free ports for the requested pod ports")
	}
	return nil
}
