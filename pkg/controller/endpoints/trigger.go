package endpoints

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// TriggerTime is when the newest of the changes happened that endpoints show: a pod's readiness, or the
// service's creation. Written to endpoints.kubernetes.io/last-change-trigger-time, it lets proxies measure
// how long a change takes to arrive.
func TriggerTime(s *corev1.Service, list []*corev1.Pod) string {
	newest := s.CreationTimestamp.Time
	for _, p := range list {
		if c := pods.Condition(p, corev1.PodReady); c != nil && c.LastTransitionTime.After(newest) {
			newest = c.LastTransitionTime.Time
		}
	}
	if newest.IsZero() {
		return ""
	}
	return newest.UTC().Format(time.RFC3339Nano)
}
