package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// ClusterRole declares clusterroles.
func ClusterRole() *resource.Resource {
	return resource.Define(resource.Definition[*rbacv1.ClusterRole]{
		Kind:           rbacv1.SchemeGroupVersion.WithKind("ClusterRole"),
		Plural:         "clusterroles",
		ClusterScoped:  true,
		WholeUpdate:    true,
		CreateOnUpdate: true,
		ValidateName:   validateName,
		Prepare:        func(_ context.Context, obj, _ *rbacv1.ClusterRole) { obj.Rules = noneForEmpty(obj.Rules) },
		Validate: func(_ context.Context, obj, old *rbacv1.ClusterRole) field.ErrorList {
			return append(validateRules(obj.Rules, false),
				validateAggregation(obj.AggregationRule, old != nil && tolerates(old.AggregationRule))...)
		},
	})
}
