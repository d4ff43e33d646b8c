// Package policy declares the resources of the group policy.
package policy

import (
	"context"

	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

type budget = policyv1.PodDisruptionBudget

// PodDisruptionBudget declares poddisruptionbudgets.
func PodDisruptionBudget() *resource.Resource {
	return resource.Define(resource.Definition[*budget]{
		Kind:         policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"),
		Plural:       "poddisruptionbudgets",
		ShortNames:   []string{"pdb"},
		StrictUpdate: true,
		MetadataLast: true,
		ValidateName: func(name string, _ bool) []string { return path.IsValidPathSegmentName(name) },
		Prepare:      resource.KeepStatus(func(obj *budget) *policyv1.PodDisruptionBudgetStatus { return &obj.Status }),
		Spec:         func(obj *budget) any { return &obj.Spec },
		Reset:        []string{"status"},
		Validate: func(_ context.Context, obj, old *budget) field.ErrorList {
			return validateBudget(&obj.Spec, old != nil && len(validateSelector(&old.Spec, false)) > 0)
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Min Available", "The minimum number of pods that must be available."),
			column.Text("Max Unavailable", "The maximum number of pods that may be unavailable."),
			column.Integer("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time."),
			column.Age(),
		},
		Row: func(obj *budget) []any {
			return []any{obj.Name, amount(obj.Spec.MinAvailable), amount(obj.Spec.MaxUnavailable),
				int64(obj.Status.DisruptionsAllowed), column.Since(obj.CreationTimestamp)}
		},
		Subresources: []resource.Subresource[*budget]{resource.Status(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"), resource.UpdatePart[*budget]{
			Prepare:  func(_ context.Context, obj, old *budget) { obj.Spec = old.Spec },
			Validate: func(_ context.Context, obj, _ *budget) field.ErrorList { return validateStatus(&obj.Status) },
		})},
	})
}

func amount(n *intstr.IntOrString) string {
	if n == nil {
		return "N/A"
	}
	return n.String()
}

func validateBudget(spec *policyv1.PodDisruptionBudgetSpec, tolerant bool) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("spec")
	if spec.MinAvailable != nil && spec.MaxUnavailable != nil {
		faults = append(faults, field.Invalid(at, validation.GoNames(*spec), "minAvailable and maxUnavailable cannot be both set"))
	}
	for _, n := range []struct {
		name  string
		value *intstr.IntOrString
	}{{"minAvailable", spec.MinAvailable}, {"maxUnavailable", spec.MaxUnavailable}} {
		if n.value != nil {
			faults = append(faults, validation.IntOrPercent(at.Child(n.name), *n.value)...)
			faults = append(faults, validation.AtMostHundredPercent(at.Child(n.name), *n.value)...)
		}
	}
	faults = append(faults, validateSelector(spec, tolerant)...)
	switch p := spec.UnhealthyPodEvictionPolicy; {
	case p == nil, *p == policyv1.AlwaysAllow, *p == policyv1.IfHealthyBudget:
	default:
		faults = append(faults, field.NotSupported(at.Child("unhealthyPodEvictionPolicy"), *p,
			[]policyv1.UnhealthyPodEvictionPolicyType{policyv1.AlwaysAllow, policyv1.IfHealthyBudget}))
	}
	return faults
}

func validateSelector(spec *policyv1.PodDisruptionBudgetSpec, tolerant bool) field.ErrorList {
	return validation.LabelSelector(field.NewPath("spec", "selector"), spec.Selector, tolerant)
}

func validateStatus(status *policyv1.PodDisruptionBudgetStatus) field.ErrorList {
	at := field.NewPath("status")
	faults := metav1validation.ValidateConditions(status.Conditions, at.Child("conditions"))
	faults = append(faults, validation.NotNegative(at.Child("disruptionsAllowed"), status.DisruptionsAllowed)...)
	faults = append(faults, validation.NotNegative(at.Child("currentHealthy"), status.CurrentHealthy)...)
	faults = append(faults, validation.NotNegative(at.Child("desiredHealthy"), status.DesiredHealthy)...)
	return append(faults, validation.NotNegative(at.Child("expectedPods"), status.ExpectedPods)...)
}
