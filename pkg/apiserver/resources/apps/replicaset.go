package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// ReplicaSet declares replica sets.
func ReplicaSet() *resource.Resource {
	doc, status := appsv1.ReplicaSetSpec{}.SwaggerDoc(), appsv1.ReplicaSetStatus{}.SwaggerDoc()
	template := func(r *appsv1.ReplicaSet) *corev1.PodTemplateSpec { return &r.Spec.Template }
	return resource.Define(resource.Definition[*appsv1.ReplicaSet]{
		Kind:       appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		Plural:     "replicasets",
		ShortNames: []string{"rs"},
		Categories: []string{"all"},
		Default: func(r *appsv1.ReplicaSet) {
			defaults.PodTemplate(&r.Spec.Template)
			set(&r.Spec.Replicas, 1)
		},
		Prepare:  workload.Prepare(template, func(r *appsv1.ReplicaSet) *appsv1.ReplicaSetStatus { return &r.Status }),
		Validate: validateReplicaSet,
		Warn:     workload.Warn(template),
		Spec:     func(r *appsv1.ReplicaSet) any { return &r.Spec },
		Reset:    []string{"status"},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Integer("Desired", doc["replicas"]),
			column.Integer("Current", status["replicas"]),
			column.Integer("Ready", status["readyReplicas"]),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", doc["selector"]))...),
		Row: func(r *appsv1.ReplicaSet) []any {
			names, images := workload.Containers(r.Spec.Template.Spec.Containers)
			return []any{r.Name, int64(desired(r.Spec.Replicas)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas),
				column.Since(r.CreationTimestamp), names, images, workload.SelectorText(r.Spec.Selector)}
		},
		Subresources: []resource.Subresource[*appsv1.ReplicaSet]{
			resource.Status(appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), resource.UpdatePart[*appsv1.ReplicaSet]{
				Prepare:  resource.Keep(func(r, old *appsv1.ReplicaSet) { r.Spec = old.Spec }),
				Validate: validateReplicaSetStatus,
			}),
			workload.Scale(
				func(r *appsv1.ReplicaSet) **int32 { return &r.Spec.Replicas },
				func(r *appsv1.ReplicaSet) int32 { return r.Status.Replicas },
				func(r *appsv1.ReplicaSet) string { return selectorOf(r.Spec.Selector) },
			),
		},
	})
}

func validateReplicaSet(ctx context.Context, r, old *appsv1.ReplicaSet) field.ErrorList {
	path, s := field.NewPath("spec"), &r.Spec
	var was *corev1.PodTemplateSpec
	if old != nil {
		was = &old.Spec.Template
	}
	faults := validation.NotNegative(path.Child("replicas"), *s.Replicas)
	faults = append(faults, validation.NotNegative(path.Child("minReadySeconds"), s.MinReadySeconds)...)
	faults = append(faults, workload.SelectedTemplate(ctx, path, s.Selector, &s.Template, was)...)
	if old != nil {
		faults = append(faults, validation.Unchanged(path.Child("selector"), s.Selector, old.Spec.Selector)...)
	}
	return faults
}

func validateReplicaSetStatus(_ context.Context, r, _ *appsv1.ReplicaSet) field.ErrorList {
	s := &r.Status
	return workload.ReplicaStatus(field.NewPath("status"), workload.Replicas{Replicas: s.Replicas, FullyLabeled: s.FullyLabeledReplicas,
		Ready: s.ReadyReplicas, Available: s.AvailableReplicas, Terminating: s.TerminatingReplicas, ObservedGeneration: s.ObservedGeneration})
}
