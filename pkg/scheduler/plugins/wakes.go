// Package plugins holds the scheduling rules, one in a file, and the profile that lists them.
package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// onNodes wakes pods when a node comes or changes.
func onNodes(e framework.Event, _ *corev1.Pod) bool {
	return e.Kind == framework.NodeAdded || e.Kind == framework.NodeChanged || e.Kind == framework.PodChanged
}

// onRoom wakes pods when a node comes or changes, or a pod leaves one.
func onRoom(e framework.Event, pod *corev1.Pod) bool {
	return e.Kind == framework.PodGone || onNodes(e, pod)
}
