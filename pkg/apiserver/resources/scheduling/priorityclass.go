// Package scheduling declares the resources of the group scheduling.k8s.io.
package scheduling

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// Priorities up to the first are anyone's; those above belong to the classes that every cluster has.
const (
	highestUserPriority = 1_000_000_000
	systemPrefix        = "system-"
)

// systemClasses are the classes that exist in every cluster, by name.
func systemClasses() map[string]int32 {
	return map[string]int32{
		"system-cluster-critical": 2 * highestUserPriority,
		"system-node-critical":    2*highestUserPriority + 1000,
	}
}

// PriorityClass declares priorityclasses.
func PriorityClass() *resource.Resource {
	doc := schedulingv1.PriorityClass{}.SwaggerDoc()
	return resource.Define(resource.Definition[*schedulingv1.PriorityClass]{
		Kind:          schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
		Plural:        "priorityclasses",
		ShortNames:    []string{"pc"},
		ClusterScoped: true,
		Default: func(obj *schedulingv1.PriorityClass) {
			if obj.PreemptionPolicy == nil {
				obj.PreemptionPolicy = new(corev1.PreemptLowerPriority)
			}
		},
		// Nothing that could change is counted: the generation is 1 for ever.
		Spec:     func(obj *schedulingv1.PriorityClass) any { return obj.Value },
		Validate: validatePriorityClass,
		BeforeDelete: func(_ context.Context, obj *schedulingv1.PriorityClass) (bool, error) {
			if _, system := systemClasses()[obj.Name]; system {
				return false, apierrors.NewForbidden(schedulingv1.Resource("priorityclasses"), obj.Name,
					errors.New("this is a system priority class and cannot be deleted"))
			}
			return true, nil
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Integer("Value", doc["value"]),
			column.Boolean("Global-Default", doc["globalDefault"]),
			column.Age(),
			column.Text("PreemptionPolicy", doc["preemptionPolicy"]),
		},
		Row: func(obj *schedulingv1.PriorityClass) []any {
			policy := ""
			if obj.PreemptionPolicy != nil {
				policy = string(*obj.PreemptionPolicy)
			}
			return []any{obj.Name, int64(obj.Value), obj.GlobalDefault, column.Since(obj.CreationTimestamp), policy}
		},
	})
}

func validatePriorityClass(_ context.Context, obj, old *schedulingv1.PriorityClass) field.ErrorList {
	var faults field.ErrorList
	value, policy := field.NewPath("value"), field.NewPath("preemptionPolicy")
	if old != nil {
		if obj.Value != old.Value {
			faults = append(faults, field.Forbidden(value, "may not be changed in an update."))
		}
		return append(faults, validation.Unchanged(policy, obj.PreemptionPolicy, old.PreemptionPolicy)...)
	}
	switch {
	case strings.HasPrefix(obj.Name, systemPrefix):
		if text := notSystem(obj); text != "" {
			faults = append(faults, field.Forbidden(field.NewPath("metadata", "name"),
				"priority class names with '"+systemPrefix+"' prefix are reserved for system use only. error: "+text))
		}
	case obj.Value > highestUserPriority:
		faults = append(faults, field.Forbidden(value, fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestUserPriority)))
	}
	switch p := obj.PreemptionPolicy; {
	case p == nil, *p == corev1.PreemptLowerPriority, *p == corev1.PreemptNever:
	case *p == "":
		faults = append(faults, field.Required(policy, ""))
	default:
		faults = append(faults, field.NotSupported(policy, *p, []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}))
	}
	return faults
}

// notSystem says why a class is none of the system's.
func notSystem(obj *schedulingv1.PriorityClass) string {
	value, known := systemClasses()[obj.Name]
	switch {
	case !known:
		return obj.Name + " is not a known system priority class"
	case value != obj.Value:
		return fmt.Sprintf("value of %s PriorityClass must be %d", obj.Name, value)
	case obj.GlobalDefault:
		return fmt.Sprintf("globalDefault of %s PriorityClass must be false", obj.Name)
	}
	return ""
}
