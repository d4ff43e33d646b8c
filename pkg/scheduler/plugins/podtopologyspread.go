package plugins

import (
	"context"
	"fmt"
	"math"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// podTopologySpread spreads pods over the domains of a topology (hosts, zones): constraints that say
// DoNotSchedule are a filter, those that say ScheduleAnyway a score. A pod without constraints that has a
// controller is spread from the controller's other pods, over hosts and zones, as a score.
func podTopologySpread() framework.Plugin {
	return framework.Plugin{
		Name: "PodTopologySpread", Prepare: prepareSpread,
		Wakes: func(framework.Event, *corev1.Pod) bool { return true }, // pods and nodes both move the balance
	}
}

// constraint is one spread constraint made ready for one pod.
type constraint struct {
	key        string
	maxSkew    int64
	minDomains int64
	counts     func(pod *corev1.Pod) bool          // pods that the constraint counts
	self       int64                               // 1 where the pod itself is counted
	included   func(node *framework.NodeInfo) bool // nodes whose domains and pods count
}

func prepareSpread(_ context.Context, pod *framework.PodInfo, snapshot *framework.Snapshot) (framework.Evaluation, *framework.Status) {
	hard, err := constraintsOf(pod.Pod, corev1.DoNotSchedule)
	if err != nil {
		return framework.Evaluation{}, framework.AsStatus(err)
	}
	soft, err := constraintsOf(pod.Pod, corev1.ScheduleAnyway)
	if err != nil {
		return framework.Evaluation{}, framework.AsStatus(err)
	}
	if len(pod.Pod.Spec.TopologySpreadConstraints) == 0 {
		soft = defaultConstraints(pod.Pod)
	}
	var e framework.Evaluation
	if len(hard) > 0 {
		e.Filter = spreadFilter(hard, snapshot)
	}
	if len(soft) > 0 {
		e.Score, e.Normalize = spreadScore(soft, snapshot)
	}
	return e, nil
}

// constraintsOf reads the pod's constraints with one kind of whenUnsatisfiable.
func constraintsOf(pod *corev1.Pod, when corev1.UnsatisfiableConstraintAction) ([]constraint, error) {
	var out []constraint
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		if c.WhenUnsatisfiable != when {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(c.LabelSelector)
		if err != nil {
			return nil, fmt.Errorf("reading the label selector of a topology spread constraint: %w", err)
		}
		for _, key := range c.MatchLabelKeys {
			if value, ok := pod.Labels[key]; ok {
				same, _ := labels.SelectorFromValidatedSet(labels.Set{key: value}).Requirements()
				selector = selector.Add(same...)
			}
		}
		ready := constraint{key: c.TopologyKey, maxSkew: int64(c.MaxSkew), minDomains: 1, included: inclusion(pod, c)}
		if c.MinDomains != nil {
			ready.minDomains = int64(*c.MinDomains)
		}
		ready.counts = func(p *corev1.Pod) bool {
			return p.Namespace == pod.Namespace && p.DeletionTimestamp == nil && selector.Matches(labels.Set(p.Labels))
		}
		if selector.Matches(labels.Set(pod.Labels)) {
			ready.self = 1
		}
		out = append(out, ready)
	}
	return out, nil
}

// defaultConstraints spreads the pods of one controller; the skews are kube-scheduler's.
func defaultConstraints(pod *corev1.Pod) []constraint {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return nil
	}
	siblings := func(uid types.UID) func(*corev1.Pod) bool {
		return func(p *corev1.Pod) bool {
			o := metav1.GetControllerOfNoCopy(p)
			return o != nil && o.UID == uid && p.DeletionTimestamp == nil
		}
	}(owner.UID)
	all := func(*framework.NodeInfo) bool { return true }
	return []constraint{
		{key: corev1.LabelHostname, maxSkew: 3, counts: siblings, self: 1, included: all},
		{key: corev1.LabelTopologyZone, maxSkew: 5, counts: siblings, self: 1, included: all},
	}
}

// inclusion says which nodes a constraint looks at: by default those that the pod's affinity allows,
// whatever their taints.
func inclusion(pod *corev1.Pod, c *corev1.TopologySpreadConstraint) func(*framework.NodeInfo) bool {
	affinity := c.NodeAffinityPolicy == nil || *c.NodeAffinityPolicy == corev1.NodeInclusionPolicyHonor
	taints := c.NodeTaintsPolicy != nil && *c.NodeTaintsPolicy == corev1.NodeInclusionPolicyHonor
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	return func(n *framework.NodeInfo) bool {
		if affinity {
			if match, _ := required.Match(n.Node); !match {
				return false
			}
		}
		for i := range n.Node.Spec.Taints {
			t := &n.Node.Spec.Taints[i]
			if taints && t.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod.Spec.Tolerations, t) {
				return false
			}
		}
		return true
	}
}

// domains counts a constraint's pods in each domain of its topology. Only nodes that have the keys of all
// constraints count.
func (c *constraint) domains(snapshot *framework.Snapshot, all []constraint) map[string]int64 {
	counts := map[string]int64{}
	for _, n := range snapshot.Nodes {
		if !hasKeys(n.Node, all) || !c.included(n) {
			continue
		}
		domain := n.Node.Labels[c.key]
		counts[domain] += c.on(n)
	}
	return counts
}

func (c *constraint) on(n *framework.NodeInfo) (count int64) {
	for _, p := range n.Pods {
		if c.counts(p.Pod) {
			count++
		}
	}
	return count
}

func hasKeys(node *corev1.Node, all []constraint) bool {
	for i := range all {
		if _, ok := node.Labels[all[i].key]; !ok {
			return false
		}
	}
	return true
}

func spreadFilter(hard []constraint, snapshot *framework.Snapshot) func(*framework.NodeInfo) *framework.Status {
	counts, least := make([]map[string]int64, len(hard)), make([]int64, len(hard))
	for i := range hard {
		counts[i] = hard[i].domains(snapshot, hard)
		least[i] = math.MaxInt64
		for _, n := range counts[i] {
			least[i] = min(least[i], n)
		}
		if int64(len(counts[i])) < hard[i].minDomains {
			least[i] = 0 // too few domains: as if an empty one stood beside them
		}
	}
	return func(n *framework.NodeInfo) *framework.Status {
		for i := range hard {
			domain, ok := n.Node.Labels[hard[i].key]
			if !ok {
				return framework.NewStatus(framework.Unresolvable, "node(s) didn't match pod topology spread constraints (missing required label)")
			}
			if least[i] != math.MaxInt64 && counts[i][domain]+hard[i].self-least[i] > hard[i].maxSkew {
				return framework.NewStatus(framework.Unschedulable, "node(s) didn't match pod topology spread constraints")
			}
		}
		return nil
	}
}

// spreadScore prefers domains with few pods. A topology with more domains weighs more, since one pod more
// in a domain says more there.
func spreadScore(soft []constraint, snapshot *framework.Snapshot) (func(*framework.NodeInfo) int64, func([]int64)) {
	counts, weight := make([]map[string]int64, len(soft)), make([]float64, len(soft))
	for i := range soft {
		counts[i] = soft[i].domains(snapshot, soft[i:i+1])
		weight[i] = math.Log(float64(len(counts[i]) + 2))
	}
	score := func(n *framework.NodeInfo) int64 {
		var sum float64
		for i := range soft {
			if domain, ok := n.Node.Labels[soft[i].key]; ok {
				sum += float64(counts[i][domain])*weight[i] + float64(soft[i].maxSkew-1)
			}
		}
		return int64(math.Round(sum))
	}
	normalize := func(scores []int64) {
		least, most := int64(math.MaxInt64), int64(0)
		for _, s := range scores {
			least, most = min(least, s), max(most, s)
		}
		for i, s := range scores {
			if most == 0 {
				scores[i] = framework.MaxScore
				continue
			}
			scores[i] = framework.MaxScore * (most + least - s) / most
		}
	}
	return score, normalize
}
