package core

import (
	"cmp"
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Namespace declares namespaces. A deleted one becomes Terminating and stays until the controllers that
// stand among its spec's finalizers have taken themselves off, through the subresource finalize.
func Namespace(c clock.PassiveClock) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Namespace]{
		Kind:          corev1.SchemeGroupVersion.WithKind("Namespace"),
		Plural:        "namespaces",
		ShortNames:    []string{"ns"},
		ClusterScoped: true,
		Verbs:         []string{"create", "delete", "get", "list", "patch", "update", "watch"},
		WholeUpdate:   true,
		ValidateName:  apivalidation.ValidateNamespaceName,
		Default:       defaultNamespace,
		Prepare:       prepareNamespace,
		Reset:         []string{"status"},
		Validate: func(_ context.Context, obj, _ *corev1.Namespace) field.ErrorList {
			at := field.NewPath("spec", "finalizers") // of all of them
			return validateNamespaceFinalizers(obj, func(int) *field.Path { return at })
		},
		ReturnDeleted: true,
		Held:          func(obj *corev1.Namespace) bool { return len(obj.Spec.Finalizers) > 0 },
		BeforeDelete: func(_ context.Context, obj *corev1.Namespace) (bool, error) {
			if obj.DeletionTimestamp == nil {
				now := metav1.NewTime(c.Now()).Rfc3339Copy()
				obj.DeletionTimestamp = &now
				obj.Status.Phase = corev1.NamespaceTerminating
				return false, nil // nor does one go at once for which no controller stands
			}
			return len(obj.Spec.Finalizers) == 0, nil
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Status", "The status of the namespace"),
			column.Age(),
		},
		Row: func(obj *corev1.Namespace) []any {
			return []any{obj.Name, string(obj.Status.Phase), column.Since(obj.CreationTimestamp)}
		},
		FieldNames: []string{"status.phase"},
		Fields: func(obj *corev1.Namespace) map[string]string {
			return map[string]string{"status.phase": string(obj.Status.Phase)}
		},
		Subresources: []resource.Subresource[*corev1.Namespace]{
			{
				Name: "finalize", Kind: corev1.SchemeGroupVersion.WithKind("Namespace"), Verbs: []string{"update"},
				Update: &resource.UpdatePart[*corev1.Namespace]{
					Prepare: func(_ context.Context, obj, old *corev1.Namespace) { obj.Status = old.Status },
					Validate: func(_ context.Context, obj, _ *corev1.Namespace) field.ErrorList {
						return validateNamespaceFinalizers(obj, field.NewPath("spec", "finalizers").Index)
					},
					Reset: []string{"status"},
					Deletes: func(obj *corev1.Namespace) bool {
						return obj.DeletionTimestamp != nil && len(obj.Spec.Finalizers) == 0 && len(obj.Finalizers) == 0
					},
				},
			},
			resource.Status(corev1.SchemeGroupVersion.WithKind("Namespace"), resource.UpdatePart[*corev1.Namespace]{
				Prepare:  func(_ context.Context, obj, old *corev1.Namespace) { obj.Spec = old.Spec },
				Validate: validateNamespaceStatus,
			}),
		},
	})
}

func defaultNamespace(obj *corev1.Namespace) {
	obj.Status.Phase = cmp.Or(obj.Status.Phase, corev1.NamespaceActive)
	if obj.Name == "" { // a generated name is labelled once it is known
		return
	}
	if obj.Labels[corev1.LabelMetadataName] != obj.Name {
		labels := map[string]string{corev1.LabelMetadataName: obj.Name}
		for k, v := range obj.Labels {
			if k != corev1.LabelMetadataName {
				labels[k] = v
			}
		}
		obj.Labels = labels
	}
}

func prepareNamespace(_ context.Context, obj, old *corev1.Namespace) {
	if old != nil {
		obj.Spec.Finalizers, obj.Status = old.Spec.Finalizers, old.Status
		return
	}
	obj.Status = corev1.NamespaceStatus{Phase: corev1.NamespaceActive}
	if !slices.Contains(obj.Spec.Finalizers, corev1.FinalizerKubernetes) {
		obj.Spec.Finalizers = append(obj.Spec.Finalizers, corev1.FinalizerKubernetes)
	}
}

func validateNamespaceFinalizers(obj *corev1.Namespace, at func(int) *field.Path) field.ErrorList {
	var faults field.ErrorList
	for i, f := range obj.Spec.Finalizers {
		path := at(i)
		for _, m := range validation.IsQualifiedName(string(f)) {
			faults = append(faults, field.Invalid(path, string(f), m))
		}
		if f != corev1.FinalizerKubernetes && !strings.Contains(string(f), "/") {
			faults = append(faults, field.Invalid(path, string(f), "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return faults
}

func validateNamespaceStatus(_ context.Context, obj, _ *corev1.Namespace) field.ErrorList {
	path := field.NewPath("status", "Phase")
	switch {
	case obj.DeletionTimestamp == nil && obj.Status.Phase != corev1.NamespaceActive:
		return field.ErrorList{field.Invalid(path, obj.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty")}
	case obj.DeletionTimestamp != nil && obj.Status.Phase != corev1.NamespaceTerminating:
		return field.ErrorList{field.Invalid(path, obj.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")}
	}
	return nil
}
