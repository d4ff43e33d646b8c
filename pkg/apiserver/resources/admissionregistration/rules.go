package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// What is supported, in the order in which messages name it.
var (
	failurePolicies = []admissionv1.FailurePolicyType{admissionv1.Fail, admissionv1.Ignore}
	matchPolicies   = []admissionv1.MatchPolicyType{admissionv1.Equivalent, admissionv1.Exact}
	reinvocations   = []admissionv1.ReinvocationPolicyType{admissionv1.IfNeededReinvocationPolicy, admissionv1.NeverReinvocationPolicy}
	scopes          = []admissionv1.ScopeType{admissionv1.AllScopes, admissionv1.ClusterScope, admissionv1.NamespacedScope}
	operations      = []admissionv1.OperationType{admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Delete, admissionv1.Update}
)

const all = "*"

// alone refuses other values beside "*".
func alone[T ~string](at *field.Path, values []T, what string) field.ErrorList {
	if len(values) > 1 && slices.Contains(values, all) {
		return field.ErrorList{field.Invalid(at, values, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

func validateRule(at *field.Path, rule *admissionv1.RuleWithOperations) field.ErrorList {
	var faults field.ErrorList
	if len(rule.Operations) == 0 {
		faults = append(faults, field.Required(at.Child("operations"), ""))
	}
	faults = append(faults, alone(at.Child("operations"), rule.Operations, "operations")...)
	for i := range rule.Operations {
		faults = append(faults, oneOf(at.Child("operations").Index(i), &rule.Operations[i], operations...)...)
	}
	if len(rule.APIGroups) == 0 {
		faults = append(faults, field.Required(at.Child("apiGroups"), ""))
	}
	faults = append(faults, alone(at.Child("apiGroups"), rule.APIGroups, "API groups")...)
	if len(rule.APIVersions) == 0 {
		faults = append(faults, field.Required(at.Child("apiVersions"), ""))
	}
	faults = append(faults, alone(at.Child("apiVersions"), rule.APIVersions, "API versions")...)
	for i, v := range rule.APIVersions {
		faults = append(faults, validation.Filled(at.Child("apiVersions").Index(i), v)...)
	}
	faults = append(faults, validateResources(at.Child("resources"), rule.Resources)...)
	return append(faults, oneOf(at.Child("scope"), rule.Scope, scopes...)...)
}

// validateResources refuses what another entry has said already.
func validateResources(at *field.Path, resources []string) field.ErrorList {
	var faults field.ErrorList
	if len(resources) == 0 {
		faults = append(faults, field.Required(at, ""))
	}
	whole, sub := map[string]bool{}, map[string]bool{} // x/* and */x that were seen
	plain := false
	for i, r := range resources {
		if r == "" {
			faults = append(faults, field.Required(at.Index(i), ""))
			continue
		}
		name, part, hasPart := strings.Cut(r, "/")
		if !hasPart {
			plain = r != all
			continue
		}
		if whole[name] {
			faults = append(faults, field.Invalid(at.Index(i), r, fmt.Sprintf("if '%s/*' is present, must not specify %s", name, r)))
		}
		if sub[part] {
			faults = append(faults, field.Invalid(at.Index(i), r, fmt.Sprintf("if '*/%s' is present, must not specify %s", part, r)))
		}
		whole[name] = whole[name] || part == all
		sub[part] = sub[part] || name == all
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		faults = append(faults, field.Invalid(at, resources, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(resources, all) {
		faults = append(faults, field.Invalid(at, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	return faults
}

func validateNamedRule(at *field.Path, rule *admissionv1.NamedRuleWithOperations) field.ErrorList {
	var faults field.ErrorList
	for i, name := range rule.ResourceNames {
		faults = append(faults, validation.Invalid(at.Child("resourceNames").Index(i), name, path.ValidatePathSegmentName(name, false))...)
		if slices.Contains(rule.ResourceNames[:i], name) {
			faults = append(faults, field.Duplicate(at.Child("resourceNames").Index(i), name))
		}
	}
	return append(faults, validateRule(at, &rule.RuleWithOperations)...)
}

func defaultMatch(m *admissionv1.MatchResources) {
	if m == nil {
		return
	}
	orElse(&m.MatchPolicy, admissionv1.Equivalent)
	if m.NamespaceSelector == nil {
		m.NamespaceSelector = everything()
	}
	if m.ObjectSelector == nil {
		m.ObjectSelector = everything()
	}
	for _, rules := range [][]admissionv1.NamedRuleWithOperations{m.ResourceRules, m.ExcludeResourceRules} {
		for i := range rules {
			orElse(&rules[i].Scope, admissionv1.AllScopes)
		}
	}
}

func validateMatch(at *field.Path, m *admissionv1.MatchResources) field.ErrorList {
	if m == nil {
		return nil
	}
	faults := oneOfRequired(at.Child("matchPolicy"), m.MatchPolicy, matchPolicies...)
	if m.NamespaceSelector == nil {
		faults = append(faults, field.Required(at.Child("namespaceSelector"), ""))
	} else {
		faults = append(faults, validation.LabelSelector(at.Child("namespaceSelector"), m.NamespaceSelector, false)...)
	}
	if m.ObjectSelector == nil {
		faults = append(faults, field.Required(at.Child("objectSelector"), ""))
	} else {
		faults = append(faults, validation.LabelSelector(at.Child("objectSelector"), m.ObjectSelector, false)...)
	}
	for i := range m.ResourceRules {
		faults = append(faults, validateNamedRule(at.Child("resourceRules").Index(i), &m.ResourceRules[i])...)
	}
	for i := range m.ExcludeResourceRules {
		faults = append(faults, validateNamedRule(at.Child("excludeResourceRules").Index(i), &m.ExcludeResourceRules[i])...)
	}
	return faults
}
