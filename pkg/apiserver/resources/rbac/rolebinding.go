package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// RoleBinding declares rolebindings.
func RoleBinding() *resource.Resource {
	both := func(obj *rbacv1.RoleBinding) bound { return bound{true, &obj.RoleRef, obj.Subjects} }
	return resource.Define(resource.Definition[*rbacv1.RoleBinding]{
		Kind:           rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
		Plural:         "rolebindings",
		WholeUpdate:    true,
		CreateOnUpdate: true,
		ValidateName:   validateName,
		Default:        func(obj *rbacv1.RoleBinding) { both(obj).setDefaults() },
		Validate: func(_ context.Context, obj, old *rbacv1.RoleBinding) field.ErrorList {
			if old == nil {
				return both(obj).validate(nil)
			}
			return both(obj).validate(&old.RoleRef)
		},
		Columns: bindingColumns(rbacv1.RoleBinding{}.SwaggerDoc()["roleRef"], "roleBinding"),
		Row: func(obj *rbacv1.RoleBinding) []any {
			return both(obj).row(obj.Name, obj.CreationTimestamp)
		},
	})
}

// ClusterRoleBinding declares clusterrolebindings.
func ClusterRoleBinding() *resource.Resource {
	both := func(obj *rbacv1.ClusterRoleBinding) bound { return bound{false, &obj.RoleRef, obj.Subjects} }
	return resource.Define(resource.Definition[*rbacv1.ClusterRoleBinding]{
		Kind:           rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"),
		Plural:         "clusterrolebindings",
		ClusterScoped:  true,
		WholeUpdate:    true,
		CreateOnUpdate: true,
		ValidateName:   validateName,
		Default:        func(obj *rbacv1.ClusterRoleBinding) { both(obj).setDefaults() },
		Validate: func(_ context.Context, obj, old *rbacv1.ClusterRoleBinding) field.ErrorList {
			if old == nil {
				return both(obj).validate(nil)
			}
			return both(obj).validate(&old.RoleRef)
		},
		Columns: bindingColumns(rbacv1.ClusterRoleBinding{}.SwaggerDoc()["roleRef"], "clusterRoleBinding"),
		Row: func(obj *rbacv1.ClusterRoleBinding) []any {
			return both(obj).row(obj.Name, obj.CreationTimestamp)
		},
	})
}
