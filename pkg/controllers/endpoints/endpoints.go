// Package endpoints writes down which pods stand behind each service, in the older Endpoints objects.
package endpoints

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/endpoints"
)

const (
	managedBy      = "endpoints.kubernetes.io/managed-by"
	managedByValue = "endpoint-controller"
)

type reconciler struct {
	*controller.Loop[controller.Key]
	client    kubernetes.Interface
	services  corelisters.ServiceLister
	pods      corelisters.PodLister
	endpoints corelisters.EndpointsLister
	store     cache.Store
}

// New makes the controller. batch is how long a pod's change waits for others.
func New(env *controller.Env, workers int, batch time.Duration) (controller.Runner, error) {
	core := env.Informers.Core().V1()
	r := &reconciler{
		client: env.Client, services: core.Services().Lister(), pods: core.Pods().Lister(),
		endpoints: core.Endpoints().Lister(), store: core.Endpoints().Informer().GetStore(),
	}
	r.Loop = controller.New(env, "endpoint", workers, r.reconcile)
	controller.Watch(r.Loop, core.Services().Informer(), controller.Itself[corev1.Service])
	endpoints.WatchPods(r.Loop, core.Pods().Informer(), r.services, batch)
	controller.Watch(r.Loop, core.Endpoints().Informer(), controller.Itself[corev1.Endpoints])
	return r, nil
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key) (controller.Result, error) {
	have, err := r.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return controller.Result{}, fmt.Errorf("reading endpoints %s: %w", key, err)
	} else if err != nil {
		have = nil
	}
	service, err := r.services.Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return controller.Result{}, r.remove(ctx, key, have)
	} else if err != nil {
		return controller.Result{}, fmt.Errorf("reading service %s: %w", key, err)
	}
	if len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName {
		return controller.Result{}, nil
	}
	list, err := endpoints.Selected(r.pods, service)
	if err != nil {
		return controller.Result{}, err
	}
	want := wanted(service, list, have)
	if want == nil {
		return controller.Result{}, nil
	}
	var written *corev1.Endpoints
	if have == nil {
		written, err = r.client.CoreV1().Endpoints(key.Namespace).Create(ctx, want, metav1.CreateOptions{})
	} else {
		written, err = r.client.CoreV1().Endpoints(key.Namespace).Update(ctx, want, metav1.UpdateOptions{})
	}
	switch {
	case err == nil:
		r.Wrote(key, r.store, written)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
	default:
		return controller.Result{}, fmt.Errorf("writing endpoints %s: %w", key, err)
	}
	return controller.Result{}, nil
}

// remove deletes the Endpoints of a service that is gone. Those that this controller did not write (a
// leader's lock of old, or written by hand before their service) stay.
func (r *reconciler) remove(ctx context.Context, key controller.Key, have *corev1.Endpoints) error {
	if have == nil || have.Labels[managedBy] != managedByValue {
		return nil
	}
	err := r.client.CoreV1().Endpoints(key.Namespace).Delete(ctx, key.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(have.UID))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting endpoints %s: %w", key, err)
	}
	return nil
}

// wanted is the object to write, nil where have is right.
func wanted(s *corev1.Service, list []*corev1.Pod, have *corev1.Endpoints) *corev1.Endpoints {
	want := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	if have != nil {
		want = have.DeepCopy()
	}
	want.Labels = maps.Clone(s.Labels)
	if want.Labels == nil {
		want.Labels = map[string]string{}
	}
	want.Labels[managedBy] = managedByValue
	if endpoints.Headless(s) {
		want.Labels[corev1.IsHeadlessService] = ""
	} else {
		delete(want.Labels, corev1.IsHeadlessService)
	}
	want.Subsets = subsets(s, list)
	if want.Annotations == nil {
		want.Annotations = map[string]string{}
	}
	delete(want.Annotations, corev1.EndpointsOverCapacity)
	if truncate(want.Subsets) {
		want.Annotations[corev1.EndpointsOverCapacity] = "truncated"
	}
	if have != nil && equality.Semantic.DeepEqual(have, want) {
		return nil
	}
	if t := endpoints.TriggerTime(s, list); t != "" {
		want.Annotations[corev1.EndpointsLastChangeTriggerTime] = t
	}
	return want
}
