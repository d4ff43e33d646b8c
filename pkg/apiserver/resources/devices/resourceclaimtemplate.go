package devices

import (
	"context"

	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// ResourceClaimTemplate declares what claims are made from for pods. access finds namespaces.
func ResourceClaimTemplate(access resource.Reader) *resource.Resource {
	return resource.Define(resource.Definition[*resourcev1.ResourceClaimTemplate]{
		Kind:          resourcev1.SchemeGroupVersion.WithKind("ResourceClaimTemplate"),
		Plural:        "resourceclaimtemplates",
		ReturnDeleted: true,
		Default:       func(t *resourcev1.ResourceClaimTemplate) { defaultClaimSpec(&t.Spec.Spec) },
		Prepare:       func(_ context.Context, t, _ *resourcev1.ResourceClaimTemplate) { asStored(&t.Spec.Spec) },
		Validate: func(ctx context.Context, t, old *resourcev1.ResourceClaimTemplate) field.ErrorList {
			at := field.NewPath("spec")
			if old != nil {
				return validation.Unchanged(at, t.Spec, old.Spec)
			}
			faults := adminMayAsk(ctx, access, t.Namespace, t.Spec.Spec.Devices.Requests)
			faults = append(faults, validation.TemplateMeta(at.Child("metadata"), &t.Spec.ObjectMeta)...)
			return append(faults, validateClaimSpec(at.Child("spec"), &t.Spec.Spec)...)
		},
		Columns: []metav1.TableColumnDefinition{column.Name(), column.Age()},
		Row: func(t *resourcev1.ResourceClaimTemplate) []any {
			return []any{t.Name, column.Since(t.CreationTimestamp)}
		},
	})
}
