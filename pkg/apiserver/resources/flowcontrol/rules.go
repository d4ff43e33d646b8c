package flowcontrol

import (
	"fmt"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

var (
	methods = []string{string(flowcontrolv1.FlowDistinguisherMethodByNamespaceType), string(flowcontrolv1.FlowDistinguisherMethodByUserType)}
	verbs   = []string{"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"}
)

const all = "*"

func validateFlowSchema(obj *flowSchema) field.ErrorList {
	at := field.NewPath("spec")
	faults := validateFlowSchemaSpec(at, obj.Name, &obj.Spec)
	if fixed, is := fixedSchemas()[obj.Name]; is && !equality.Semantic.DeepEqual(obj.Spec, fixed) {
		faults = append(faults, field.Invalid(at, validation.GoNames(obj.Spec), fmt.Sprintf("spec of '%s' must equal the fixed value", obj.Name)))
	}
	return append(faults, validateConditions(conditionTypes(obj.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) string { return string(c.Type) }))...)
}

func validateFlowSchemaSpec(at *field.Path, name string, spec *flowcontrolv1.FlowSchemaSpec) field.ErrorList {
	var faults field.ErrorList
	precedence := at.Child("matchingPrecedence")
	switch p := spec.MatchingPrecedence; {
	case p <= 0:
		faults = append(faults, field.Invalid(precedence, p, "must be a positive value"))
	case p > flowcontrolv1.FlowSchemaMaxMatchingPrecedence:
		faults = append(faults, field.Invalid(precedence, p, fmt.Sprintf("must not be greater than %v", flowcontrolv1.FlowSchemaMaxMatchingPrecedence)))
	case p == 1 && name != flowcontrolv1.FlowSchemaNameExempt:
		faults = append(faults, field.Invalid(precedence, p, "only the schema named 'exempt' may have matchingPrecedence 1"))
	}
	if m := spec.DistinguisherMethod; m != nil && !slices.Contains(methods, string(m.Type)) {
		faults = append(faults, field.NotSupported(at.Child("distinguisherMethod", "type"), validation.GoNames(m), methods))
	}
	level := at.Child("priorityLevelConfiguration", "name")
	if spec.PriorityLevelConfiguration.Name == "" {
		faults = append(faults, field.Required(level, "must reference a priority level"))
	} else {
		faults = append(faults, validation.DNSSubdomain(level, spec.PriorityLevelConfiguration.Name)...)
	}
	for i := range spec.Rules {
		faults = append(faults, validateRule(at.Child("rules").Index(i), &spec.Rules[i])...)
	}
	return faults
}

func validateRule(at *field.Path, rule *flowcontrolv1.PolicyRulesWithSubjects) field.ErrorList {
	var faults field.ErrorList
	if len(rule.Subjects) == 0 {
		faults = append(faults, field.Required(at.Child("subjects"), "subjects must contain at least one value"))
	}
	for i := range rule.Subjects {
		faults = append(faults, validateSubject(at.Child("subjects").Index(i), &rule.Subjects[i])...)
	}
	if len(rule.ResourceRules) == 0 && len(rule.NonResourceRules) == 0 {
		faults = append(faults, field.Required(at, "at least one of resourceRules and nonResourceRules has to be non-empty"))
	}
	for i := range rule.ResourceRules {
		faults = append(faults, validateResourceRule(at.Child("resourceRules").Index(i), &rule.ResourceRules[i])...)
	}
	for i := range rule.NonResourceRules {
		faults = append(faults, validateNonResourceRule(at.Child("nonResourceRules").Index(i), &rule.NonResourceRules[i])...)
	}
	return faults
}

// validateSubject: the part that the kind names is there, and no other.
func validateSubject(at *field.Path, s *flowcontrolv1.Subject) field.ErrorList {
	var faults field.ErrorList
	user, group, account := at.Child("user"), at.Child("group"), at.Child("serviceAccount")
	switch s.Kind {
	case flowcontrolv1.SubjectKindServiceAccount:
		faults = validateAccount(account, s.ServiceAccount)
	case flowcontrolv1.SubjectKindUser:
		if s.User == nil {
			faults = append(faults, field.Required(user, "user is required when subject kind is 'User'"))
		} else if s.User.Name == "" {
			faults = append(faults, field.Required(user.Child("name"), ""))
		}
	case flowcontrolv1.SubjectKindGroup:
		if s.Group == nil {
			faults = append(faults, field.Required(group, "group is required when subject kind is 'Group'"))
		} else if s.Group.Name == "" {
			faults = append(faults, field.Required(group.Child("name"), ""))
		}
	default:
		return field.ErrorList{field.NotSupported(at.Child("kind"), s.Kind, []string{"Group", "ServiceAccount", "User"})}
	}
	if s.ServiceAccount != nil && s.Kind != flowcontrolv1.SubjectKindServiceAccount {
		faults = append(faults, field.Forbidden(account, "serviceAccount is forbidden when subject kind is not 'ServiceAccount'"))
	}
	if s.User != nil && s.Kind != flowcontrolv1.SubjectKindUser {
		faults = append(faults, field.Forbidden(user, "user is forbidden when subject kind is not 'User'"))
	}
	if s.Group != nil && s.Kind != flowcontrolv1.SubjectKindGroup {
		faults = append(faults, field.Forbidden(group, "group is forbidden when subject kind is not 'Group'"))
	}
	return faults
}

func validateAccount(at *field.Path, account *flowcontrolv1.ServiceAccountSubject) field.ErrorList {
	if account == nil {
		return field.ErrorList{field.Required(at, "serviceAccount is required when subject kind is 'ServiceAccount'")}
	}
	var faults field.ErrorList
	switch account.Name {
	case "":
		faults = append(faults, field.Required(at.Child("name"), ""))
	case all:
	default:
		faults = append(faults, validation.DNSSubdomain(at.Child("name"), account.Name)...)
	}
	if account.Namespace == "" {
		return append(faults, field.Required(at.Child("namespace"), "must specify namespace for service account"))
	}
	return append(faults, validation.DNSLabel(at.Child("namespace"), account.Namespace)...)
}

// alone refuses other values beside "*".
func alone(at *field.Path, values []string, what string) field.ErrorList {
	if len(values) > 1 && slices.Contains(values, all) {
		return field.ErrorList{field.Invalid(at, values, "if '*' is present, must not specify other "+what)}
	}
	return nil
}

func validateVerbs(at *field.Path, given []string) field.ErrorList {
	switch {
	case len(given) == 0:
		return field.ErrorList{field.Required(at, "verbs must contain at least one value")}
	case slices.Contains(given, all):
		return alone(at, given, "verbs")
	}
	for _, v := range given {
		if !slices.Contains(verbs, v) {
			return field.ErrorList{field.NotSupported(at, given, verbs)}
		}
	}
	return nil
}

func validateResourceRule(at *field.Path, rule *flowcontrolv1.ResourcePolicyRule) field.ErrorList {
	faults := validateVerbs(at.Child("verbs"), rule.Verbs)
	for _, part := range []struct {
		name, one, more string
		values          []string
	}{{"apiGroups", "api group", "api groups", rule.APIGroups}, {"resources", "resource", "resources", rule.Resources}} {
		if len(part.values) == 0 {
			faults = append(faults, field.Required(at.Child(part.name), "resource rules must supply at least one "+part.one))
		}
		faults = append(faults, alone(at.Child(part.name), part.values, part.more)...)
	}
	namespaces := at.Child("namespaces")
	switch {
	case len(rule.Namespaces) == 0 && !rule.ClusterScope:
		faults = append(faults, field.Required(namespaces, "resource rules that are not cluster scoped must supply at least one namespace"))
	case slices.Contains(rule.Namespaces, all):
		faults = append(faults, alone(namespaces, rule.Namespaces, "namespaces")...)
	default:
		for i, n := range rule.Namespaces {
			for _, text := range apivalidation.ValidateNamespaceName(n, false) {
				faults = append(faults, field.Invalid(namespaces.Index(i), n, "each member of this list must be '*' or a DNS-1123 label; "+text))
			}
		}
	}
	return faults
}

func validateNonResourceRule(at *field.Path, rule *flowcontrolv1.NonResourcePolicyRule) field.ErrorList {
	faults := validateVerbs(at.Child("verbs"), rule.Verbs)
	urls := at.Child("nonResourceURLs")
	switch {
	case len(rule.NonResourceURLs) == 0:
		faults = append(faults, field.Required(urls, "nonResourceURLs must contain at least one value"))
	case slices.Contains(rule.NonResourceURLs, all):
		faults = append(faults, alone(urls, rule.NonResourceURLs, "non-resource URLs")...)
	default:
		for i, u := range rule.NonResourceURLs {
			if problem := urlProblem(u); problem != "" {
				faults = append(faults, field.Invalid(urls.Index(i), u, problem))
			}
		}
	}
	return faults
}

// urlProblem says what is wrong with a path that may end in "/*".
func urlProblem(u string) string {
	stars := strings.Count(u, all)
	switch {
	case u == "":
		return "must not be empty"
	case u == "/":
		return ""
	case !strings.HasPrefix(u, "/"):
		return "must start with slash"
	case strings.Contains(u, " "):
		return "must not contain white-space"
	case strings.Contains(u, "//"):
		return "must not contain double slash"
	case stars > 1 || stars == 1 && !strings.HasSuffix(u, "/*"):
		return "wildcard can only do suffix matching"
	}
	return ""
}

func conditionTypes[T any](conditions []T, typeOf func(T) string) []string {
	var out []string
	for _, c := range conditions {
		out = append(out, typeOf(c))
	}
	return out
}

// validateConditions wants each condition's type once.
func validateConditions(types []string) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("status", "conditions")
	for i, t := range types {
		if slices.Contains(types[:i], t) {
			faults = append(faults, field.Duplicate(at.Index(i).Child("type"), t))
		}
		faults = append(faults, validation.Filled(at.Index(i).Child("type"), t)...)
	}
	return faults
}
