package plugins

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

func node(name string, change ...func(*corev1.Node)) *framework.NodeInfo {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	n.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	for _, c := range change {
		c(n)
	}
	return framework.NewNodeInfo(n)
}

func pod(name string, change ...func(*corev1.Pod)) *framework.PodInfo {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(name)}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "img"}}
	for _, c := range change {
		c(p)
	}
	return framework.NewPodInfo(p)
}

func cpu(q string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(q)}
	}
}

func hostPort(ip string, n int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostIP: ip, HostPort: n, ContainerPort: n}}
	}
}

func tainted(key string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Effect: effect}) }
}

func snapshotOf(nodes ...*framework.NodeInfo) *framework.Snapshot {
	return &framework.Snapshot{Nodes: nodes}
}

func with(n *framework.NodeInfo, pods ...*framework.PodInfo) *framework.NodeInfo {
	for _, p := range pods {
		n.Add(p)
	}
	return n
}

func TestFilters(t *testing.T) {
	const fits = ""
	spread := func(key string, skew int32) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": "web"}
			p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				TopologyKey: key, MaxSkew: skew, WhenUnsatisfiable: corev1.DoNotSchedule,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			}}
		}
	}
	web := func(name string) *framework.PodInfo {
		return pod(name, func(p *corev1.Pod) { p.Labels = map[string]string{"app": "web"} })
	}
	for name, c := range map[string]struct {
		plugin framework.Plugin
		pod    *framework.PodInfo
		node   *framework.NodeInfo
		others []*framework.NodeInfo
		want   string
		code   framework.Code
	}{
		"a named node only":          {nodeName(), pod("p", func(p *corev1.Pod) { p.Spec.NodeName = "b" }), node("a"), nil, "node(s) didn't match the requested node name", framework.Unresolvable},
		"the named node itself":      {nodeName(), pod("p", func(p *corev1.Pod) { p.Spec.NodeName = "a" }), node("a"), nil, fits, 0},
		"a cordoned node":            {nodeUnschedulable(), pod("p"), node("a", func(n *corev1.Node) { n.Spec.Unschedulable = true }), nil, "node(s) were unschedulable", framework.Unresolvable},
		"a cordoned node, tolerated": {nodeUnschedulable(), pod("p", func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}} }), node("a", func(n *corev1.Node) { n.Spec.Unschedulable = true }), nil, fits, 0},
		"a taint":                    {taintToleration(), pod("p"), node("a", tainted("k", corev1.TaintEffectNoSchedule)), nil, "node(s) had untolerated taint(s)", framework.Unresolvable},
		"a taint that only prefers":  {taintToleration(), pod("p"), node("a", tainted("k", corev1.TaintEffectPreferNoSchedule)), nil, fits, 0},
		"a selector that misses":     {nodeAffinity(), pod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }), node("a"), nil, "node(s) didn't match Pod's node affinity/selector", framework.Unresolvable},
		"a selector that matches":    {nodeAffinity(), pod("p", func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "a"} }), node("a"), nil, fits, 0},
		"a taken port":               {nodePorts(), pod("p", hostPort("", 80)), with(node("a"), pod("q", hostPort("10.0.0.1", 80))), nil, "node(s) didn't have free ports for the requested pod ports", framework.Unschedulable},
		"a port on another address":  {nodePorts(), pod("p", hostPort("10.0.0.2", 80)), with(node("a"), pod("q", hostPort("10.0.0.1", 80))), nil, fits, 0},
		"exactly what is left":       {nodeResourcesFit(), pod("p", cpu("500m")), with(node("a"), pod("q", cpu("1500m"))), nil, fits, 0},
		"a thousandth too much":      {nodeResourcesFit(), pod("p", cpu("501m")), with(node("a"), pod("q", cpu("1500m"))), nil, "Insufficient cpu", framework.Unschedulable},
		"more than the node has":     {nodeResourcesFit(), pod("p", cpu("3")), node("a"), nil, "Insufficient cpu", framework.Unresolvable},
		"one pod too many":           {nodeResourcesFit(), pod("p"), with(node("a", func(n *corev1.Node) { n.Status.Allocatable[corev1.ResourcePods] = resource.MustParse("1") }), pod("q")), nil, "Too many pods", framework.Unschedulable},
		"skew within the bound":      {podTopologySpread(), pod("p", spread(corev1.LabelHostname, 1)), node("a"), []*framework.NodeInfo{with(node("b"), web("x"))}, fits, 0},
		"skew over the bound":        {podTopologySpread(), pod("p", spread(corev1.LabelHostname, 1)), with(node("a"), web("x")), []*framework.NodeInfo{node("b")}, "node(s) didn't match pod topology spread constraints", framework.Unschedulable},
		"no label to spread over":    {podTopologySpread(), pod("p", spread("rack", 1)), node("a"), nil, "node(s) didn't match pod topology spread constraints (missing required label)", framework.Unresolvable},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := c.plugin.Prepare(context.Background(), c.pod, snapshotOf(append(c.others, c.node)...))
			if !s.OK() {
				t.Fatalf("Prepare: %v", s)
			}
			var got *framework.Status
			if e.Filter != nil {
				got = e.Filter(c.node)
			}
			if c.want == fits {
				if !got.OK() {
					t.Fatalf("refused: %v", got.Reasons)
				}
				return
			}
			if got.OK() || got.Reasons[0] != c.want || got.Code != c.code {
				t.Fatalf("got %+v, want %q with code %d", got, c.want, c.code)
			}
		})
	}
}

func TestScoresPreferTheEmptierNode(t *testing.T) {
	owner := []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "rs", UID: "rs", Controller: new(true)}}
	owned := func(p *corev1.Pod) { p.OwnerReferences = owner }
	full, empty := with(node("full"), pod("q", cpu("1"), owned)), node("empty")
	for _, p := range []framework.Plugin{nodeResourcesFit(), podTopologySpread(), balancedAllocation()} {
		e, s := p.Prepare(context.Background(), pod("p", cpu("100m"), owned), snapshotOf(full, empty))
		if !s.OK() {
			t.Fatal(s)
		}
		scores := []int64{e.Score(full), e.Score(empty)}
		if e.Normalize != nil {
			e.Normalize(scores)
		}
		if p.Name != "NodeResourcesBalancedAllocation" && scores[0] >= scores[1] {
			t.Errorf("%s scores the full node %d and the empty one %d", p.Name, scores[0], scores[1])
		}
		for _, score := range scores {
			if score < 0 || score > framework.MaxScore {
				t.Errorf("%s answers %d, outside of 0..100", p.Name, score)
			}
		}
	}
}

func TestDaemonPodsLookAtTheirNodeOnly(t *testing.T) {
	p := pod("p", func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"a"}}}}},
		}}}
	})
	e, _ := nodeAffinity().Prepare(context.Background(), p, snapshotOf(node("a"), node("b")))
	if len(e.Nodes) != 1 || !e.Nodes["a"] {
		t.Fatalf("got %v", e.Nodes)
	}
}
