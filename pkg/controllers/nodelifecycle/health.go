package nodelifecycle

import (
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// heartbeat is when a node was last heard of, by this process's clock: nodes' own clocks may be wrong.
type heartbeat struct {
	at      time.Time
	renewed time.Time // the lease's renewTime then
	heard   time.Time // the Ready condition's lastHeartbeatTime then
	status  corev1.ConditionStatus
}

// listen takes in a node's status and lease (nil for none) and answers its heartbeat.
func listen(last *heartbeat, node *corev1.Node, lease *coordinationv1.Lease, now time.Time) heartbeat {
	next := heartbeat{at: now}
	if c := conditionOf(node, corev1.NodeReady); c != nil {
		next.heard, next.status = c.LastHeartbeatTime.Time, c.Status
	}
	if lease != nil && lease.Spec.RenewTime != nil {
		next.renewed = lease.Spec.RenewTime.Time
	}
	if last == nil {
		if next.status == "" { // it never spoke: it counts from its creation
			next.at = node.CreationTimestamp.Time
		}
		return next
	}
	// Unknown is what this controller writes itself and is no sign of life.
	spoke := !next.heard.Equal(last.heard) && next.status != corev1.ConditionUnknown
	if !spoke && !next.renewed.After(last.renewed) {
		next.at = last.at
	}
	return next
}

func conditionOf(n *corev1.Node, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if n.Status.Conditions[i].Type == t {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// silence marks what is not known any more of a node that is silent, and tells whether anything changed.
func silence(n *corev1.Node, now time.Time) bool {
	changed := false
	for _, t := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		c := conditionOf(n, t)
		switch {
		case c == nil:
			n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
				Type: t, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
		case c.Status != corev1.ConditionUnknown:
			c.Status, c.Reason, c.Message = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status."
			c.LastTransitionTime = metav1.NewTime(now)
		default:
			continue
		}
		changed = true
	}
	return changed
}

// noSchedule are the taints that a node's conditions ask for, by key.
func noSchedule(n *corev1.Node) map[string]bool {
	want := map[string]bool{}
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type == corev1.NodeReady && c.Status == corev1.ConditionFalse:
			want[corev1.TaintNodeNotReady] = true
		case c.Type == corev1.NodeReady && c.Status == corev1.ConditionUnknown:
			want[corev1.TaintNodeUnreachable] = true
		case c.Status != corev1.ConditionTrue:
		case c.Type == corev1.NodeMemoryPressure:
			want[corev1.TaintNodeMemoryPressure] = true
		case c.Type == corev1.NodeDiskPressure:
			want[corev1.TaintNodeDiskPressure] = true
		case c.Type == corev1.NodePIDPressure:
			want[corev1.TaintNodePIDPressure] = true
		case c.Type == corev1.NodeNetworkUnavailable:
			want[corev1.TaintNodeNetworkUnavailable] = true
		}
	}
	if n.Spec.Unschedulable {
		want[corev1.TaintNodeUnschedulable] = true
	}
	return want
}

var ownKeys = []string{
	corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, corev1.TaintNodeMemoryPressure, corev1.TaintNodeDiskPressure,
	corev1.TaintNodePIDPressure, corev1.TaintNodeNetworkUnavailable, corev1.TaintNodeUnschedulable,
}

// withNoSchedule is the node's taints with those of effect NoSchedule that are this controller's set as
// its conditions ask. Taints that stay keep their place and time.
func withNoSchedule(n *corev1.Node, now time.Time) ([]corev1.Taint, bool) {
	want := noSchedule(n)
	own := func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule && slices.Contains(ownKeys, t.Key)
	}
	return replace(n.Spec.Taints, own, want, corev1.TaintEffectNoSchedule, now)
}

// withNoExecute sets the one of the two taints that evict, key "" for none.
func withNoExecute(n *corev1.Node, key string, now time.Time) ([]corev1.Taint, bool) {
	own := func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && (t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable)
	}
	want := map[string]bool{}
	if key != "" {
		want[key] = true
	}
	return replace(n.Spec.Taints, own, want, corev1.TaintEffectNoExecute, now)
}

func replace(taints []corev1.Taint, own func(corev1.Taint) bool, want map[string]bool, effect corev1.TaintEffect, now time.Time) ([]corev1.Taint, bool) {
	var next []corev1.Taint
	changed := false
	have := map[string]bool{}
	for _, t := range taints {
		if own(t) && !want[t.Key] {
			changed = true
			continue
		}
		if own(t) {
			have[t.Key] = true
		}
		next = append(next, t)
	}
	for _, key := range ownKeys {
		if want[key] && !have[key] {
			at := metav1.NewTime(now)
			next, changed = append(next, corev1.Taint{Key: key, Effect: effect, TimeAdded: &at}), true
		}
	}
	return next, changed
}

// noExecuteKey is the taint that a node's readiness asks for, "" for none.
func noExecuteKey(n *corev1.Node) string {
	c := conditionOf(n, corev1.NodeReady)
	switch {
	case c == nil || c.Status == corev1.ConditionTrue:
		return ""
	case c.Status == corev1.ConditionFalse:
		return corev1.TaintNodeNotReady
	}
	return corev1.TaintNodeUnreachable
}

// zoneOf names a node's zone.
func zoneOf(n *corev1.Node) string {
	region, zone := n.Labels[corev1.LabelTopologyRegion], n.Labels[corev1.LabelTopologyZone]
	if region == "" && zone == "" {
		return ""
	}
	return fmt.Sprintf("%s:\x00:%s", region, zone)
}

// zoneState is how a zone fares.
type zoneState int

const (
	normal zoneState = iota
	partial
	full // no node is ready
)

// fare judges a zone by its nodes.
func fare(nodes []*corev1.Node, threshold float32) zoneState {
	ready := 0
	for _, n := range nodes {
		if noExecuteKey(n) == "" && conditionOf(n, corev1.NodeReady) != nil {
			ready++
		}
	}
	bad := len(nodes) - ready
	switch {
	case ready == 0 && bad > 0:
		return full
	case bad > 2 && float32(bad)/float32(len(nodes)) >= threshold:
		return partial
	}
	return normal
}
