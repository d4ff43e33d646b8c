// Package nodelifecycle notices nodes that fall silent, says so in their conditions, and taints nodes by
// their conditions, so that nothing new is put there and, at a bounded rate, what is there moves away.
package nodelifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	coordinationlisters "k8s.io/client-go/listers/coordination/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// Options are the times and rates. Rates are in nodes per second.
type Options struct {
	Period, Grace, StartupGrace time.Duration
	EvictionRate, SecondaryRate float32
	LargeCluster                int
	UnhealthyZone               float32
}

type watcher struct {
	env    *controller.Env
	opt    Options
	client kubernetes.Interface
	events record.EventRecorder
	nodes  corelisters.NodeLister
	leases coordinationlisters.LeaseLister
	pods   cache.SharedIndexInformer

	mu       sync.Mutex
	beats    map[string]*heartbeat
	known    map[string]types.UID
	zones    map[string]*zone
	allDown  bool
	schedule *controller.Loop[string]
}

// zone bounds how fast the nodes of a zone are emptied.
type zone struct {
	rate  float32
	limit flowcontrol.PassiveRateLimiter
}

// New makes the controller.
func New(env *controller.Env, opt Options) (controller.Runner, error) {
	core, leases := env.Informers.Core().V1(), env.Informers.Coordination().V1().Leases()
	w := &watcher{
		env: env, opt: opt, client: env.Client, events: env.Events("node-controller"), nodes: core.Nodes().Lister(), leases: leases.Lister(),
		pods: core.Pods().Informer(), beats: map[string]*heartbeat{}, known: map[string]types.UID{}, zones: map[string]*zone{},
	}
	if err := pods.IndexByNode(w.pods); err != nil {
		return nil, err
	}
	// Taints against scheduling follow conditions at once, whatever the period.
	w.schedule = controller.New(env, "node_lifecycle_controller", 4, controller.Of(w.nodes.Get, w.taintSchedule))
	controller.Watch(w.schedule, core.Nodes().Informer(), func(old, n *corev1.Node) []string {
		if n == nil || old != nil && reflect.DeepEqual(noSchedule(old), noSchedule(n)) && reflect.DeepEqual(old.Spec.Taints, n.Spec.Taints) {
			return nil
		}
		return []string{n.Name}
	})
	return controller.Group{w.schedule, &controller.Periodic{
		Env: env, Name: "node-lifecycle", Every: opt.Period, Do: w.monitor,
		Needs: []cache.SharedIndexInformer{core.Nodes().Informer(), leases.Informer(), w.pods},
	}}, nil
}

func (w *watcher) taintSchedule(ctx context.Context, _ string, n *corev1.Node) (controller.Result, error) {
	taints, changed := withNoSchedule(n, w.env.Clock.Now())
	if !changed {
		return controller.Result{}, nil
	}
	return controller.Result{}, w.writeTaints(ctx, n, taints)
}

// writeTaints replaces the list, on the condition that the node is still as it was read.
func (w *watcher) writeTaints(ctx context.Context, n *corev1.Node, taints []corev1.Taint) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": n.UID, "resourceVersion": n.ResourceVersion},
		"spec":     map[string]any{"taints": taints},
	})
	if err != nil {
		return fmt.Errorf("encoding taints: %w", err)
	}
	_, err = w.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("tainting node %s: %w", n.Name, err)
	}
	return nil
}

// monitor looks at all nodes.
func (w *watcher) monitor(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	list, err := w.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	w.notePresence(list)
	var errs []error
	zones := map[string][]*corev1.Node{}
	for i, n := range list {
		judged, err := w.judge(ctx, n)
		if err != nil {
			errs = append(errs, err)
		}
		list[i] = judged
		zones[zoneOf(n)] = append(zones[zoneOf(n)], judged)
	}
	w.setRates(zones)
	for name, nodes := range zones {
		for _, n := range nodes {
			if err := w.evict(ctx, w.zones[name], n); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// notePresence tells of nodes that have come and gone.
func (w *watcher) notePresence(list []*corev1.Node) {
	now := map[string]types.UID{}
	for _, n := range list {
		now[n.Name] = n.UID
		if _, ok := w.known[n.Name]; !ok {
			w.nodeEvent(n.Name, n.UID, "RegisteredNode", fmt.Sprintf("Registered Node %v in Controller", n.Name))
		}
	}
	for name, uid := range w.known {
		if _, ok := now[name]; !ok {
			w.nodeEvent(name, uid, "RemovingNode", fmt.Sprintf("Removing Node %v from Controller", name))
			delete(w.beats, name)
		}
	}
	w.known = maps.Clone(now)
}

func (w *watcher) nodeEvent(name string, uid types.UID, reason, message string) {
	ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name, UID: uid}
	w.events.Eventf(ref, corev1.EventTypeNormal, reason, "Node %s event: %s", name, message)
}

// judge updates what is known of a node, marks one that is silent, and answers it as it is now.
func (w *watcher) judge(ctx context.Context, n *corev1.Node) (*corev1.Node, error) {
	now := w.env.Clock.Now()
	lease, err := w.leases.Leases(corev1.NamespaceNodeLease).Get(n.Name)
	if err != nil {
		lease = (*coordinationv1.Lease)(nil)
	}
	beat := listen(w.beats[n.Name], n, lease, now)
	w.beats[n.Name] = &beat
	grace := w.opt.Grace
	if beat.status == "" {
		grace = w.opt.StartupGrace
	}
	before := conditionOf(n, corev1.NodeReady)
	if now.Sub(beat.at) > grace {
		c := n.DeepCopy()
		if silence(c, now) {
			written, err := w.client.CoreV1().Nodes().UpdateStatus(ctx, c, metav1.UpdateOptions{})
			if err != nil {
				return n, fmt.Errorf("marking the silent node %s: %w", n.Name, err)
			}
			n = written
		}
	}
	after := conditionOf(n, corev1.NodeReady)
	if after != nil && after.Status != corev1.ConditionTrue {
		if before != nil && before.Status == corev1.ConditionTrue {
			ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}
			w.events.Eventf(ref, corev1.EventTypeNormal, "NodeNotReady", "Node %s status is now: %s", n.Name, "NodeNotReady")
		}
		return n, w.markPods(ctx, n)
	}
	return n, nil
}

// markPods makes the pods of a node that is not ready not ready, so that services pass them by.
func (w *watcher) markPods(ctx context.Context, n *corev1.Node) error {
	var errs []error
	for _, pod := range pods.OnNode(w.pods, n.Name) {
		if !pods.Ready(pod) {
			continue
		}
		pod = pod.DeepCopy()
		c := *pods.Condition(pod, corev1.PodReady)
		c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(w.env.Clock.Now())
		pods.SetCondition(&pod.Status, c)
		w.events.Event(pod, corev1.EventTypeWarning, "NodeNotReady", "Node is not ready")
		_, err := w.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("marking pod %s/%s not ready: %w", pod.Namespace, pod.Name, err))
		}
	}
	return errors.Join(errs...)
}

// setRates sets how fast each zone may be emptied. Where no zone has a ready node it is rather this process
// that sees nobody, so that nothing is evicted.
func (w *watcher) setRates(zones map[string][]*corev1.Node) {
	states, down := map[string]zoneState{}, true
	for name, nodes := range zones {
		states[name] = fare(nodes, w.opt.UnhealthyZone)
		down = down && states[name] == full
	}
	if down && !w.allDown && len(zones) > 0 {
		w.env.Log.Info("No node of the cluster is ready; nothing is evicted until one is")
	}
	if w.allDown && !down { // the time of blindness does not count as theirs
		for _, b := range w.beats {
			b.at = w.env.Clock.Now()
		}
	}
	w.allDown = down
	for name, state := range states {
		rate := w.opt.EvictionRate
		if state == partial {
			if rate = 0; len(zones[name]) > w.opt.LargeCluster {
				rate = w.opt.SecondaryRate
			}
		}
		if z := w.zones[name]; z == nil || z.rate != rate {
			w.zones[name] = &zone{rate: rate, limit: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(rate, 1, w.env.Clock)}
		}
	}
}

// evict taints a node so that its pods move away, when the zone's rate permits, or takes the taint off.
func (w *watcher) evict(ctx context.Context, z *zone, n *corev1.Node) error {
	now := w.env.Clock.Now()
	key := noExecuteKey(n)
	if w.allDown {
		key = ""
	}
	taints, changed := withNoExecute(n, key, now)
	if !changed {
		return nil
	}
	// Only a node that had neither taint counts against the rate.
	if _, evicted := withNoExecute(n, "", now); key != "" && !evicted && (z.rate <= 0 || !z.limit.TryAccept()) {
		return nil
	}
	return w.writeTaints(ctx, n, taints)
}
