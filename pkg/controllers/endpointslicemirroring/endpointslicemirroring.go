// Package endpointslicemirroring copies Endpoints that were written by hand, for services without a
// selector, to EndpointSlices, which is all that proxies read.
package endpointslicemirroring

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/endpoints"
)

const managedBy = "endpointslicemirroring-controller.k8s.io"

type reconciler struct {
	*controller.Loop[controller.Key]
	services  corelisters.ServiceLister
	endpoints corelisters.EndpointsLister
	slices    discoverylisters.EndpointSliceLister
	writer    endpoints.Writer
	size      int
}

// New makes the controller. size bounds how many addresses of a subset are copied.
func New(env *controller.Env, workers, size int) (controller.Runner, error) {
	core, slices := env.Informers.Core().V1(), env.Informers.Discovery().V1().EndpointSlices()
	r := &reconciler{services: core.Services().Lister(), endpoints: core.Endpoints().Lister(), slices: slices.Lister(), size: size}
	r.Loop = controller.New(env, "endpoint_slice_mirroring", workers, r.reconcile)
	r.writer = endpoints.Writer{Client: env.Client, Store: slices.Informer().GetStore(), Writes: r.Writes}
	controller.Watch(r.Loop, core.Services().Informer(), controller.Itself[corev1.Service])
	controller.Watch(r.Loop, core.Endpoints().Informer(), controller.Itself[corev1.Endpoints])
	controller.Watch(r.Loop, slices.Informer(), func(old, s *discoveryv1.EndpointSlice) []controller.Key {
		if s = controller.Latest(old, s); s.Labels[discoveryv1.LabelManagedBy] != managedBy {
			return nil
		}
		return []controller.Key{{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}}
	})
	return r, nil
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key) (controller.Result, error) {
	existing, err := r.slices.EndpointSlices(key.Namespace).List(labels.SelectorFromSet(labels.Set{
		discoveryv1.LabelServiceName: key.Name, discoveryv1.LabelManagedBy: managedBy,
	}))
	if err != nil {
		return controller.Result{}, fmt.Errorf("listing the endpoint slices of %s: %w", key, err)
	}
	source, err := r.endpoints.Endpoints(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return controller.Result{}, fmt.Errorf("reading endpoints %s: %w", key, err)
	}
	service, serviceErr := r.services.Services(key.Namespace).Get(key.Name)
	if serviceErr != nil && !apierrors.IsNotFound(serviceErr) {
		return controller.Result{}, fmt.Errorf("reading service %s: %w", key, serviceErr)
	}
	if err != nil || serviceErr != nil || len(service.Spec.Selector) > 0 || !mirrored(source) {
		return controller.Result{}, r.writer.Write(ctx, key, endpoints.Plan{Delete: existing}, existing, nil, nil, "")
	}
	plan := endpoints.Pack(existing, groups(source, r.size), nil, r.size, func(t discoveryv1.AddressType) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				GenerateName: source.Name + "-", Namespace: source.Namespace,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(source, corev1.SchemeGroupVersion.WithKind("Endpoints"))},
			},
			AddressType: t,
		}
	})
	l, a := dress(source)
	return controller.Result{}, r.writer.Write(ctx, key, plan, existing, l, a, source.Annotations[corev1.EndpointsLastChangeTriggerTime])
}

// mirrored: not a leader's lock, and not marked to be left alone.
func mirrored(e *corev1.Endpoints) bool {
	_, lock := e.Annotations[resourcelock.LeaderElectionRecordAnnotationKey]
	return !lock && e.Labels[discoveryv1.LabelSkipMirror] != "true"
}

// groups are the endpoints of e; of each subset at most size addresses, ready ones first.
func groups(e *corev1.Endpoints, size int) []*endpoints.Group {
	var list []*endpoints.Group
	for _, s := range e.Subsets {
		ports := []discoveryv1.EndpointPort{}
		for _, p := range s.Ports {
			ports = append(ports, discoveryv1.EndpointPort{Name: new(p.Name), Port: new(p.Port), Protocol: new(p.Protocol), AppProtocol: p.AppProtocol})
		}
		left := size
		add := func(addresses []corev1.EndpointAddress, ready bool) {
			for _, a := range addresses[:min(len(addresses), left)] {
				t := discoveryv1.AddressTypeIPv4
				if endpoints.IsIPv6(a.IP) {
					t = discoveryv1.AddressTypeIPv6
				}
				one := discoveryv1.Endpoint{
					Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: new(ready)},
					TargetRef: a.TargetRef, NodeName: a.NodeName,
				}
				if a.Hostname != "" {
					one.Hostname = new(a.Hostname)
				}
				list = endpoints.GroupBy(list, t, ports, one)
				left--
			}
		}
		add(s.Addresses, true)
		add(s.NotReadyAddresses, false)
	}
	return list
}

func dress(e *corev1.Endpoints) (labels, annotations map[string]string) {
	labels, annotations = maps.Clone(e.Labels), maps.Clone(e.Annotations)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[discoveryv1.LabelServiceName], labels[discoveryv1.LabelManagedBy] = e.Name, managedBy
	maps.DeleteFunc(annotations, func(k, _ string) bool {
		return k == corev1.LastAppliedConfigAnnotation || k == corev1.EndpointsLastChangeTriggerTime
	})
	return labels, annotations
}
