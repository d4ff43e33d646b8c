package plugins

import (
	"context"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// nodeResourcesFit keeps a pod from nodes without room for its requests, and (strategy LeastAllocated)
// prefers those with the most room left.
func nodeResourcesFit() framework.Plugin {
	return framework.Plugin{Name: "NodeResourcesFit", Prepare: prepareFit, Wakes: onRoom}
}

func prepareFit(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
	return framework.Evaluation{
		Filter: func(n *framework.NodeInfo) *framework.Status {
			lacking, hopeless := lacks(&pod.Requests, n)
			switch {
			case len(lacking) == 0:
				return nil
			case hopeless:
				return framework.NewStatus(framework.Unresolvable, lacking...)
			}
			return framework.NewStatus(framework.Unschedulable, lacking...)
		},
		Score: func(n *framework.NodeInfo) int64 {
			cpu := freeShare(n.ScoredCPU+pod.ScoredCPU, n.Allocatable.MilliCPU)
			memory := freeShare(n.ScoredMemory+pod.ScoredMemory, n.Allocatable.Memory)
			return (cpu + memory) / 2
		},
	}, nil
}

// lacks names what the node has too little of; hopeless says that even an empty node would.
func lacks(want *framework.Resources, n *framework.NodeInfo) (reasons []string, hopeless bool) {
	if n.Requested.Pods+1 > n.Allocatable.Pods {
		reasons = append(reasons, "Too many pods")
		hopeless = n.Allocatable.Pods < 1
	}
	check := func(name corev1.ResourceName, want, used, all int64) {
		if want > 0 && want > all-used {
			reasons = append(reasons, "Insufficient "+string(name))
			hopeless = hopeless || want > all
		}
	}
	check(corev1.ResourceCPU, want.MilliCPU, n.Requested.MilliCPU, n.Allocatable.MilliCPU)
	check(corev1.ResourceMemory, want.Memory, n.Requested.Memory, n.Allocatable.Memory)
	check(corev1.ResourceEphemeralStorage, want.EphemeralStorage, n.Requested.EphemeralStorage, n.Allocatable.EphemeralStorage)
	names := make([]corev1.ResourceName, 0, len(want.Scalar))
	for name := range want.Scalar {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		check(name, want.Scalar[name], n.Requested.Scalar[name], n.Allocatable.Scalar[name])
	}
	return reasons, hopeless
}

// freeShare is the share of an amount that stays free, in 0..MaxScore.
func freeShare(used, all int64) int64 {
	if all <= 0 || used > all {
		return 0
	}
	return (all - used) * framework.MaxScore / all
}

// balancedAllocation prefers nodes whose CPU and memory would be used to a like degree.
func balancedAllocation() framework.Plugin {
	return framework.Plugin{
		Name: "NodeResourcesBalancedAllocation",
		Prepare: func(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
			if pod.Requests.MilliCPU == 0 && pod.Requests.Memory == 0 {
				return framework.Evaluation{}, nil // best effort pods do not change the balance
			}
			return framework.Evaluation{Score: func(n *framework.NodeInfo) int64 {
				before := imbalance(n.Requested.MilliCPU, n.Requested.Memory, n)
				after := imbalance(n.Requested.MilliCPU+pod.Requests.MilliCPU, n.Requested.Memory+pod.Requests.Memory, n)
				// The middle of the scale stands for "as before", so that a node is judged by what this pod changes.
				return int64((0.5 + (before-after)/2) * float64(framework.MaxScore))
			}}, nil
		},
		Wakes: onRoom,
	}
}

// imbalance is the standard deviation of the used shares of CPU and memory: 0 when alike, 0.5 at worst.
func imbalance(cpu, memory int64, n *framework.NodeInfo) float64 {
	share := func(used, all int64) float64 {
		if all <= 0 {
			return 0
		}
		return math.Min(1, float64(used)/float64(all))
	}
	return math.Abs(share(cpu, n.Allocatable.MilliCPU)-share(memory, n.Allocatable.Memory)) / 2
}
