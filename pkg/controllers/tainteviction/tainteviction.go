// Package tainteviction deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer.
package tainteviction

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

type reconciler struct {
	*controller.Loop[controller.Key]
	env    *controller.Env
	client kubernetes.Interface
	events record.EventRecorder
	pods   corelisters.PodLister
	nodes  corelisters.NodeLister

	mu    sync.Mutex
	since map[types.UID]time.Time // when a pod was first seen under taints that do not say since when
}

// New makes the controller.
func New(env *controller.Env) (controller.Runner, error) {
	core := env.Informers.Core().V1()
	informer := core.Pods().Informer()
	if err := pods.IndexByNode(informer); err != nil {
		return nil, err
	}
	r := &reconciler{
		env: env, client: env.Client, events: env.Events("taint-eviction-controller"), pods: core.Pods().Lister(), nodes: core.Nodes().Lister(),
		since: map[types.UID]time.Time{},
	}
	get := func(k controller.Key) (*corev1.Pod, error) { return r.pods.Pods(k.Namespace).Get(k.Name) }
	r.Loop = controller.New(env, "taint-eviction", 8, controller.Of(get, r.reconcile))
	controller.Watch(r.Loop, informer, func(old, p *corev1.Pod) []controller.Key {
		if p == nil {
			r.forget(old.UID)
			return nil
		}
		if p.Spec.NodeName == "" || old != nil && old.Spec.NodeName == p.Spec.NodeName && reflect.DeepEqual(old.Spec.Tolerations, p.Spec.Tolerations) {
			return nil
		}
		return []controller.Key{controller.KeyOf(p)}
	})
	controller.Watch(r.Loop, core.Nodes().Informer(), func(old, n *corev1.Node) []controller.Key {
		if n == nil || old != nil && reflect.DeepEqual(noExecute(old), noExecute(n)) || old == nil && len(noExecute(n)) == 0 {
			return nil
		}
		var keys []controller.Key
		for _, p := range pods.OnNode(informer, n.Name) {
			keys = append(keys, controller.KeyOf(p))
		}
		return keys
	})
	return r, nil
}

func noExecute(n *corev1.Node) []corev1.Taint {
	var list []corev1.Taint
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoExecute {
			list = append(list, t)
		}
	}
	return list
}

// Verdict is what taints mean for a pod.
type Verdict struct {
	Evict bool
	At    time.Time // when to evict
}

// Judge decides. A taint counts from when it was added, or where it does not say from since.
func Judge(tolerations []corev1.Toleration, taints []corev1.Taint, since time.Time) Verdict {
	var v Verdict
	for i := range taints {
		t := &taints[i]
		added := since
		if t.TimeAdded != nil {
			added = t.TimeAdded.Time
		}
		toleration := pods.Tolerating(tolerations, t)
		switch {
		case toleration == nil:
			v.consider(since)
		case toleration.TolerationSeconds != nil:
			v.consider(added.Add(time.Duration(max(*toleration.TolerationSeconds, 0)) * time.Second))
		}
	}
	return v
}

func (v *Verdict) consider(at time.Time) {
	if !v.Evict || at.Before(v.At) {
		v.Evict, v.At = true, at
	}
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key, pod *corev1.Pod) (controller.Result, error) {
	if pod.DeletionTimestamp != nil || pod.Spec.NodeName == "" {
		return controller.Result{}, nil
	}
	node, err := r.nodes.Get(pod.Spec.NodeName)
	if apierrors.IsNotFound(err) {
		return controller.Result{}, nil
	} else if err != nil {
		return controller.Result{}, fmt.Errorf("reading node %s: %w", pod.Spec.NodeName, err)
	}
	taints, now := noExecute(node), r.env.Clock.Now()
	if len(taints) == 0 {
		if r.forget(pod.UID) {
			r.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Cancelling deletion of Pod %s", key)
		}
		return controller.Result{}, nil
	}
	v := Judge(pod.Spec.Tolerations, taints, r.firstSeen(pod.UID, now))
	if !v.Evict {
		r.forget(pod.UID)
		return controller.Result{}, nil
	}
	if wait := v.At.Sub(now); wait > 0 {
		return controller.Result{After: wait}, nil
	}
	return controller.Result{}, r.evict(ctx, pod)
}

func (r *reconciler) firstSeen(uid types.UID, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.since[uid]; ok {
		return at
	}
	r.since[uid] = now
	return now
}

func (r *reconciler) forget(uid types.UID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, had := r.since[uid]
	delete(r.since, uid)
	return had
}

func (r *reconciler) evict(ctx context.Context, pod *corev1.Pod) error {
	r.events.Eventf(pod, corev1.EventTypeNormal, "TaintManagerEviction", "Marking for deletion Pod %s/%s", pod.Namespace, pod.Name)
	condition := corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager",
		Message: "Taint manager: deleting due to NoExecute taint", LastTransitionTime: metav1.NewTime(r.env.Clock.Now()), ObservedGeneration: pod.Generation,
	}
	if c := pods.Condition(pod, corev1.DisruptionTarget); c == nil || c.Status != corev1.ConditionTrue {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": pod.UID}, "status": map[string]any{"conditions": []corev1.PodCondition{condition}},
		})
		if err != nil {
			return fmt.Errorf("encoding a pod's condition: %w", err)
		}
		_, err = r.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("telling pod %s/%s why it goes: %w", pod.Namespace, pod.Name, err)
		}
	}
	err := r.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("evicting pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
