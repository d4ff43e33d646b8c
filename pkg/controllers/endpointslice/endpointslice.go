// Package endpointslice writes down which pods stand behind each service, in EndpointSlices.
package endpointslice

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/endpoints"
)

const (
	managedBy = "endpointslice-controller.k8s.io"
	// nodeRetry is when a pod is looked at again whose node was not known yet.
	nodeRetry = time.Second
)

type reconciler struct {
	*controller.Loop[controller.Key]
	services corelisters.ServiceLister
	pods     corelisters.PodLister
	nodes    corelisters.NodeLister
	slices   discoverylisters.EndpointSliceLister
	writer   endpoints.Writer
	size     int
}

// New makes the controller. size bounds a slice; batch is how long a pod's change waits for others.
func New(env *controller.Env, workers, size int, batch time.Duration) (controller.Runner, error) {
	core, slices := env.Informers.Core().V1(), env.Informers.Discovery().V1().EndpointSlices()
	r := &reconciler{
		services: core.Services().Lister(), pods: core.Pods().Lister(), nodes: core.Nodes().Lister(), slices: slices.Lister(), size: size,
	}
	r.Loop = controller.New(env, "endpoint_slice", workers, r.reconcile)
	r.writer = endpoints.Writer{Client: env.Client, Store: slices.Informer().GetStore(), Writes: r.Writes}
	r.Needs(core.Nodes().Informer())
	controller.Watch(r.Loop, core.Services().Informer(), func(_, s *corev1.Service) []controller.Key {
		if s == nil {
			return nil // the owner's garbage collector deletes the slices
		}
		return []controller.Key{controller.KeyOf(s)}
	})
	endpoints.WatchPods(r.Loop, core.Pods().Informer(), r.services, batch)
	controller.Watch(r.Loop, slices.Informer(), func(old, s *discoveryv1.EndpointSlice) []controller.Key {
		var keys []controller.Key
		for _, s := range []*discoveryv1.EndpointSlice{old, s} {
			if s != nil && s.Labels[discoveryv1.LabelManagedBy] == managedBy {
				keys = append(keys, controller.Key{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]})
			}
		}
		return keys
	})
	return r, nil
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key) (controller.Result, error) {
	service, err := r.services.Services(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		return controller.Result{}, nil
	} else if err != nil {
		return controller.Result{}, fmt.Errorf("reading service %s: %w", key, err)
	}
	if len(service.Spec.Selector) == 0 || service.Spec.Type == corev1.ServiceTypeExternalName || service.DeletionTimestamp != nil {
		return controller.Result{}, nil
	}
	list, err := endpoints.Selected(r.pods, service)
	if err != nil {
		return controller.Result{}, err
	}
	existing, err := r.slices.EndpointSlices(key.Namespace).List(labels.SelectorFromSet(labels.Set{
		discoveryv1.LabelServiceName: key.Name, discoveryv1.LabelManagedBy: managedBy,
	}))
	if err != nil {
		return controller.Result{}, fmt.Errorf("listing the endpoint slices of %s: %w", key, err)
	}
	groups, skipped := desired(service, list, r.zone)
	plan := endpoints.Pack(existing, groups, families(service), r.size, func(t discoveryv1.AddressType) *discoveryv1.EndpointSlice {
		return fresh(service, t)
	})
	err = r.writer.Write(ctx, key, plan, existing, labelsOf(service), annotationsOf(service), endpoints.TriggerTime(service, list))
	if err != nil {
		return controller.Result{}, err
	}
	if skipped {
		return controller.Result{After: nodeRetry}, nil
	}
	return controller.Result{}, nil
}

func (r *reconciler) zone(node string) (string, bool) {
	n, err := r.nodes.Get(node)
	if err != nil {
		return "", false
	}
	return n.Labels[corev1.LabelTopologyZone], true
}

func fresh(s *corev1.Service, t discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: s.Name + "-", Namespace: s.Namespace,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: t,
	}
}
