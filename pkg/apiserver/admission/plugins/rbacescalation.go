package plugins

import (
	"context"
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// rbacEscalation keeps anyone from giving, through a role or a binding, a right that they do not have,
// unless they may escalate or bind that role.
func rbacEscalation(cfg *Config) admission.Plugin {
	e := &escalation{cfg}
	return admission.Plugin{Name: "RBACEscalationCheck", On: admission.On(admission.Create, admission.Update), Admit: func(ctx context.Context, a *admission.Attributes) error {
		if a.Resource.Group != rbacv1.GroupName || a.Subresource != "" || a.User == nil || a.User.InGroup(authz.MastersGroup) {
			return nil
		}
		if a.OldObject != nil && onlyCollectorFields(a.Object, a.OldObject) {
			return nil
		}
		switch o := a.Object.(type) {
		case *rbacv1.Role:
			return e.role(ctx, a, o.Rules, false)
		case *rbacv1.ClusterRole:
			old, _ := a.OldObject.(*rbacv1.ClusterRole)
			return e.role(ctx, a, o.Rules, gathers(o) || gathers(old)) // what gathered may not be kept from growing, either
		case *rbacv1.RoleBinding:
			return e.binding(ctx, a, o.RoleRef)
		case *rbacv1.ClusterRoleBinding:
			return e.binding(ctx, a, o.RoleRef)
		}
		return nil
	}}
}

// onlyCollectorFields says whether an update does nothing but let the garbage collector go on.
func onlyCollectorFields(obj, old runtime.Object) bool {
	was, ok := old.DeepCopyObject().(resource.Object)
	now, isObject := obj.(resource.Object)
	if !ok || !isObject {
		return false
	}
	was.SetOwnerReferences(now.GetOwnerReferences())
	was.SetFinalizers(now.GetFinalizers())
	was.SetManagedFields(now.GetManagedFields())
	return equality.Semantic.DeepEqual(was, now)
}

// gathers says whether a role takes in the rules of others.
func gathers(r *rbacv1.ClusterRole) bool {
	return r != nil && r.AggregationRule != nil && len(r.AggregationRule.ClusterRoleSelectors) > 0
}

type escalation struct{ cfg *Config }

func (e *escalation) may(ctx context.Context, a *admission.Attributes, verb, plural, name string) bool {
	d, _, _ := e.cfg.Authorizer.Authorize(ctx, a.User, &request.Info{IsResource: true, Verb: verb,
		Group: rbacv1.GroupName, Version: "v1", Resource: plural, Namespace: a.Namespace, Name: name})
	return d == authz.Allow
}

func (e *escalation) role(ctx context.Context, a *admission.Attributes, rules []rbacv1.PolicyRule, gathers bool) error {
	name := ""
	if info := request.InfoFrom(ctx); info != nil {
		name = info.Name // as asked for: a create by POST names none
	}
	if e.may(ctx, a, "escalate", a.Resource.Resource, name) {
		return nil
	}
	if err := rbac.ConfirmHeld(e.cfg.Roles, a.User, a.Namespace, rules); err != nil {
		return admission.Forbidden(a, err)
	}
	if !gathers {
		return nil
	}
	if err := rbac.ConfirmHeld(e.cfg.Roles, a.User, a.Namespace, rbac.Everything()); err != nil {
		return admission.Forbidden(a, errors.New("must have cluster-admin privileges to use the aggregationRule"))
	}
	return nil
}

func (e *escalation) binding(ctx context.Context, a *admission.Attributes, ref rbacv1.RoleRef) error {
	plural := map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}[ref.Kind]
	if plural != "" && e.may(ctx, a, "bind", plural, ref.Name) {
		return nil
	}
	rules, err := e.rules(ctx, ref, a.Namespace)
	if apierrors.IsNotFound(err) {
		return apierrors.NewNotFound(a.GroupResource(), ref.Name)
	}
	if err != nil {
		return err
	}
	if err := rbac.ConfirmHeld(e.cfg.Roles, a.User, a.Namespace, rules); err != nil {
		return admission.Forbidden(a, err)
	}
	return nil
}

// rules reads the role itself, and not the index, which may not have seen it yet.
func (e *escalation) rules(ctx context.Context, ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		r, err := find[*rbacv1.Role](ctx, e.cfg.Access, rbac.Roles, namespace, ref.Name)
		if err != nil {
			return nil, err
		}
		return r.Rules, nil
	case "ClusterRole":
		r, err := find[*rbacv1.ClusterRole](ctx, e.cfg.Access, rbac.ClusterRoles, "", ref.Name)
		if err != nil {
			return nil, err
		}
		return r.Rules, nil
	}
	return e.cfg.Roles.RoleRules(ref, namespace)
}
