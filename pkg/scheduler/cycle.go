package scheduler

import (
	"context"
	"math/rand/v2"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
	"github.com/sampan-project/sampan/pkg/scheduler/plugins"
)

// Below minFeasible nodes all are looked at; above, the search may end early (feasibleToFind).
const (
	minFeasible     = 100
	minFeasiblePart = 5 // per cent
)

// cycle decides where one pod goes. It is pure: a pod, a snapshot and a profile in, a node or the reasons
// against every node out. rand breaks ties between nodes of one score.
type cycle struct {
	profile plugins.Profile
	percent int32 // of the nodes to find feasible before the search ends; 0: by the cluster's size
	rand    *rand.Rand
	next    int // node at which the next search starts, so that all get their turn
}

// outcome of a cycle: a node, or a diagnosis, or an error.
type outcome struct {
	node      string
	diagnosis framework.Diagnosis
	err       *framework.Status
}

// evaluation is a plugin's part in one pod's cycle.
type evaluation struct {
	framework.Evaluation
	plugin string
	weight int64
}

// run finds the best node for the pod.
func (c *cycle) run(ctx context.Context, pod *framework.PodInfo, snapshot *framework.Snapshot) outcome {
	evaluations, o, ok := c.prepare(ctx, pod, snapshot)
	if !ok {
		return o
	}
	feasible, diagnosis := c.filter(evaluations, snapshot)
	if len(feasible) == 0 {
		return outcome{diagnosis: diagnosis}
	}
	return outcome{node: c.best(evaluations, feasible).Node.Name}
}

func (c *cycle) prepare(ctx context.Context, pod *framework.PodInfo, snapshot *framework.Snapshot) ([]evaluation, outcome, bool) {
	evaluations := make([]evaluation, 0, len(c.profile.Plugins))
	for _, p := range c.profile.Plugins {
		if p.Prepare == nil {
			continue
		}
		e, s := p.Prepare(ctx, pod, snapshot)
		if !s.OK() {
			s.Plugin = p.Name
			if s.Code == framework.Error {
				return nil, outcome{err: s}, false
			}
			return nil, outcome{diagnosis: framework.Diagnosis{
				Plugins: map[string]bool{p.Name: true}, PreFilter: s.Reasons[0],
			}}, false
		}
		if e.Filter != nil || e.Score != nil || e.Nodes != nil {
			evaluations = append(evaluations, evaluation{e, p.Name, p.Weight})
		}
	}
	return evaluations, outcome{}, true
}

// filter looks at nodes in turn until enough are feasible.
func (c *cycle) filter(evaluations []evaluation, snapshot *framework.Snapshot) ([]*framework.NodeInfo, framework.Diagnosis) {
	total := len(snapshot.Nodes)
	want := feasibleToFind(total, c.percent)
	d := framework.Diagnosis{Nodes: map[string]*framework.Status{}, Plugins: map[string]bool{}}
	var feasible []*framework.NodeInfo
	looked := 0
	for ; looked < total && len(feasible) < want; looked++ {
		node := snapshot.Nodes[(c.next+looked)%total]
		if s := refuse(evaluations, node); s != nil {
			d.Nodes[node.Node.Name] = s
			d.Plugins[s.Plugin] = true
			continue
		}
		feasible = append(feasible, node)
	}
	if total > 0 {
		c.next = (c.next + looked) % total
	}
	return feasible, d
}

// refuse gives the first plugin's refusal of a node.
func refuse(evaluations []evaluation, node *framework.NodeInfo) *framework.Status {
	for i := range evaluations {
		e := &evaluations[i]
		if e.Nodes != nil && !e.Nodes[node.Node.Name] {
			return &framework.Status{Code: framework.Unresolvable, Plugin: e.plugin,
				Reasons: []string{"node(s) didn't satisfy plugin(s) [" + e.plugin + "]"}}
		}
		if e.Filter == nil {
			continue
		}
		if s := e.Filter(node); !s.OK() {
			s.Plugin = e.plugin
			return s
		}
	}
	return nil
}

// feasibleToFind is how many feasible nodes end the search: all in a small cluster, then a share that
// falls from 50 % with the cluster's size (one per cent less for every 125 nodes), never under 5 % or 100
// nodes. The figures are kube-scheduler's, so that placements are spread alike.
func feasibleToFind(nodes int, percent int32) int {
	if nodes < minFeasible || percent >= 100 {
		return max(nodes, 1)
	}
	if percent <= 0 {
		percent = max(50-int32(nodes/125), minFeasiblePart)
	}
	return max(nodes*int(percent)/100, minFeasible)
}

// best scores the feasible nodes and takes the highest, a random one among equals.
func (c *cycle) best(evaluations []evaluation, feasible []*framework.NodeInfo) *framework.NodeInfo {
	if len(feasible) == 1 {
		return feasible[0]
	}
	totals := make([]int64, len(feasible))
	scores := make([]int64, len(feasible))
	for i := range evaluations {
		e := &evaluations[i]
		if e.Score == nil || e.weight == 0 {
			continue
		}
		for n, node := range feasible {
			scores[n] = e.Score(node)
		}
		if e.Normalize != nil {
			e.Normalize(scores)
		}
		for n := range totals {
			totals[n] += scores[n] * e.weight
		}
	}
	best, equals := 0, 1
	for n := 1; n < len(totals); n++ {
		switch {
		case totals[n] > totals[best]:
			best, equals = n, 1
		case totals[n] == totals[best]:
			if equals++; c.rand.IntN(equals) == 0 {
				best = n
			}
		}
	}
	return feasible[best]
}
