// Package replicas keeps a number of equal pods: the engine of ReplicaSet and ReplicationController,
// which differ in their kind and in nothing that this package does.
package replicas

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/claim"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// burst bounds how many pods one look creates or deletes.
const burst = 500

// Kind is what tells one user of the engine from the other. Sets are passed as ReplicaSets.
type Kind struct {
	Name     string // of the controller, for its queue
	Source   string // component of its events
	GVK      schema.GroupVersionKind
	Informer cache.SharedIndexInformer
	// Get reads a set from the cache; NotFound when it is gone. The answer may be changed.
	Get func(key controller.Key) (*appsv1.ReplicaSet, error)
	// Live reads it from the apiserver.
	Live func(ctx context.Context, key controller.Key) (metav1.Object, error)
	// Object is the set in its own kind, which events name.
	Object func(set *appsv1.ReplicaSet) pods.Parent
	// WriteStatus writes the status of set.
	WriteStatus func(ctx context.Context, set *appsv1.ReplicaSet) (metav1.Object, error)
	// Matching finds the sets that select a pod.
	Matching func(pod *corev1.Pod) []controller.Key
	// CountsTerminating: the kind's status has room for pods that are going.
	CountsTerminating bool
	// Siblings lists the pods of the sets that have the same controller as set, whose placement counts
	// when choosing what to delete; nil: the set's own pods only.
	Siblings func(set *appsv1.ReplicaSet) ([]*corev1.Pod, error)
}

// Engine is a running user of the engine.
type Engine struct {
	*controller.Loop[controller.Key]
	env     *controller.Env
	kind    Kind
	pods    cache.SharedIndexInformer
	control pods.Control
}

// New makes the controller of a kind.
func New(env *controller.Env, kind Kind, workers int) (*Engine, error) {
	e := &Engine{env: env, kind: kind, pods: env.Informers.Core().V1().Pods().Informer()}
	e.control = pods.Control{Client: env.Client, Events: env.Events(kind.Source)}
	if err := pods.IndexByOwner(e.pods); err != nil {
		return nil, err
	}
	e.Loop = controller.New(env, kind.Name, workers, controller.Of(kind.Get, e.reconcile))
	e.Needs(kind.Informer)
	controller.Watch(e.Loop, e.pods, controller.Dependents(kind.GVK.Kind, kind.Matching))
	return e, nil
}

func (e *Engine) reconcile(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet) (controller.Result, error) {
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		e.Log().Error(err, "The selector is not usable; the set is left alone", "set", key)
		return controller.Result{}, nil
	}
	all, err := pods.OfOwner(e.pods, set)
	if err != nil {
		return controller.Result{}, err
	}
	// Ended pods are not adopted, but those of one's own stay one's own.
	candidates := all[:0:0]
	for _, p := range all {
		if !pods.Terminal(p) {
			candidates = append(candidates, p)
		}
	}
	mine, err := e.claim(ctx, key, set, selector, candidates)
	if err != nil {
		return controller.Result{}, err
	}
	active, terminating := split(mine)
	var manageErr error
	if set.DeletionTimestamp == nil {
		manageErr = e.manage(ctx, key, set, active)
	}
	now := e.env.Clock.Now()
	status := Status(set, active, terminating, manageErr, now)
	if !e.kind.CountsTerminating {
		status.TerminatingReplicas = nil
	}
	if err := e.writeStatus(ctx, key, set, status); err != nil {
		return controller.Result{}, err
	}
	if manageErr != nil {
		return controller.Result{}, manageErr
	}
	return controller.Result{After: nextAvailable(active, set.Spec.MinReadySeconds, now)}, nil
}

func split(list []*corev1.Pod) (active, terminating []*corev1.Pod) {
	for _, p := range list {
		if pods.Active(p) {
			active = append(active, p)
		} else if p.DeletionTimestamp != nil {
			terminating = append(terminating, p)
		}
	}
	return active, terminating
}

// manage creates or deletes what is missing or too much.
func (e *Engine) manage(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet, active []*corev1.Pod) error {
	wanted := int(*set.Spec.Replicas)
	switch {
	case len(active) < wanted:
		return e.create(ctx, key, set, min(wanted-len(active), burst))
	case len(active) > wanted:
		beside := active
		if e.kind.Siblings != nil {
			var err error
			if beside, err = e.kind.Siblings(set); err != nil {
				return err
			}
		}
		pods.DeletionOrder(active, beside, e.env.Clock.Now())
		return e.delete(ctx, key, set, active[:min(len(active)-wanted, burst)])
	}
	return nil
}

func (e *Engine) create(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet, count int) error {
	owner := metav1.NewControllerRef(set, e.kind.GVK)
	parent := e.kind.Object(set)
	_, err := pods.SlowStart(count, func(int) error {
		pod, err := e.control.Create(ctx, pods.FromTemplate(&set.Spec.Template, set, owner), parent)
		if err != nil {
			if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
				return nil // nothing can be created there any more, and the set goes too
			}
			return err
		}
		e.Wrote(key, e.pods.GetStore(), pod)
		return nil
	})
	return err
}

func (e *Engine) delete(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet, list []*corev1.Pod) error {
	parent := e.kind.Object(set)
	errs := make(chan error, len(list))
	for _, p := range list {
		go func() {
			err := e.control.Delete(ctx, p, parent)
			if err == nil {
				e.Deleted(key, e.pods.GetStore(), p)
			}
			errs <- err
		}()
	}
	var first error
	for range list {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (e *Engine) writeStatus(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet, status appsv1.ReplicaSetStatus) error {
	if reflect.DeepEqual(set.Status, status) {
		return nil
	}
	set.Status = status
	written, err := e.kind.WriteStatus(ctx, set)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("writing the status of %s: %w", key, err)
	}
	e.Wrote(key, e.kind.Informer.GetStore(), written)
	return nil
}

func (e *Engine) claim(ctx context.Context, key controller.Key, set *appsv1.ReplicaSet, selector labels.Selector, list []*corev1.Pod) ([]*corev1.Pod, error) {
	return (&claim.Claim[*corev1.Pod]{
		Owner: set, Kind: e.kind.GVK, Selector: selector,
		Live: func(ctx context.Context) (metav1.Object, error) { return e.kind.Live(ctx, key) },
		Patch: func(ctx context.Context, pod *corev1.Pod, patch []byte) (*corev1.Pod, error) {
			written, err := e.env.Client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			if err == nil {
				e.Wrote(key, e.pods.GetStore(), written)
			}
			return written, err
		},
	}).All(ctx, list)
}
