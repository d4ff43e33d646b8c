package plugins

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// nodeAffinity holds pods to the nodes that their node selector and required node affinity name, and
// prefers those that the preferred terms name.
func nodeAffinity() framework.Plugin {
	return framework.Plugin{Name: "NodeAffinity", Prepare: prepareNodeAffinity, Wakes: onNodes}
}

func prepareNodeAffinity(_ context.Context, pod *framework.PodInfo, _ *framework.Snapshot) (framework.Evaluation, *framework.Status) {
	var e framework.Evaluation
	spec := &pod.Pod.Spec
	var affinity *corev1.NodeAffinity
	if spec.Affinity != nil {
		affinity = spec.Affinity.NodeAffinity
	}
	if len(spec.NodeSelector) > 0 || affinity != nil && affinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		required := nodeaffinity.GetRequiredNodeAffinity(pod.Pod)
		e.Nodes = namedNodes(affinity)
		e.Filter = func(n *framework.NodeInfo) *framework.Status {
			if match, _ := required.Match(n.Node); !match {
				return framework.NewStatus(framework.Unresolvable, "node(s) didn't match Pod's node affinity/selector")
			}
			return nil
		}
	}
	if affinity != nil && len(affinity.PreferredDuringSchedulingIgnoredDuringExecution) > 0 {
		terms, err := nodeaffinity.NewPreferredSchedulingTerms(affinity.PreferredDuringSchedulingIgnoredDuringExecution)
		if err != nil {
			return e, framework.AsStatus(fmt.Errorf("reading the preferred node affinity: %w", err))
		}
		e.Score = func(n *framework.NodeInfo) int64 { return terms.Score(n.Node) }
		e.Normalize = proportional
	}
	return e, nil
}

// namedNodes gives the nodes that required affinity names one by one (metadata.name In), as daemon pods
// do, nil where any term leaves the name open: then every node must be looked at.
func namedNodes(a *corev1.NodeAffinity) map[string]bool {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	terms := a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	names := map[string]bool{}
	for _, t := range terms {
		named := false
		for _, r := range t.MatchFields {
			if r.Key == "metadata.name" && r.Operator == corev1.NodeSelectorOpIn {
				named = true
				for _, v := range r.Values {
					names[v] = true
				}
			}
		}
		if !named {
			return nil
		}
	}
	if len(terms) == 0 {
		return nil
	}
	return names
}
