package admissionregistration

import (
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// reviewVersions are the versions of AdmissionReview that the server speaks.
var reviewVersions = []string{"v1", "v1beta1"}

// leniency is what an update may keep as it was stored before it was judged.
type leniency struct {
	conditions, sideEffects, versions, names, selectors bool
	known                                               known
}

func leniencyFor(hooks, old []hook) leniency {
	l := leniency{conditions: sameConditions(hooks, old), known: known{}}
	seen := map[string]bool{}
	for _, h := range old {
		for _, c := range h.MatchConditions {
			l.known[c.Expression] = true
		}
		if h.SideEffects == nil || !harmless(*h.SideEffects) {
			l.sideEffects = true
		}
		if len(h.AdmissionReviewVersions) > 0 && !slices.ContainsFunc(h.AdmissionReviewVersions, spoken) {
			l.versions = true
		}
		if seen[h.Name] {
			l.names = true
		}
		seen[h.Name] = true
		for _, s := range []*metav1.LabelSelector{h.NamespaceSelector, h.ObjectSelector} {
			if s != nil && len(validation.LabelSelector(nil, s, false)) > 0 {
				l.selectors = true
			}
		}
	}
	return l
}

func spoken(version string) bool { return slices.Contains(reviewVersions, version) }

func harmless(c admissionv1.SideEffectClass) bool {
	return c == admissionv1.SideEffectClassNone || c == admissionv1.SideEffectClassNoneOnDryRun
}

func sameConditions(a, b []hook) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !reflect.DeepEqual(a[i].MatchConditions, b[i].MatchConditions) {
			return false
		}
	}
	return true
}

func validateHooks(hooks, old []hook, update bool) field.ErrorList {
	lenient := leniency{}
	if update {
		lenient = leniencyFor(hooks, old)
	}
	var faults field.ErrorList
	seen := map[string]bool{}
	for i := range hooks {
		h, at := &hooks[i], field.NewPath("webhooks").Index(i)
		faults = append(faults, validateHook(at, h, lenient)...)
		faults = append(faults, validateVersions(at.Child("admissionReviewVersions"), h.AdmissionReviewVersions, lenient.versions)...)
		if h.Name != "" && seen[h.Name] && !lenient.names {
			faults = append(faults, field.Duplicate(at.Child("name"), h.Name))
		}
		seen[h.Name] = true
	}
	return faults
}

func validateHook(at *field.Path, h *hook, lenient leniency) field.ErrorList {
	faults := utilvalidation.IsFullyQualifiedName(at.Child("name"), h.Name)
	for i := range h.Rules {
		faults = append(faults, validateRule(at.Child("rules").Index(i), &h.Rules[i])...)
	}
	faults = append(faults, oneOf(at.Child("failurePolicy"), h.FailurePolicy, failurePolicies...)...)
	faults = append(faults, oneOf(at.Child("matchPolicy"), h.MatchPolicy, matchPolicies...)...)
	allowed := []admissionv1.SideEffectClass{admissionv1.SideEffectClassNone, admissionv1.SideEffectClassNoneOnDryRun}
	if lenient.sideEffects {
		allowed = append(allowed, admissionv1.SideEffectClassSome, admissionv1.SideEffectClassUnknown)
	}
	if h.SideEffects == nil {
		faults = append(faults, field.Required(at.Child("sideEffects"), "must specify one of "+joined(allowed)))
	}
	faults = append(faults, oneOf(at.Child("sideEffects"), h.SideEffects, allowed...)...)
	if t := h.TimeoutSeconds; t != nil && (*t < 1 || *t > 30) {
		faults = append(faults, field.Invalid(at.Child("timeoutSeconds"), *t, "the timeout value must be between 1 and 30 seconds"))
	}
	for _, s := range []struct {
		name     string
		selector *metav1.LabelSelector
	}{{"namespaceSelector", h.NamespaceSelector}, {"objectSelector", h.ObjectSelector}} {
		if s.selector != nil {
			faults = append(faults, validation.LabelSelector(at.Child(s.name), s.selector, lenient.selectors)...)
		}
	}
	faults = append(faults, oneOf(at.Child("reinvocationPolicy"), h.reinvocation, reinvocations...)...)
	faults = append(faults, validateClient(at.Child("clientConfig"), &h.ClientConfig)...)
	if !lenient.conditions {
		faults = append(faults, validateConditions(at.Child("matchConditions"), h.MatchConditions, false, lenient.known)...)
	}
	return faults
}

// joined lists words as messages do.
func joined[T ~string](words []T) string {
	var out []string
	for _, w := range words {
		out = append(out, string(w))
	}
	return strings.Join(out, ", ")
}

// oneOf refuses a value that is not among those supported; a missing one is no fault.
func oneOf[T ~string](at *field.Path, value *T, supported ...T) field.ErrorList {
	if value == nil || slices.Contains(supported, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, *value, supported)}
}

// oneOfRequired is oneOf for what must be there.
func oneOfRequired[T ~string](at *field.Path, value *T, supported ...T) field.ErrorList {
	if value == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	return oneOf(at, value, supported...)
}

func validateVersions(at *field.Path, versions []string, lenient bool) field.ErrorList {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(at, "must specify one of "+joined(reviewVersions))}
	}
	var faults field.ErrorList
	for i, v := range versions {
		if slices.Contains(versions[:i], v) {
			faults = append(faults, field.Invalid(at.Index(i), v, "duplicate version"))
			continue
		}
		faults = append(faults, validation.Invalid(at.Index(i), v, utilvalidation.IsDNS1035Label(v))...)
	}
	if !lenient && !slices.ContainsFunc(versions, spoken) {
		faults = append(faults, field.Invalid(at, versions, "must include at least one of "+joined(reviewVersions)))
	}
	return faults
}

func validateClient(at *field.Path, c *admissionv1.WebhookClientConfig) field.ErrorList {
	switch {
	case (c.URL == nil) == (c.Service == nil):
		return field.ErrorList{field.Required(at, "exactly one of url or service is required")}
	case c.URL != nil:
		return validation.WebhookURL(at.Child("url"), *c.URL)
	}
	const usual = 443 // of a service that names no port
	service := c.Service
	// The name and the namespace in each other's place, as upstream has them: what is missing is told under the other.
	return validation.WebhookService(at.Child("service"), service.Name, service.Namespace, service.Path, ptr.Deref(service.Port, usual))
}
