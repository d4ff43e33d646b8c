package apiservices

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiregistration"
)

// conditions writes the conditions that are not as they should be.
func (k *Keeper) conditions(ctx context.Context) error {
	all, err := k.Access.List(ctx, Objects, "")
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range all {
		s := o.(*apiregistrationv1.APIService)
		want, err := k.condition(ctx, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !apiregistration.SetCondition(s.DeepCopy(), want, metav1.NewTime(k.Clock.Now())) {
			continue
		}
		_, err = k.Access.Update(ctx, Objects, "status", "", s.Name, func(o resource.Object) error {
			have := o.(*apiregistrationv1.APIService)
			if have.UID != s.UID || !apiregistration.SetCondition(have, want, metav1.NewTime(k.Clock.Now()).Rfc3339Copy()) {
				return errUnchanged
			}
			return nil
		})
		if err != nil && !errors.Is(err, errUnchanged) && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("the condition of the APIService %q: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// condition says whether the server behind an object can be there: its service, and addresses behind that.
func (k *Keeper) condition(ctx context.Context, s *apiregistrationv1.APIService) (apiregistrationv1.APIServiceCondition, error) {
	ref := s.Spec.Service
	if ref == nil {
		return apiregistration.LocalCondition(), nil
	}
	o, err := k.Access.Get(ctx, services, ref.Namespace, ref.Name)
	if apierrors.IsNotFound(err) || ref.Namespace == "" || ref.Name == "" {
		return unavailable("ServiceNotFound", "service/%s in %q is not present", ref.Name, ref.Namespace), nil
	}
	if err != nil {
		return unavailable("ServiceAccessError", "service/%s in %q cannot be checked due to: %v", ref.Name, ref.Namespace, err), nil
	}
	service := o.(*corev1.Service)
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return available(), nil
	}
	name, found := portName(service, *ref.Port)
	if !found {
		return unavailable("ServicePortError", "service/%s in %q is not listening on port %d", ref.Name, ref.Namespace, *ref.Port), nil
	}
	slices, there, err := k.addresses(ctx, ref, name)
	switch {
	case err != nil:
		return apiregistrationv1.APIServiceCondition{}, err
	case slices == 0:
		return unavailable("EndpointsNotFound", "cannot find endpointslices for service/%s in %q", ref.Name, ref.Namespace), nil
	case !there:
		return unavailable("MissingEndpoints", "endpoints for service/%s in %q have no addresses with port name %q", ref.Name, ref.Namespace, name), nil
	}
	return available(), nil
}

func unavailable(reason, format string, args ...any) apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionFalse,
		Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func available() apiregistrationv1.APIServiceCondition {
	return apiregistrationv1.APIServiceCondition{Type: apiregistrationv1.Available, Status: apiregistrationv1.ConditionTrue,
		Reason: "Passed", Message: "all checks passed"}
}

func portName(s *corev1.Service, port int32) (string, bool) {
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			return p.Name, true
		}
	}
	return "", false
}

// addresses counts the slices of a service, and says whether one has a ready address for the port.
func (k *Keeper) addresses(ctx context.Context, ref *apiregistrationv1.ServiceReference, port string) (count int, there bool, err error) {
	all, err := k.Access.List(ctx, endpoints, ref.Namespace)
	if err != nil {
		return 0, false, err
	}
	for _, o := range all {
		slice := o.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != ref.Name {
			continue
		}
		count++
		for _, p := range slice.Ports {
			if p.Name == nil || *p.Name != port {
				continue
			}
			for _, e := range slice.Endpoints {
				there = there || e.Conditions.Ready == nil || *e.Conditions.Ready
			}
		}
	}
	return count, there, nil
}
