package scheduler

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// SetNode takes over a node's state; old is nil for a new one.
func (s *Scheduler) SetNode(node, old *corev1.Node) {
	if old != nil && !nodeMatters(node, old) {
		return // a heartbeat
	}
	s.cache.setNode(node)
	kind := framework.NodeChanged
	if old == nil {
		kind = framework.NodeAdded
	}
	s.queue.happened(framework.Event{Kind: kind, Node: node, OldNode: old})
}

// nodeMatters says whether a change touches anything that a plugin looks at.
func nodeMatters(a, b *corev1.Node) bool {
	return a.Spec.Unschedulable != b.Spec.Unschedulable ||
		!reflect.DeepEqual(a.Spec.Taints, b.Spec.Taints) ||
		!reflect.DeepEqual(a.Labels, b.Labels) ||
		!reflect.DeepEqual(a.Annotations, b.Annotations) ||
		!reflect.DeepEqual(a.Status.Allocatable, b.Status.Allocatable) ||
		!reflect.DeepEqual(a.Status.Images, b.Status.Images)
}

// RemoveNode forgets a node.
func (s *Scheduler) RemoveNode(node *corev1.Node) { s.cache.removeNode(node.Name) }

// SetPod takes over a pod's state; old is nil for a new one.
func (s *Scheduler) SetPod(pod, old *corev1.Pod) {
	finished := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	switch {
	case finished:
		s.RemovePod(pod)
	case pod.Spec.NodeName != "":
		s.queue.remove(pod.UID)
		s.cache.setPod(pod)
		if old == nil || old.Spec.NodeName == "" || !mapsEqual(old.Labels, pod.Labels) {
			s.queue.happened(framework.Event{Kind: framework.PodAssigned, Pod: pod})
		} else if pod.DeletionTimestamp != nil && old.DeletionTimestamp == nil || !reflect.DeepEqual(old.Spec.Containers, pod.Spec.Containers) {
			s.queue.happened(framework.Event{Kind: framework.PodGone, Pod: pod}) // it counts less from now on
		}
	case pod.DeletionTimestamp != nil:
		s.queue.remove(pod.UID)
	case s.cycles[pod.Spec.SchedulerName] != nil:
		s.queue.set(pod)
	}
}

// RemovePod forgets a pod that is gone or finished.
func (s *Scheduler) RemovePod(pod *corev1.Pod) {
	s.queue.remove(pod.UID)
	s.cache.removePod(pod)
	if pod.Spec.NodeName != "" {
		s.queue.happened(framework.Event{Kind: framework.PodGone, Pod: pod})
	}
}
