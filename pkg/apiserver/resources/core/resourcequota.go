package core

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// ResourceQuota declares resourcequotas.
func ResourceQuota() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.ResourceQuota]{
		Kind:          corev1.SchemeGroupVersion.WithKind("ResourceQuota"),
		Plural:        "resourcequotas",
		ShortNames:    []string{"quota"},
		ReturnDeleted: true,
		Default: func(obj *corev1.ResourceQuota) {
			defaults.Resources(obj.Spec.Hard)
			defaults.Resources(obj.Status.Hard)
			defaults.Resources(obj.Status.Used)
		},
		Prepare: resource.KeepStatus(func(obj *corev1.ResourceQuota) *corev1.ResourceQuotaStatus { return &obj.Status }),
		Reset:   []string{"status"},
		Validate: func(_ context.Context, obj, old *corev1.ResourceQuota) field.ErrorList {
			faults := validateQuota(&obj.Spec)
			if old != nil && !sets.New(obj.Spec.Scopes...).Equal(sets.New(old.Spec.Scopes...)) {
				faults = append(faults, field.Invalid(field.NewPath("spec", "scopes"), obj.Spec.Scopes, validation.Immutable))
			}
			return faults
		},
		Warn: warnQuota,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
			column.Text("Limit", "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node."),
			column.Age(),
		},
		Row: func(obj *corev1.ResourceQuota) []any {
			requests, limits := quotaUse(obj)
			return []any{obj.Name, requests, limits, column.Since(obj.CreationTimestamp)}
		},
		Subresources: []resource.Subresource[*corev1.ResourceQuota]{resource.Status(corev1.SchemeGroupVersion.WithKind("ResourceQuota"), resource.UpdatePart[*corev1.ResourceQuota]{
			Prepare: func(_ context.Context, obj, old *corev1.ResourceQuota) { obj.Spec = old.Spec },
			Validate: func(_ context.Context, obj, _ *corev1.ResourceQuota) field.ErrorList {
				at := field.NewPath("status")
				return append(validateQuotaList(at.Child("hard"), obj.Status.Hard), validateQuotaList(at.Child("used"), obj.Status.Used)...)
			},
		})},
	})
}

// warnQuota tells of a new quota that allows more to be asked for than to be used.
func warnQuota(_ context.Context, obj, old *corev1.ResourceQuota) []string {
	if old != nil {
		return nil
	}
	var warnings []string
	hard := obj.Spec.Hard
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceStorage, corev1.ResourceEphemeralStorage} {
		asked, used := "requests."+name, "limits."+name
		if _, there := hard[asked]; !there && (name == corev1.ResourceCPU || name == corev1.ResourceMemory) {
			asked = name // which stands for what is asked for
		}
		request, asks := hard[asked]
		limit, limits := hard[used]
		if asks && limits && request.Cmp(limit) > 0 {
			warnings = append(warnings, fmt.Sprintf("ResourceQuota %s (%s) should be less than %s (%s)", asked, request.String(), used, limit.String()))
		}
	}
	return warnings
}

func quotaUse(obj *corev1.ResourceQuota) (requests, limits string) {
	var two [2][]string
	for _, name := range slices.Sorted(maps.Keys(obj.Status.Hard)) {
		used, hard := obj.Status.Used[name], obj.Status.Hard[name]
		which := 0
		if strings.HasPrefix(string(name), "limits.") {
			which = 1
		}
		two[which] = append(two[which], fmt.Sprintf("%s: %s/%s", name, used.String(), hard.String()))
	}
	return strings.Join(two[0], ", "), strings.Join(two[1], ", ")
}

func validateQuota(spec *corev1.ResourceQuotaSpec) field.ErrorList {
	at := field.NewPath("spec")
	faults := validateQuotaList(at.Child("hard"), spec.Hard)
	faults = append(faults, validateScopes(at.Child("scopes"), spec)...)
	return append(faults, validateScopeSelector(at.Child("scopeSelector", "matchExpressions"), spec)...)
}

func validateQuotaList(at *field.Path, list corev1.ResourceList) field.ErrorList {
	var faults field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		faults = append(faults, validation.QuotaResourceName(at.Key(string(name)), name)...)
		faults = append(faults, validation.Quantity(at.Key(string(name)), name, list[name])...)
	}
	return faults
}

func validateScopes(at *field.Path, spec *corev1.ResourceQuotaSpec) field.ErrorList {
	var faults field.ErrorList
	for _, scope := range spec.Scopes {
		if !isScope(scope) {
			faults = append(faults, field.Invalid(at, spec.Scopes, "unsupported scope"))
		}
		for range outOfScope(scope, spec.Hard) {
			faults = append(faults, field.Invalid(at, spec.Scopes, "unsupported scope applied to resource"))
		}
	}
	return append(faults, conflictingScopes(at, spec.Scopes, sets.New(spec.Scopes...))...)
}

func conflictingScopes(at *field.Path, shown any, scopes sets.Set[corev1.ResourceQuotaScope]) field.ErrorList {
	var faults field.ErrorList
	if scopes.HasAll(corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort) {
		faults = append(faults, field.Invalid(at, shown, "conflicting scopes"))
	}
	if scopes.HasAll(corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating) {
		faults = append(faults, field.Invalid(at, shown, "conflicting scopes"))
	}
	return faults
}

func validateScopeSelector(at *field.Path, spec *corev1.ResourceQuotaSpec) field.ErrorList {
	if spec.ScopeSelector == nil {
		return nil
	}
	var faults field.ErrorList
	scopes := sets.New[corev1.ResourceQuotaScope]()
	for _, r := range spec.ScopeSelector.MatchExpressions {
		scopes.Insert(r.ScopeName)
		if !isScope(r.ScopeName) {
			faults = append(faults, field.Invalid(at.Child("scopeName"), r.ScopeName, "unsupported scope"))
		}
		for range outOfScope(r.ScopeName, spec.Hard) {
			faults = append(faults, field.Invalid(at, validation.GoNames(*spec.ScopeSelector), "unsupported scope applied to resource"))
		}
		faults = append(faults, validateScopeOperator(at, r)...)
	}
	return append(faults, conflictingScopes(at, spec.Scopes, scopes)...)
}

func validateScopeOperator(at *field.Path, r corev1.ScopedResourceSelectorRequirement) field.ErrorList {
	var faults field.ErrorList
	switch r.ScopeName {
	case corev1.ResourceQuotaScopeBestEffort, corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopeTerminating,
		corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		if r.Operator != corev1.ScopeSelectorOpExists {
			faults = append(faults, field.Invalid(at.Child("operator"), r.Operator,
				"must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "+
					"ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
		}
	}
	switch r.Operator {
	case corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn:
		if len(r.Values) == 0 {
			faults = append(faults, field.Required(at.Child("values"), "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
		}
	case corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist:
		if len(r.Values) != 0 {
			faults = append(faults, field.Invalid(at.Child("values"), r.Values,
				"must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"))
		}
	default:
		faults = append(faults, field.Invalid(at.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	return faults
}

func isScope(scope corev1.ResourceQuotaScope) bool {
	switch scope {
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeBestEffort,
		corev1.ResourceQuotaScopeNotBestEffort, corev1.ResourceQuotaScopePriorityClass,
		corev1.ResourceQuotaScopeCrossNamespacePodAffinity, corev1.ResourceQuotaScopeVolumeAttributesClass:
		return true
	}
	return false
}

// outOfScope answers the resources that a scope says nothing about.
func outOfScope(scope corev1.ResourceQuotaScope, hard corev1.ResourceList) []corev1.ResourceName {
	var fitting sets.Set[corev1.ResourceName]
	switch scope {
	case corev1.ResourceQuotaScopeBestEffort:
		fitting = sets.New(corev1.ResourcePods)
	case corev1.ResourceQuotaScopeVolumeAttributesClass:
		fitting = sets.New(corev1.ResourcePersistentVolumeClaims, corev1.ResourceRequestsStorage)
	case corev1.ResourceQuotaScopeTerminating, corev1.ResourceQuotaScopeNotTerminating, corev1.ResourceQuotaScopeNotBestEffort,
		corev1.ResourceQuotaScopePriorityClass, corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		fitting = sets.New(corev1.ResourcePods, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU,
			corev1.ResourceRequestsMemory, corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory)
	default:
		return nil
	}
	var out []corev1.ResourceName
	for name := range hard {
		if validation.IsQuotaResource(name) && !fitting.Has(name) {
			out = append(out, name)
		}
	}
	return out
}
