package plugins

import (
	"context"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// nodeName keeps a pod that names its node to that node.
func nodeName() framework.Plugin {
	return framework.Plugin{
		Name: "NodeName",
		Prepare: func(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
			want := pod.Pod.Spec.NodeName
			if want == "" {
				return framework.Evaluation{}, nil
			}
			return framework.Evaluation{Filter: func(n *framework.NodeInfo) *framework.Status {
				if n.Node.Name != want {
					return framework.NewStatus(framework.Unresolvable, "node(s) didn't match the requested node name")
				}
				return nil
			}}, nil
		},
		Wakes: onNodes,
	}
}
