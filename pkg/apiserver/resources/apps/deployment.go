// Package apps declares the resources of the apps group.
package apps

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// Deployment declares deployments.
func Deployment() *resource.Resource {
	doc, status := appsv1.DeploymentSpec{}.SwaggerDoc(), appsv1.DeploymentStatus{}.SwaggerDoc()
	template := func(d *appsv1.Deployment) *corev1.PodTemplateSpec { return &d.Spec.Template }
	return resource.Define(resource.Definition[*appsv1.Deployment]{
		Kind:       appsv1.SchemeGroupVersion.WithKind("Deployment"),
		Plural:     "deployments",
		ShortNames: []string{"deploy"},
		Categories: []string{"all"},
		Default:    defaultDeployment,
		Unconvertible: func(d *appsv1.Deployment) error {
			to := d.Annotations[appsv1.DeprecatedRollbackTo]
			if _, err := rollback(to); err != nil {
				return fmt.Errorf("failed to parse annotation[%s]=%s as int64: %w", appsv1.DeprecatedRollbackTo, to, err)
			}
			return nil
		},
		Prepare:  workload.Prepare(template, func(d *appsv1.Deployment) *appsv1.DeploymentStatus { return &d.Status }),
		Validate: validateDeployment,
		Warn:     workload.Warn(template),
		// Annotations count: the controller copies them to replica sets.
		Spec: func(d *appsv1.Deployment) any {
			return struct {
				Spec        *appsv1.DeploymentSpec
				Annotations map[string]string
			}{&d.Spec, d.Annotations}
		},
		Reset: []string{"status"},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Ready", "Number of the pod with ready state"),
			column.Text("Up-to-date", status["updatedReplicas"]),
			column.Text("Available", status["availableReplicas"]),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", doc["selector"]))...),
		Row: func(d *appsv1.Deployment) []any {
			names, images := workload.Containers(d.Spec.Template.Spec.Containers)
			return []any{d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, desired(d.Spec.Replicas)), int64(d.Status.UpdatedReplicas),
				int64(d.Status.AvailableReplicas), column.Since(d.CreationTimestamp), names, images, workload.SelectorText(d.Spec.Selector)}
		},
		Subresources: []resource.Subresource[*appsv1.Deployment]{
			resource.Status(appsv1.SchemeGroupVersion.WithKind("Deployment"), resource.UpdatePart[*appsv1.Deployment]{
				Prepare: resource.Keep(func(d, old *appsv1.Deployment) {
					d.Spec, d.Labels = old.Spec, old.Labels
				}),
				Validate: validateDeploymentStatus,
				Reset:    []string{"spec", "metadata.labels"},
			}),
			workload.Scale(
				func(d *appsv1.Deployment) **int32 { return &d.Spec.Replicas },
				func(d *appsv1.Deployment) int32 { return d.Status.Replicas },
				func(d *appsv1.Deployment) string { return selectorOf(d.Spec.Selector) },
			),
		},
	})
}

// desired is how many replicas are asked for; stored objects of old may leave it out.
func desired(replicas *int32) int32 {
	return ptr.Deref(replicas, 0)
}

func selectorOf(s *metav1.LabelSelector) string {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return ""
	}
	return selector.String()
}

func defaultDeployment(d *appsv1.Deployment) {
	defaults.PodTemplate(&d.Spec.Template)
	s := &d.Spec
	set(&s.Replicas, 1)
	s.Strategy.Type = cmp.Or(s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		set(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		set(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		set(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	if r := s.Strategy.RollingUpdate; r != nil { // whatever the type
		set(&r.MaxUnavailable, intstr.FromInt32(0))
		set(&r.MaxSurge, intstr.FromInt32(0))
	}
	set(&s.RevisionHistoryLimit, 10)
	set(&s.ProgressDeadlineSeconds, 600)
}

// set points field at value where it points at nothing.
func set[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func validateDeployment(ctx context.Context, d, old *appsv1.Deployment) field.ErrorList {
	path, s := field.NewPath("spec"), &d.Spec
	var was *corev1.PodTemplateSpec
	if old != nil {
		was = &old.Spec.Template
	}
	faults := validation.NotNegative(path.Child("replicas"), *s.Replicas)
	faults = append(faults, workload.SelectedTemplate(ctx, path, s.Selector, &s.Template, was)...)
	faults = append(faults, deploymentStrategy(path.Child("strategy"), &s.Strategy)...)
	faults = append(faults, validation.NotNegative(path.Child("minReadySeconds"), s.MinReadySeconds)...)
	if s.RevisionHistoryLimit != nil {
		faults = append(faults, validation.NotNegative(path.Child("revisionHistoryLimit"), *s.RevisionHistoryLimit)...)
	}
	if to, _ := rollback(d.Annotations[appsv1.DeprecatedRollbackTo]); to < 0 {
		faults = append(faults, validation.NotNegative(path.Child("rollback", "version"), to)...)
	}
	if deadline := s.ProgressDeadlineSeconds; deadline != nil {
		at := path.Child("progressDeadlineSeconds")
		faults = append(faults, validation.NotNegative(at, *deadline)...)
		if *deadline <= s.MinReadySeconds {
			faults = append(faults, field.Invalid(at, *deadline, "must be greater than minReadySeconds"))
		}
	}
	if old != nil {
		faults = append(faults, validation.Unchanged(path.Child("selector"), s.Selector, old.Spec.Selector)...)
	}
	return faults
}

// rollback reads the revision of an annotation that was once a field; none is 0.
func rollback(to string) (int64, error) {
	if to == "" {
		return 0, nil
	}
	return strconv.ParseInt(to, 10, 64)
}

func deploymentStrategy(path *field.Path, s *appsv1.DeploymentStrategy) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(rolling, "may not be specified when strategy `type` is '"+string(appsv1.RecreateDeploymentStrategyType)+"'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
		unavailable, surge := *s.RollingUpdate.MaxUnavailable, *s.RollingUpdate.MaxSurge
		faults := validation.IntOrPercent(rolling.Child("maxUnavailable"), unavailable)
		faults = append(faults, validation.IntOrPercent(rolling.Child("maxSurge"), surge)...)
		if amount(unavailable) == 0 && amount(surge) == 0 {
			faults = append(faults, field.Invalid(rolling.Child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
		}
		return append(faults, validation.AtMostHundredPercent(rolling.Child("maxUnavailable"), unavailable)...)
	default:
		return field.ErrorList{field.NotSupported(path, validation.GoNames(*s),
			[]appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType})}
	}
}

// amount is the number of a value, of pods or of percent.
func amount(v intstr.IntOrString) int {
	if percent, is := validation.Percent(v); is {
		return percent
	}
	return v.IntValue()
}

func validateDeploymentStatus(_ context.Context, d, old *appsv1.Deployment) field.ErrorList {
	path, s := field.NewPath("status"), &d.Status
	faults := workload.NotNegative(path,
		workload.Count{Name: "observedGeneration", Value: s.ObservedGeneration},
		workload.Count{Name: "replicas", Value: int64(s.Replicas)},
		workload.Count{Name: "updatedReplicas", Value: int64(s.UpdatedReplicas)},
		workload.Count{Name: "readyReplicas", Value: int64(s.ReadyReplicas)},
		workload.Count{Name: "availableReplicas", Value: int64(s.AvailableReplicas)},
		workload.Count{Name: "unavailableReplicas", Value: int64(s.UnavailableReplicas)})
	if s.TerminatingReplicas != nil {
		faults = append(faults, validation.NotNegative(path.Child("terminatingReplicas"), *s.TerminatingReplicas)...)
	}
	faults = append(faults, validation.WhereSet(path.Child("collisionCount"), s.CollisionCount, validation.NotNegative)...)
	available := workload.Count{Name: "availableReplicas", Value: int64(s.AvailableReplicas)}
	faults = append(faults, workload.AtMost(path, s.Replicas, "status.replicas",
		workload.Count{Name: "updatedReplicas", Value: int64(s.UpdatedReplicas)},
		workload.Count{Name: "readyReplicas", Value: int64(s.ReadyReplicas)}, available)...)
	faults = append(faults, workload.AtMost(path, s.ReadyReplicas, "readyReplicas", available)...)
	return append(faults, workload.NotDecremented(path.Child("collisionCount"), s.CollisionCount, old.Status.CollisionCount)...)
}
