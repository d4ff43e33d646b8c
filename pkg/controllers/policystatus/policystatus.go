// Package policystatus tells in the status of validating admission policies where their expressions do not fit the
// types that they are about.
package policystatus

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	applyv1 "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/client-go/discovery"

	"github.com/sampan-project/sampan/pkg/controller"
)

// manager is the name under which kube-controller-manager writes the status.
const manager = "validatingadmissionpolicy-status"

// New makes the controller, which checks as many policies at once as it has workers. Its keys are names of policies.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	policies := env.Informers.Admissionregistration().V1().ValidatingAdmissionPolicies()
	lister := policies.Lister()
	c := &Checker{
		Schema: (&resolver.ClientDiscoveryResolver{Discovery: env.Client.Discovery()}).ResolveSchema,
		Kinds:  kinds(env.Client.Discovery()),
	}
	check := func(ctx context.Context, name string, p *admissionv1.ValidatingAdmissionPolicy) (controller.Result, error) {
		if p.Status.ObservedGeneration >= p.Generation {
			return controller.Result{}, nil
		}
		warnings, err := c.Check(p)
		if err != nil {
			return controller.Result{}, fmt.Errorf("checking the types of policy %s: %w", name, err)
		}
		checking := applyv1.TypeChecking()
		for _, w := range warnings {
			checking.WithExpressionWarnings(applyv1.ExpressionWarning().WithFieldRef(w.FieldRef).WithWarning(w.Warning))
		}
		status := applyv1.ValidatingAdmissionPolicyStatus().WithObservedGeneration(p.Generation).WithTypeChecking(checking)
		_, err = env.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies().ApplyStatus(ctx,
			applyv1.ValidatingAdmissionPolicy(name).WithStatus(status), metav1.ApplyOptions{FieldManager: manager, Force: true})
		if err != nil && !apierrors.IsNotFound(err) {
			return controller.Result{}, fmt.Errorf("writing the status of policy %s: %w", name, err)
		}
		return controller.Result{}, nil
	}
	loop := controller.New(env, "validatingadmissionpolicy-status", workers, controller.Of(lister.Get, check))
	controller.Watch(loop, policies.Informer(), controller.WhileThere[admissionv1.ValidatingAdmissionPolicy])
	return loop, nil
}

// kinds finds the kind of a resource in what the server serves; the zero kind where it does not serve it.
func kinds(d discovery.DiscoveryInterface) func(schema.GroupVersionResource) (schema.GroupVersionKind, error) {
	return func(r schema.GroupVersionResource) (schema.GroupVersionKind, error) {
		list, err := d.ServerResourcesForGroupVersion(r.GroupVersion().String())
		if apierrors.IsNotFound(err) {
			return schema.GroupVersionKind{}, nil
		}
		if err != nil {
			return schema.GroupVersionKind{}, err
		}
		for _, served := range list.APIResources {
			if served.Name == r.Resource {
				return r.GroupVersion().WithKind(served.Kind), nil
			}
		}
		return schema.GroupVersionKind{}, nil
	}
}
