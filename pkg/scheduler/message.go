package scheduler

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// unschedulableMessage words why no node took a pod, as kube-scheduler does: tools and people search for
// these words.
func unschedulableMessage(d framework.Diagnosis, nodes int) string {
	if nodes == 0 {
		return "no nodes available to schedule pods"
	}
	reasons := map[string]int{}
	hopeless := 0
	for _, s := range d.Nodes {
		for _, r := range s.Reasons {
			reasons[r]++
		}
		if s.Code == framework.Unresolvable {
			hopeless++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "0/%d nodes are available:", nodes)
	if d.PreFilter != "" {
		fmt.Fprintf(&b, " %s.", d.PreFilter)
		hopeless = nodes
	} else {
		fmt.Fprintf(&b, " %s.", histogram(reasons))
	}
	after := map[string]int{}
	if hopeless > 0 {
		after["Preemption is not helpful for scheduling"] = hopeless
	}
	if rest := nodes - hopeless; rest > 0 {
		after["No preemption victims found for incoming pod"] = rest
	}
	fmt.Fprintf(&b, " no new claims to deallocate, preemption: 0/%d nodes are available: %s.", nodes, histogram(after))
	return b.String()
}

// histogram words counted reasons: "1 Insufficient cpu, 2 Too many pods".
func histogram(reasons map[string]int) string {
	words := make([]string, 0, len(reasons))
	for r, n := range reasons {
		words = append(words, fmt.Sprintf("%d %s", n, r))
	}
	sort.Strings(words)
	return strings.Join(words, ", ")
}
