package plugins

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// schedulingGates keeps pods with gates out of the queue until the last gate is removed.
func schedulingGates() framework.Plugin {
	return framework.Plugin{
		Name: "SchedulingGates",
		PreEnqueue: func(pod *corev1.Pod) *framework.Status {
			if len(pod.Spec.SchedulingGates) == 0 {
				return nil
			}
			names := make([]string, 0, len(pod.Spec.SchedulingGates))
			for _, g := range pod.Spec.SchedulingGates {
				names = append(names, g.Name)
			}
			return framework.NewStatus(framework.Unresolvable, fmt.Sprintf("waiting for scheduling gates: %v", names))
		},
		Wakes: func(e framework.Event, _ *corev1.Pod) bool { return e.Kind == framework.PodChanged },
	}
}
