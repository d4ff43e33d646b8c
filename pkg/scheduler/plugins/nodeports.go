package plugins

import (
	"context"
	"slices"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// nodePorts keeps a pod from nodes where another pod has one of its host ports.
func nodePorts() framework.Plugin {
	return framework.Plugin{
		Name: "NodePorts",
		Prepare: func(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
			if len(pod.Ports) == 0 {
				return framework.Evaluation{}, nil
			}
			return framework.Evaluation{Filter: func(n *framework.NodeInfo) *framework.Status {
				if slices.ContainsFunc(pod.Ports, n.PortTaken) {
					return framework.NewStatus(framework.Unschedulable, "node(s) didn't have free ports for the requested pod ports")
				}
				return nil
			}}, nil
		},
		Wakes: onRoom,
	}
}
