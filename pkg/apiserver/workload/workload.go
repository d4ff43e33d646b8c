// Package workload holds what the kinds that make pods from a template have in common: the rules of
// template and selector, counts in a status, the scale subresource and the cells of a table. It declares no kind.
package workload

import (
	"context"
	"fmt"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// Template judges a template and its selector: pods made from it must be found again, run for ever and
// have no deadline. kind is named where it does not support one.
func Template(path *field.Path, t *corev1.PodTemplateSpec, selector labels.Selector, kind string, options validation.PodOptions) field.ErrorList {
	faults := Matches(path, t, selector)
	faults = append(faults, validation.PodTemplate(path, t, options)...)
	return append(faults, RunsForEver(path, t, kind)...)
}

// Matches refuses a selector that does not find the pods made from the template. An empty one finds all.
func Matches(path *field.Path, t *corev1.PodTemplateSpec, selector labels.Selector) field.ErrorList {
	if selector.Empty() || selector.Matches(labels.Set(t.Labels)) {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`")}
}

// RunsForEver refuses templates of pods that end.
func RunsForEver(path *field.Path, t *corev1.PodTemplateSpec, kind string) field.ErrorList {
	var faults field.ErrorList
	if t.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		faults = append(faults, field.NotSupported(path.Child("spec", "restartPolicy"), t.Spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		faults = append(faults, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+kind+" is not Supported"))
	}
	return faults
}

// Selector judges a selector that must find something in particular; kind is named where it does not.
func Selector(path *field.Path, s *metav1.LabelSelector, kind string, tolerant bool) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	faults := validation.LabelSelector(path, s, tolerant)
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		faults = append(faults, field.Invalid(path, s, "empty selector is invalid for "+kind))
	}
	return faults
}

// Options are those of an update from an old template; old is nil on create.
func Options(ctx context.Context, old *corev1.PodTemplateSpec) validation.PodOptions {
	if old == nil {
		return validation.OptionsFor(ctx, nil, nil)
	}
	return validation.OptionsFor(ctx, &old.Spec, &old.ObjectMeta)
}

// object is a pointer to a kind with metadata; nil on create for the old one.
type object interface {
	comparable
	metav1.Object
}

// TemplateWarnings warns of a template, if there is one, where the object is new or its generation has moved.
func TemplateWarnings[T object](t *corev1.PodTemplateSpec, obj, old T) []string {
	var none T
	if t == nil || old != none && old.GetGeneration() == obj.GetGeneration() {
		return nil
	}
	return validation.PodWarnings(field.NewPath("spec", "template"), &t.ObjectMeta, &t.Spec)
}

// Warn makes the warnings of a kind whose pods are named after it: of its template, and of a new object's name.
func Warn[T object](template func(T) *corev1.PodTemplateSpec) func(_ context.Context, obj, old T) []string {
	return func(_ context.Context, obj, old T) []string {
		said := TemplateWarnings(template(obj), obj, old)
		var none T
		if old == none {
			said = append(NameWarnings(obj.GetName()), said...)
		}
		return said
	}
}

// Prepare makes the Prepare of a kind that has a template, and a status that is written through its subresource alone.
func Prepare[T interface {
	*E
	resource.Object
}, S interface {
	*V
	DeepCopy() *V
}, E, V any](template func(T) *corev1.PodTemplateSpec, status func(T) S) func(context.Context, T, T) {
	keep := resource.KeepStatus(status)
	return func(ctx context.Context, obj, old T) {
		var was *corev1.PodTemplateSpec
		if old != nil {
			was = template(old)
		}
		DropSwitchedOff(template(obj), was)
		keep(ctx, obj, old)
	}
}

// DropSwitchedOff removes from a template, if there is one, fields whose features are off, but those that the old one has
// too; old is nil on create.
func DropSwitchedOff(t, old *corev1.PodTemplateSpec) {
	if t == nil {
		return
	}
	var was *corev1.PodSpec
	if old != nil {
		was = &old.Spec
	}
	validation.DropSwitchedOff(&t.Spec, was)
}

// SelectedTemplate judges the selector and the template of a kind that keeps a number of equal pods; old is the template
// before, nil on create. The words name deployments and replica sets for all of them: clients know them so.
func SelectedTemplate(ctx context.Context, path *field.Path, s *metav1.LabelSelector, t, old *corev1.PodTemplateSpec) field.ErrorList {
	faults := Selector(path.Child("selector"), s, "deployment", false)
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return append(faults, field.Invalid(path.Child("selector"), s, "invalid label selector"))
	}
	return append(faults, Template(path.Child("template"), t, selector, "ReplicaSet", Options(ctx, old))...)
}

// NameWarnings warns of a name that is no DNS label, of a kind whose pods are named after it.
func NameWarnings(name string) []string {
	texts := utilvalidation.IsDNS1123Label(name)
	if len(texts) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", texts)}
}

// Count is one number of a status.
type Count struct {
	Name  string
	Value int64
}

// NotNegative refuses counts below zero.
func NotNegative(path *field.Path, counts ...Count) field.ErrorList {
	var faults field.ErrorList
	for _, c := range counts {
		faults = append(faults, validation.NotNegative(path.Child(c.Name), c.Value)...)
	}
	return faults
}

// AtMost refuses counts above a limit, which is named in the fault.
func AtMost(path *field.Path, limit int32, name string, counts ...Count) field.ErrorList {
	var faults field.ErrorList
	for _, c := range counts {
		if c.Value > int64(limit) {
			faults = append(faults, field.Invalid(path.Child(c.Name), int32(c.Value), "cannot be greater than "+name))
		}
	}
	return faults
}

// NotDecremented refuses that a count of collisions falls or goes.
func NotDecremented(path *field.Path, now, was *int32) field.ErrorList {
	if was == nil || now != nil && *now >= *was {
		return nil
	}
	var value int32
	if now != nil {
		value = *now
	}
	return field.ErrorList{field.Invalid(path, value, "cannot be decremented")}
}

// Scale declares the scale subresource of a kind.
func Scale[T resource.Object](replicas func(T) **int32, status func(T) int32, selector func(T) string) resource.Subresource[T] {
	return resource.Subresource[T]{
		Name:  "scale",
		Kind:  autoscalingv1.SchemeGroupVersion.WithKind("Scale"),
		Verbs: []string{"get", "patch", "update"},
		Scale: &resource.ScalePart[T]{
			Replicas: func(obj T) int32 {
				if n := *replicas(obj); n != nil {
					return *n
				}
				return 0
			},
			StatusReplicas: status,
			Selector:       selector,
			SetReplicas:    func(obj T, n int32) { *replicas(obj) = &n },
			SpecPath:       "spec.replicas",
		},
	}
}

// SelectorText is the cell of a selector.
func SelectorText(s *metav1.LabelSelector) string { return metav1.FormatLabelSelector(s) }

// Containers answers the cells of the names and of the images of a template's containers.
func Containers(list []corev1.Container) (names, images string) {
	var n, i []string
	for _, c := range list {
		n = append(n, c.Name)
		i = append(i, c.Image)
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}

// ContainerColumns are those of Containers; priority 0 shows them always.
func ContainerColumns(priority int32) []metav1.TableColumnDefinition {
	names := column.Text("Containers", "Names of each container in the template.")
	images := column.Text("Images", "Images referenced by each container in the template.")
	names.Priority, images.Priority = priority, priority
	return []metav1.TableColumnDefinition{names, images}
}

// Replicas is the status that replica sets and replication controllers have alike.
type Replicas struct {
	Replicas, FullyLabeled, Ready, Available int32
	Terminating                              *int32
	ObservedGeneration                       int64
}

// ReplicaStatus judges it.
func ReplicaStatus(path *field.Path, r Replicas) field.ErrorList {
	labeled := Count{"fullyLabeledReplicas", int64(r.FullyLabeled)}
	ready, available := Count{"readyReplicas", int64(r.Ready)}, Count{"availableReplicas", int64(r.Available)}
	faults := NotNegative(path, Count{"replicas", int64(r.Replicas)}, labeled, ready, available)
	if r.Terminating != nil {
		faults = append(faults, NotNegative(path, Count{"terminatingReplicas", int64(*r.Terminating)})...)
	}
	faults = append(faults, NotNegative(path, Count{"observedGeneration", r.ObservedGeneration})...)
	faults = append(faults, AtMost(path, r.Replicas, "status.replicas", labeled, ready, available)...)
	return append(faults, AtMost(path, r.Ready, "readyReplicas", available)...)
}
