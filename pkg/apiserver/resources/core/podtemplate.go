package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// PodTemplate declares templates that stand alone.
func PodTemplate() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.PodTemplate]{
		Kind:          corev1.SchemeGroupVersion.WithKind("PodTemplate"),
		Plural:        "podtemplates",
		ReturnDeleted: true,
		Default:       func(t *corev1.PodTemplate) { defaults.PodTemplate(&t.Template) },
		Prepare: func(_ context.Context, t, old *corev1.PodTemplate) {
			if old == nil {
				workload.DropSwitchedOff(&t.Template, nil)
				return
			}
			workload.DropSwitchedOff(&t.Template, &old.Template)
		},
		Validate: func(ctx context.Context, t, old *corev1.PodTemplate) field.ErrorList {
			options := workload.Options(ctx, nil)
			if old != nil {
				options = workload.Options(ctx, &old.Template)
			}
			return validation.PodTemplate(field.NewPath("template"), &t.Template, options)
		},
		Warn: func(_ context.Context, t, old *corev1.PodTemplate) []string {
			if old != nil && old.Generation == t.Generation {
				return nil
			}
			return validation.PodWarnings(field.NewPath("template"), &t.Template.ObjectMeta, &t.Template.Spec)
		},
		Spec: func(t *corev1.PodTemplate) any { return &t.Template },
		Columns: append(append([]metav1.TableColumnDefinition{column.Name()}, workload.ContainerColumns(0)...),
			column.Text("Pod Labels", "The labels for the pod template.")),
		Row: func(t *corev1.PodTemplate) []any {
			names, images := workload.Containers(t.Template.Spec.Containers)
			return []any{t.Name, names, images, labels.FormatLabels(t.Template.Labels)}
		},
	})
}
