package podgc

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// Deletion is a pod to delete at once. Reason, where there is one, goes into its DisruptionTarget condition.
type Deletion struct {
	Pod    *corev1.Pod
	Reason string
}

// Doomed picks the pods to delete.
func Doomed(list []*corev1.Pod, nodes map[string]*corev1.Node, gone map[string]bool, threshold int) []Deletion {
	var doomed []Deletion
	var ended []*corev1.Pod
	for _, p := range list {
		node := nodes[p.Spec.NodeName]
		switch {
		case p.DeletionTimestamp != nil && node != nil && outOfService(node):
			doomed = append(doomed, Deletion{Pod: p})
		case gone[p.Spec.NodeName]:
			doomed = append(doomed, Deletion{p, "PodGC: node no longer exists"})
		case p.DeletionTimestamp != nil && p.Spec.NodeName == "":
			doomed = append(doomed, Deletion{Pod: p})
		case pods.Terminal(p) && p.DeletionTimestamp == nil:
			ended = append(ended, p)
		}
	}
	if excess := len(ended) - threshold; threshold > 0 && excess > 0 {
		slices.SortFunc(ended, func(a, b *corev1.Pod) int {
			evicted := func(p *corev1.Pod) int {
				if p.Status.Reason == "Evicted" {
					return 0
				}
				return 1
			}
			return cmp.Or(evicted(a)-evicted(b), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
		})
		for _, p := range ended[:excess] {
			doomed = append(doomed, Deletion{Pod: p})
		}
	}
	return doomed
}

// outOfService: somebody says that the node is off, and it is not ready either.
func outOfService(n *corev1.Node) bool {
	tainted := slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	ready := slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return tainted && !ready
}
