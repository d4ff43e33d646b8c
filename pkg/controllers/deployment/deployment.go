// Package deployment moves a Deployment's pods from one template to the next through ReplicaSets, one
// for each template.
package deployment

import (
	"context"
	"fmt"
	"reflect"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/claim"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

type reconciler struct {
	*controller.Loop[controller.Key]
	env         *controller.Env
	client      kubernetes.Interface
	events      record.EventRecorder
	deployments appslisters.DeploymentLister
	deployCache cache.Store
	sets        appslisters.ReplicaSetLister
	setCache    cache.Store
	pods        cache.SharedIndexInformer
}

// New makes the controller.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	d, s := env.Informers.Apps().V1().Deployments(), env.Informers.Apps().V1().ReplicaSets()
	r := &reconciler{
		env: env, client: env.Client, events: env.Events("deployment-controller"),
		deployments: d.Lister(), deployCache: d.Informer().GetStore(), sets: s.Lister(), setCache: s.Informer().GetStore(),
		pods: env.Informers.Core().V1().Pods().Informer(),
	}
	if err := pods.IndexByOwner(r.pods); err != nil {
		return nil, err
	}
	get := func(k controller.Key) (*appsv1.Deployment, error) {
		return r.deployments.Deployments(k.Namespace).Get(k.Name)
	}
	r.Loop = controller.New(env, "deployment", workers, controller.Of(get, r.reconcile))
	controller.Watch(r.Loop, d.Informer(), controller.Itself[appsv1.Deployment])
	controller.Watch(r.Loop, s.Informer(), controller.Dependents("Deployment", func(set *appsv1.ReplicaSet) []controller.Key {
		return controller.Selecting(r.deployments.Deployments(set.Namespace).List, selectorOf, set)
	}))
	controller.Watch(r.Loop, r.pods, r.keysOfPod)
	return r, nil
}

func selectorOf(d *appsv1.Deployment) *metav1.LabelSelector { return d.Spec.Selector }

// keysOfPod: a Recreate deployment goes on when the last old pod has gone.
func (r *reconciler) keysOfPod(old, pod *corev1.Pod) []controller.Key {
	if old == nil || pod != nil && !(pods.Terminal(pod) && !pods.Terminal(old)) {
		return nil
	}
	for _, k := range controller.OwnerKey("ReplicaSet", old) {
		set, err := r.sets.ReplicaSets(k.Namespace).Get(k.Name)
		if err != nil {
			continue
		}
		for _, k := range controller.OwnerKey("Deployment", set) {
			if d, err := r.deployments.Deployments(k.Namespace).Get(k.Name); err == nil && d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
				return []controller.Key{k}
			}
		}
	}
	return nil
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key, cached *appsv1.Deployment) (controller.Result, error) {
	d := cached.DeepCopy()
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		r.Log().Error(err, "The selector is not usable; the deployment is left alone", "deployment", key)
		return controller.Result{}, nil
	}
	if selector.Empty() {
		r.events.Event(d, corev1.EventTypeWarning, "SelectingAll", "This deployment is selecting all pods. A non-empty selector is required.")
		status := d.Status
		status.ObservedGeneration = d.Generation
		return controller.Result{}, r.writeStatus(ctx, d, status)
	}
	sets, err := r.claim(ctx, d, selector)
	if err != nil {
		return controller.Result{}, err
	}
	return r.step(ctx, d, sets)
}

// step does the one thing that is to be done next.
func (r *reconciler) step(ctx context.Context, d *appsv1.Deployment, sets []*appsv1.ReplicaSet) (controller.Result, error) {
	if d.DeletionTimestamp != nil {
		newSet := findNew(d, sets)
		return controller.Result{}, r.writeStatus(ctx, d, count(d, sets, newSet, r.env.Clock.Now()))
	}
	if done, err := r.notePause(ctx, d); done || err != nil {
		return controller.Result{}, err
	}
	if d.Spec.Paused || resized(d, sets) {
		return r.resize(ctx, d, sets)
	}
	switch d.Spec.Strategy.Type {
	case appsv1.RecreateDeploymentStrategyType:
		return r.recreate(ctx, d, sets)
	case appsv1.RollingUpdateDeploymentStrategyType:
		return r.roll(ctx, d, sets)
	}
	return controller.Result{}, fmt.Errorf("deployment %s/%s has the unknown strategy %q", d.Namespace, d.Name, d.Spec.Strategy.Type)
}

func (r *reconciler) claim(ctx context.Context, d *appsv1.Deployment, selector labels.Selector) ([]*appsv1.ReplicaSet, error) {
	list, err := r.sets.ReplicaSets(d.Namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing replica sets: %w", err)
	}
	key := controller.KeyOf(d)
	return (&claim.Claim[*appsv1.ReplicaSet]{
		Owner: d, Kind: appsv1.SchemeGroupVersion.WithKind("Deployment"), Selector: selector,
		Live: func(ctx context.Context) (metav1.Object, error) {
			return r.client.AppsV1().Deployments(d.Namespace).Get(ctx, d.Name, metav1.GetOptions{})
		},
		Patch: func(ctx context.Context, s *appsv1.ReplicaSet, patch []byte) (*appsv1.ReplicaSet, error) {
			written, err := r.client.AppsV1().ReplicaSets(s.Namespace).Patch(ctx, s.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			if err == nil {
				r.Wrote(key, r.setCache, written)
			}
			return written, err
		},
	}).All(ctx, list)
}

// notePause keeps the Progressing condition from running out while the deployment is paused.
func (r *reconciler) notePause(ctx context.Context, d *appsv1.Deployment) (bool, error) {
	if !hasDeadline(d) {
		return false, nil
	}
	c := condition(&d.Status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == reasonTimedOut {
		return false, nil
	}
	noted := c != nil && c.Reason == reasonPaused
	if d.Spec.Paused == noted {
		return false, nil
	}
	reason, message := reasonPaused, "Deployment is paused"
	if noted {
		reason, message = reasonResumed, "Deployment is resumed"
	}
	status := *d.Status.DeepCopy()
	setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reason, message, r.env.Clock.Now()))
	return true, r.writeStatus(ctx, d, status)
}

func (r *reconciler) writeStatus(ctx context.Context, d *appsv1.Deployment, status appsv1.DeploymentStatus) error {
	if reflect.DeepEqual(d.Status, status) {
		return nil
	}
	d.Status = status
	written, err := r.client.AppsV1().Deployments(d.Namespace).UpdateStatus(ctx, d, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("writing the status of deployment %s/%s: %w", d.Namespace, d.Name, err)
	}
	r.Wrote(controller.KeyOf(d), r.deployCache, written)
	d.ResourceVersion = written.ResourceVersion
	return nil
}

func (r *reconciler) writeRollout(ctx context.Context, d *appsv1.Deployment, all []*appsv1.ReplicaSet, newSet *appsv1.ReplicaSet) (controller.Result, error) {
	now := r.env.Clock.Now()
	status := rollout(d, all, newSet, now)
	return controller.Result{After: checkAgain(d, &status, now)}, r.writeStatus(ctx, d, status)
}
