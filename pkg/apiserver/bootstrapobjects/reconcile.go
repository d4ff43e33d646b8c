package bootstrapobjects

import (
	"context"
	"maps"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

func (e *ensurer) roles(all *RBAC) []job {
	var jobs []job
	for _, r := range all.ClusterRoles {
		jobs = append(jobs, e.reconcile(rbac.ClusterRoles, r, func(o resource.Object) bool {
			have := o.(*rbacv1.ClusterRole)
			grown := addRules(&have.Rules, r.Rules)
			return addSelectors(have, r) || grown
		}))
	}
	for _, r := range all.Roles {
		jobs = append(jobs, e.reconcile(rbac.Roles, r, func(o resource.Object) bool {
			return addRules(&o.(*rbacv1.Role).Rules, r.Rules)
		}))
	}
	return jobs
}

func (e *ensurer) bindings(all *RBAC) []job {
	var jobs []job
	for _, b := range all.ClusterRoleBindings {
		jobs = append(jobs, e.reconcileBinding(rbac.ClusterRoleBindings, b, b.RoleRef,
			func(o resource.Object) rbacv1.RoleRef { return o.(*rbacv1.ClusterRoleBinding).RoleRef },
			func(o resource.Object) bool { return addSubjects(&o.(*rbacv1.ClusterRoleBinding).Subjects, b.Subjects) }))
	}
	for _, b := range all.RoleBindings {
		jobs = append(jobs, e.reconcileBinding(rbac.RoleBindings, b, b.RoleRef,
			func(o resource.Object) rbacv1.RoleRef { return o.(*rbacv1.RoleBinding).RoleRef },
			func(o resource.Object) bool { return addSubjects(&o.(*rbacv1.RoleBinding).Subjects, b.Subjects) }))
	}
	return jobs
}

// reconcile makes the object, or gives it back what it lacks; what somebody has added stays. An object
// whose annotation says so is left alone.
func (e *ensurer) reconcile(r schema.GroupResource, want resource.Object, grow func(resource.Object) bool) job {
	return func(ctx context.Context) error {
		have, err := e.find(ctx, r, want)
		if apierrors.IsNotFound(err) {
			return e.create(ctx, r, want)
		}
		if err != nil {
			return err
		}
		change := func(o resource.Object) bool {
			if o.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
				return false
			}
			marked := addMarks(o, want)
			return grow(o) || marked
		}
		if !change(have.DeepCopyObject().(resource.Object)) {
			return nil // as it is on nearly every start: nothing is read from etcd, and nothing written
		}
		return e.change(ctx, r, want, change)
	}
}

// reconcileBinding makes a binding anew that binds another role: a binding's role cannot be changed.
func (e *ensurer) reconcileBinding(r schema.GroupResource, want resource.Object, ref rbacv1.RoleRef, refOf func(resource.Object) rbacv1.RoleRef, grow func(resource.Object) bool) job {
	plain := e.reconcile(r, want, grow)
	return func(ctx context.Context) error {
		have, err := e.find(ctx, r, want)
		if err == nil && refOf(have) != ref && have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] != "false" {
			if err := e.cfg.Access.Delete(ctx, r, want.GetNamespace(), want.GetName(), metav1.NewPreconditionDeleteOptions(string(have.GetUID()))); err != nil && !apierrors.IsNotFound(err) {
				return err
			}
			return e.create(ctx, r, want)
		}
		return plain(ctx)
	}
}

// addMarks adds labels and annotations that are missing; those there are keep their value.
func addMarks(have, want metav1.Object) bool {
	add := func(have, want map[string]string) (map[string]string, bool) {
		all := maps.Clone(want)
		maps.Copy(all, have)
		return all, !maps.Equal(all, have)
	}
	labels, newLabels := add(have.GetLabels(), want.GetLabels())
	annotations, newAnnotations := add(have.GetAnnotations(), want.GetAnnotations())
	have.SetLabels(labels)
	have.SetAnnotations(annotations)
	return newLabels || newAnnotations
}

func addRules(have *[]rbacv1.PolicyRule, want []rbacv1.PolicyRule) bool {
	covered, missing := validation.Covers(*have, want)
	if !covered {
		*have = append(*have, missing...)
	}
	return !covered
}

// addSelectors makes the role aggregate what it should; one that should not aggregate stops doing so.
func addSelectors(have, want *rbacv1.ClusterRole) bool {
	switch {
	case want.AggregationRule == nil:
		was := have.AggregationRule
		have.AggregationRule = nil
		return was != nil
	case have.AggregationRule == nil:
		have.AggregationRule = want.AggregationRule.DeepCopy()
		return true
	}
	changed := false
	for _, s := range want.AggregationRule.ClusterRoleSelectors {
		found := false
		for _, h := range have.AggregationRule.ClusterRoleSelectors {
			found = found || equality.Semantic.DeepEqual(s, h)
		}
		if !found {
			have.AggregationRule.ClusterRoleSelectors = append(have.AggregationRule.ClusterRoleSelectors, *s.DeepCopy())
			changed = true
		}
	}
	return changed
}

func addSubjects(have *[]rbacv1.Subject, want []rbacv1.Subject) bool {
	changed := false
	for _, s := range want {
		found := false
		for _, h := range *have {
			found = found || h == s
		}
		if !found {
			*have = append(*have, s)
			changed = true
		}
	}
	return changed
}
