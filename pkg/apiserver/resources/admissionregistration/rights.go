package admissionregistration

import (
	"context"
	"fmt"
	"reflect"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Rights says who may have policies read parameters: the messages of a policy tell what stands in them.
type Rights struct {
	Authorizer authz.Authorizer
	Reader     resource.Reader
	// ResourceOf finds the resource of a kind.
	ResourceOf func(kind schema.GroupVersionKind) (r schema.GroupResource, namespaced, found bool)
}

// asker is whose rights count, nil where nobody's do: the server itself and those who may do everything.
func asker(ctx context.Context) *request.User {
	if u := request.UserFrom(ctx); u != nil && !u.InGroup(authz.MastersGroup) {
		return u
	}
	return nil
}

// about names what is to be read: as much of it as is known, and everything else.
func (r Rights) about(kind *admissionv1.ParamKind) *request.Info {
	info := &request.Info{IsResource: true, Group: all, Version: all, Resource: all}
	if kind == nil {
		return info
	}
	gv, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return info
	}
	info.Group, info.Version = gv.Group, gv.Version
	if res, _, found := r.ResourceOf(gv.WithKind(kind.Kind)); found {
		info.Resource = res.Resource
	}
	return info
}

// paramKind refuses a policy with a new kind of parameters that its writer may not read all of.
func (r Rights) paramKind(ctx context.Context, policy, old *policySpec) field.ErrorList {
	user, kind := asker(ctx), policy.paramKind
	if kind == nil || user == nil || old != nil && old.paramKind != nil && *old.paramKind == *kind {
		return nil
	}
	at := field.NewPath("spec", "paramKind")
	info := r.about(kind)
	info.Verb, info.Name, info.Namespace = "get", all, all
	switch d, _, err := r.Authorizer.Authorize(ctx, user, info); {
	case d == authz.Allow:
		return nil
	case err != nil:
		return field.ErrorList{field.Forbidden(at, err.Error())}
	}
	return field.ErrorList{field.Forbidden(at, fmt.Sprintf("user %v must have \"get\" permission on all objects of the referenced paramKind (kind=%s, apiVersion=%s)",
		user, kind.Kind, kind.APIVersion))}
}

// paramRef refuses a binding with a new parameter that its writer may not read.
func (r Rights) paramRef(ctx context.Context, policy string, ref *admissionv1.ParamRef, oldPolicy string, old *admissionv1.ParamRef, kindOf func(context.Context, string) *admissionv1.ParamKind) field.ErrorList {
	user := asker(ctx)
	if ref == nil || user == nil || oldPolicy == policy && reflect.DeepEqual(ref, old) {
		return nil
	}
	at := field.NewPath("spec", "paramRef")
	info := r.about(kindOf(ctx, policy))
	info.Verb, info.Name, info.Namespace = "get", ref.Name, ref.Namespace
	if ref.Name == "" {
		info.Verb = "list"
	}
	switch d, _, err := r.Authorizer.Authorize(ctx, user, info); {
	case d == authz.Allow:
		return nil
	case err != nil:
		return field.ErrorList{field.Forbidden(at, err.Error())}
	}
	return field.ErrorList{field.Forbidden(at, fmt.Sprintf("user %v does not have %q permission on the object referenced by paramRef", user, info.Verb))}
}

// validatingKind is the kind of parameters of a validating policy, nil where that is not known.
func (r Rights) validatingKind(ctx context.Context, name string) *admissionv1.ParamKind {
	o, err := r.Reader.Get(ctx, schema.GroupResource{Group: admissionv1.GroupName, Resource: "validatingadmissionpolicies"}, "", name)
	if p, is := o.(*validatingPolicy); err == nil && is {
		return p.Spec.ParamKind
	}
	return nil
}

// mutatingKind is that of a mutating one.
func (r Rights) mutatingKind(ctx context.Context, name string) *admissionv1.ParamKind {
	o, err := r.Reader.Get(ctx, schema.GroupResource{Group: admissionv1.GroupName, Resource: "mutatingadmissionpolicies"}, "", name)
	if p, is := o.(*mutatingPolicy); err == nil && is {
		return p.Spec.ParamKind
	}
	return nil
}
