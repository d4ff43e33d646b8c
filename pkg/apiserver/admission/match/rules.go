// Package match decides which writes the configurations of users concern: by rules on operations and
// resources, and by the labels of objects and namespaces.
package match

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

const all = "*"

// configurations are the kinds that webhooks never concern: nobody shall lock himself out.
var configurations = []string{
	"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy",
	"ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding",
}

// OutsideWebhooks says whether a write is one that no webhook concerns.
func OutsideWebhooks(a *admission.Attributes) bool {
	return a.Kind.Group == admissionv1.GroupName && slices.Contains(configurations, a.Kind.Kind)
}

// outside are the resources that policies never concern: themselves, and the questions without whose answers a cluster
// does not work. They do concern the configurations of webhooks.
var outside = map[string][]string{
	admissionv1.GroupName:   {"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"},
	"authentication.k8s.io": {"selfsubjectreviews", "tokenreviews"},
	"authorization.k8s.io":  {"localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"},
}

// OutsidePolicies says whether a write is one that no policy concerns.
func OutsidePolicies(a *admission.Attributes) bool {
	return slices.Contains(outside[a.Resource.Group], a.Resource.Resource)
}

// rule says whether a rule matches a write to the resource r.
func rule(rule *admissionv1.RuleWithOperations, a *admission.Attributes, r schema.GroupVersionResource) bool {
	return inScope(rule.Scope, a, r) &&
		has(rule.Operations, admissionv1.OperationType(a.Operation)) &&
		has(rule.APIGroups, r.Group) && has(rule.APIVersions, r.Version) &&
		slices.ContainsFunc(rule.Resources, func(entry string) bool {
			name, sub, _ := strings.Cut(entry, "/")
			return (name == all || name == r.Resource) && (sub == all || sub == a.Subresource)
		})
}

func has[T ~string](list []T, value T) bool {
	return slices.Contains(list, all) || slices.Contains(list, value)
}

// inScope: namespaces are outside of any, though a write to one is in its namespace.
func inScope(scope *admissionv1.ScopeType, a *admission.Attributes, r schema.GroupVersionResource) bool {
	if scope == nil || *scope == admissionv1.AllScopes {
		return true
	}
	inside := a.ReviewNamespace() != "" && r != schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	return inside == (*scope == admissionv1.NamespacedScope)
}

// Rules finds what a webhook's rules take a write for, nil for nothing. Where equivalent is set, writes in other
// versions of the resources count.
func Rules(rules []admissionv1.RuleWithOperations, equivalent bool, a *admission.Attributes) *admission.Target {
	for i := range rules {
		if rule(&rules[i], a, a.Resource) {
			return &admission.Target{Kind: a.Kind, Resource: a.Resource}
		}
	}
	if !equivalent {
		return nil
	}
	for i := range rules {
		for _, f := range a.Forms {
			if f.Resource != a.Resource && rule(&rules[i], a, f.Resource) {
				return &admission.Target{Kind: a.KindOf(f), Resource: f.Resource}
			}
		}
	}
	return nil
}

// named is Rules for the rules of policies, which may also name objects.
func named(rules []admissionv1.NamedRuleWithOperations, equivalent bool, a *admission.Attributes) *admission.Target {
	fits := func(r *admissionv1.NamedRuleWithOperations, to schema.GroupVersionResource) bool {
		return rule(&r.RuleWithOperations, a, to) && (len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
	}
	for i := range rules {
		if fits(&rules[i], a.Resource) {
			return &admission.Target{Kind: a.Kind, Resource: a.Resource}
		}
	}
	if !equivalent {
		return nil
	}
	for i := range rules {
		for _, f := range a.Forms {
			if f.Resource != a.Resource && fits(&rules[i], f.Resource) {
				return &admission.Target{Kind: a.KindOf(f), Resource: f.Resource}
			}
		}
	}
	return nil
}
