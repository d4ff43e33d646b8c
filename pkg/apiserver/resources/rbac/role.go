package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Role declares roles.
func Role() *resource.Resource {
	return resource.Define(resource.Definition[*rbacv1.Role]{
		Kind:           rbacv1.SchemeGroupVersion.WithKind("Role"),
		Plural:         "roles",
		WholeUpdate:    true,
		CreateOnUpdate: true,
		ValidateName:   validateName,
		Prepare:        func(_ context.Context, obj, _ *rbacv1.Role) { obj.Rules = noneForEmpty(obj.Rules) },
		Validate: func(_ context.Context, obj, _ *rbacv1.Role) field.ErrorList {
			return validateRules(obj.Rules, true)
		},
	})
}
