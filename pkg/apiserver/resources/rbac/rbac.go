// Package rbac declares the resources of the group rbac.authorization.k8s.io: what roles allow, and who
// has them. Whether a writer may give away what a role allows is judged in admission.
package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// validateName lets roles and bindings have any name that can stand in a path: "system:node".
func validateName(name string, _ bool) []string { return path.IsValidPathSegmentName(name) }

func validateRules(rules []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var faults field.ErrorList
	for i := range rules {
		faults = append(faults, validateRule(&rules[i], namespaced, field.NewPath("rules").Index(i))...)
	}
	return faults
}

func validateRule(rule *rbacv1.PolicyRule, namespaced bool, at *field.Path) field.ErrorList {
	var faults field.ErrorList
	if len(rule.Verbs) == 0 {
		faults = append(faults, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
	}
	if len(rule.NonResourceURLs) > 0 {
		urls := at.Child("nonResourceURLs")
		if namespaced {
			faults = append(faults, field.Invalid(urls, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
		}
		if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
			faults = append(faults, field.Invalid(urls, rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
		}
		return faults
	}
	if len(rule.APIGroups) == 0 {
		faults = append(faults, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
	}
	if len(rule.Resources) == 0 {
		faults = append(faults, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
	}
	return faults
}

// validateAggregation judges the selectors by which a cluster role takes the rules of others in.
func validateAggregation(rule *rbacv1.AggregationRule, tolerant bool) field.ErrorList {
	if rule == nil {
		return nil
	}
	at := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")}
	}
	var faults field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		selector := &rule.ClusterRoleSelectors[i]
		faults = append(faults, validation.LabelSelector(at.Index(i), selector, tolerant)...)
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			faults = append(faults, field.Invalid(at.Index(i), nil, "invalid label selector."))
		}
	}
	return faults
}

// tolerates says whether a stored role has selectors that could never match: those may stay.
func tolerates(old *rbacv1.AggregationRule) bool {
	return len(validateAggregation(old, false)) > 0
}

// noneForEmpty gives an empty list the form in which it comes back from etcd.
func noneForEmpty[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
