// Package framework is what the scheduler's cycle and its plugins say to each other. It knows neither:
// a plugin is a struct of functions, a decision is a value.
package framework

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// MaxScore is the best score of a node at one plugin, after Normalize; the worst is 0.
const MaxScore int64 = 100

// Code classifies a Status.
type Code int

// Unschedulable may be mended by removing pods from the node; Unresolvable may not; Wait (of Permit) holds
// a pod until it is allowed or time runs out; Skip (of Bind) leaves the binding to the next plugin.
const (
	Success Code = iota
	Error
	Unschedulable
	Unresolvable
	Wait
	Skip
)

// Status is a plugin's verdict. nil is Success.
type Status struct {
	Code    Code
	Reasons []string // for the pod's event, counted over nodes: "Insufficient cpu"
	Err     error
	Plugin  string // set by the cycle
}

// NewStatus makes a verdict with reasons.
func NewStatus(code Code, reasons ...string) *Status { return &Status{Code: code, Reasons: reasons} }

// AsStatus makes an Error verdict.
func AsStatus(err error) *Status {
	return &Status{Code: Error, Reasons: []string{err.Error()}, Err: err}
}

// OK says that nothing stands against the pod.
func (s *Status) OK() bool { return s == nil || s.Code == Success }

// Plugin declares one scheduling rule. A nil function has no part in its point.
type Plugin struct {
	Name string // as in KubeSchedulerConfiguration

	// PreEnqueue holds a pod back from the queue (scheduling gates).
	PreEnqueue func(pod *corev1.Pod) *Status
	// Prepare looks at a pod and the whole snapshot once per cycle: what people know as PreFilter and
	// PreScore. What it computed lives in the functions of the Evaluation that it returns.
	Prepare func(ctx context.Context, pod *PodInfo, snapshot *Snapshot) (Evaluation, *Status)

	Reserve   func(ctx context.Context, pod *corev1.Pod, node string) *Status
	Unreserve func(ctx context.Context, pod *corev1.Pod, node string)
	Permit    func(ctx context.Context, pod *corev1.Pod, node string) *Status
	PreBind   func(ctx context.Context, pod *corev1.Pod, node string) *Status
	Bind      func(ctx context.Context, pod *corev1.Pod, node string) *Status
	PostBind  func(ctx context.Context, pod *corev1.Pod, node string)

	// Wakes says whether an event could let a pod that this plugin refused be scheduled. nil: every event
	// of the kinds that any plugin looks at.
	Wakes func(e Event, pod *corev1.Pod) bool
}

// Evaluation is one plugin's view of one pod. A nil function has nothing to say about this pod. Filter and
// Score are pure and may be called for several nodes at once.
type Evaluation struct {
	// Nodes, when not nil, are the only nodes that need to be looked at.
	Nodes  map[string]bool
	Filter func(node *NodeInfo) *Status
	Score  func(node *NodeInfo) int64
	// Normalize brings the scores of all feasible nodes into 0..MaxScore in place; nil: they are so already.
	Normalize func(scores []int64)
}

// Diagnosis is why each node was refused.
type Diagnosis struct {
	Nodes     map[string]*Status
	Plugins   map[string]bool // the plugins that refused some node or the pod itself
	PreFilter string          // the reason of a plugin that refused the pod as a whole
}

// EventKind is what happened in the cluster, as far as scheduling cares.
type EventKind int

// The kinds of event.
const (
	NodeAdded EventKind = iota
	NodeChanged
	PodAssigned // a pod was bound, or an assigned pod's labels changed
	PodGone     // an assigned pod left its node, or finished
	PodChanged  // the waiting pod itself
	OtherChanged
)

// Event is a change that may make a waiting pod schedulable.
type Event struct {
	Kind    EventKind
	Node    *corev1.Node
	OldNode *corev1.Node
	Pod     *corev1.Pod
}
