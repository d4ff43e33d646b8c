package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// nodeUnschedulable keeps pods from cordoned nodes, unless they tolerate the taint that says the same.
func nodeUnschedulable() framework.Plugin {
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return framework.Plugin{
		Name: "NodeUnschedulable",
		Prepare: func(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
			if tolerates(pod.Pod.Spec.Tolerations, &taint) {
				return framework.Evaluation{}, nil
			}
			return framework.Evaluation{Filter: func(n *framework.NodeInfo) *framework.Status {
				if n.Node.Spec.Unschedulable {
					return framework.NewStatus(framework.Unresolvable, "node(s) were unschedulable")
				}
				return nil
			}}, nil
		},
		Wakes: onNodes,
	}
}
