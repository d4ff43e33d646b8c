package core

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

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

// ReplicationController declares replication controllers, which replica sets have replaced.
func ReplicationController() *resource.Resource {
	doc, status := corev1.ReplicationControllerSpec{}.SwaggerDoc(), corev1.ReplicationControllerStatus{}.SwaggerDoc()
	template := func(rc *corev1.ReplicationController) *corev1.PodTemplateSpec { return rc.Spec.Template }
	return resource.Define(resource.Definition[*corev1.ReplicationController]{
		Kind:       corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		Plural:     "replicationcontrollers",
		ShortNames: []string{"rc"},
		Categories: []string{"all"},
		Prefix:     "controllers",
		Default:    defaultReplicationController,
		Prepare: workload.Prepare(template,
			func(rc *corev1.ReplicationController) *corev1.ReplicationControllerStatus { return &rc.Status }),
		Validate:           validateReplicationController,
		Warn:               workload.Warn(template),
		Spec:               func(rc *corev1.ReplicationController) any { return &rc.Spec },
		Reset:              []string{"status"},
		DefaultPropagation: metav1.DeletePropagationOrphan,
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Integer("Desired", doc["replicas"]),
			column.Integer("Current", status["replicas"]),
			column.Integer("Ready", status["readyReplicas"]),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", doc["selector"]))...),
		Row: func(rc *corev1.ReplicationController) []any {
			var containers []corev1.Container
			if rc.Spec.Template != nil {
				containers = rc.Spec.Template.Spec.Containers
			}
			names, images := workload.Containers(containers)
			return []any{rc.Name, int64(*rc.Spec.Replicas), int64(rc.Status.Replicas), int64(rc.Status.ReadyReplicas),
				column.Since(rc.CreationTimestamp), names, images, labels.FormatLabels(rc.Spec.Selector)}
		},
		Fields: func(rc *corev1.ReplicationController) map[string]string {
			return map[string]string{"status.replicas": strconv.Itoa(int(rc.Status.Replicas))}
		},
		FieldNames: []string{"status.replicas"},
		Subresources: []resource.Subresource[*corev1.ReplicationController]{
			resource.Status(corev1.SchemeGroupVersion.WithKind("ReplicationController"), resource.UpdatePart[*corev1.ReplicationController]{
				Prepare: resource.Keep(func(rc, old *corev1.ReplicationController) { rc.Spec = old.Spec }),
				Validate: func(_ context.Context, rc, _ *corev1.ReplicationController) field.ErrorList {
					s := &rc.Status
					return workload.ReplicaStatus(field.NewPath("status"), workload.Replicas{Replicas: s.Replicas, FullyLabeled: s.FullyLabeledReplicas,
						Ready: s.ReadyReplicas, Available: s.AvailableReplicas, ObservedGeneration: s.ObservedGeneration})
				},
			}),
			workload.Scale(
				func(rc *corev1.ReplicationController) **int32 { return &rc.Spec.Replicas },
				func(rc *corev1.ReplicationController) int32 { return rc.Status.Replicas },
				func(rc *corev1.ReplicationController) string {
					return labels.SelectorFromSet(rc.Spec.Selector).String()
				},
			),
		},
	})
}

// defaultReplicationController takes from the template's labels what selector and labels leave out.
func defaultReplicationController(rc *corev1.ReplicationController) {
	if t := rc.Spec.Template; t != nil {
		defaults.PodTemplate(t)
		if len(t.Labels) > 0 && len(rc.Spec.Selector) == 0 {
			rc.Spec.Selector = t.Labels
		}
		if len(t.Labels) > 0 && len(rc.Labels) == 0 {
			rc.Labels = t.Labels
		}
	}
	if rc.Spec.Replicas == nil {
		one := int32(1)
		rc.Spec.Replicas = &one
	}
}

func validateReplicationController(ctx context.Context, rc, old *corev1.ReplicationController) field.ErrorList {
	path, s := field.NewPath("spec"), &rc.Spec
	faults := validation.NotNegative(path.Child("minReadySeconds"), s.MinReadySeconds)
	if len(s.Selector) == 0 {
		faults = append(faults, field.Required(path.Child("selector"), ""))
	}
	faults = append(faults, validation.NotNegative(path.Child("replicas"), *s.Replicas)...)
	if s.Template == nil {
		return append(faults, field.Required(path.Child("template"), ""))
	}
	options := workload.Options(ctx, nil)
	if old != nil {
		options = workload.Options(ctx, old.Spec.Template)
	}
	selector := labels.Set(s.Selector).AsSelectorPreValidated()
	faults = append(faults, workload.Template(path.Child("template"), s.Template, selector, "ReplicationController", options)...)
	if old != nil {
		faults = append(faults, keptUnconverted(rc, old)...)
	}
	return faults
}

// keptUnconverted judges the annotations non-convertible.kubernetes.io/FIELD, with which a replica set that
// was written as a replication controller says what the latter cannot express: a selector of sets.
func keptUnconverted(rc, old *corev1.ReplicationController) field.ErrorList {
	var faults field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(old.Annotations)) {
		parts := strings.Split(key, "/")
		switch {
		case !strings.HasPrefix(key, "non-convertible.kubernetes.io") || len(parts) != 2:
		case !strings.Contains(parts[1], "selector"):
			faults = append(faults, &field.Error{Type: field.ErrorTypeNotFound, Field: parts[1],
				BadValue: old.Annotations[key], Detail: "unknown non-convertible field"})
		case !maps.Equal(rc.Spec.Selector, old.Spec.Selector):
			selector := field.NewPath("spec", "selector")
			faults = append(faults, field.Invalid(selector, rc.Spec.Selector, "cannot update non-convertible selector"))
		}
	}
	return faults
}
