package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// taintToleration keeps pods from nodes whose NoSchedule and NoExecute taints they do not tolerate, and
// prefers nodes with few PreferNoSchedule taints that they do not tolerate.
func taintToleration() framework.Plugin {
	return framework.Plugin{
		Name: "TaintToleration",
		Prepare: func(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
			tolerations := pod.Pod.Spec.Tolerations
			return framework.Evaluation{
				Filter: func(n *framework.NodeInfo) *framework.Status {
					for i := range n.Node.Spec.Taints {
						t := &n.Node.Spec.Taints[i]
						if t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(tolerations, t) {
							return framework.NewStatus(framework.Unresolvable, "node(s) had untolerated taint(s)")
						}
					}
					return nil
				},
				Score: func(n *framework.NodeInfo) (intolerable int64) {
					for i := range n.Node.Spec.Taints {
						t := &n.Node.Spec.Taints[i]
						if t.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(tolerations, t) {
							intolerable++
						}
					}
					return intolerable
				},
				Normalize: reversed,
			}, nil
		},
		Wakes: onNodes,
	}
}

func tolerates(tolerations []corev1.Toleration, t *corev1.Taint) bool {
	for i := range tolerations {
		if tolerations[i].ToleratesTaint(klog.Background(), t, false) {
			return true
		}
	}
	return false
}
