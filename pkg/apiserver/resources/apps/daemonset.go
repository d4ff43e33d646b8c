package apps

import (
	"cmp"
	"context"
	"maps"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// DaemonSet declares daemon sets.
func DaemonSet() *resource.Resource {
	doc, status := appsv1.DaemonSetSpec{}.SwaggerDoc(), appsv1.DaemonSetStatus{}.SwaggerDoc()
	return resource.Define(resource.Definition[*appsv1.DaemonSet]{
		Kind:       appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
		Plural:     "daemonsets",
		ShortNames: []string{"ds"},
		Categories: []string{"all"},
		Default:    defaultDaemonSet,
		Unconvertible: func(d *appsv1.DaemonSet) error {
			_, err := templateGeneration(d)
			return err
		},
		Prepare:  prepareDaemonSet,
		Validate: validateDaemonSet,
		Warn: func(_ context.Context, d, old *appsv1.DaemonSet) []string {
			if old != nil && d.Annotations[appsv1.DeprecatedTemplateGeneration] == old.Annotations[appsv1.DeprecatedTemplateGeneration] {
				return nil // by the template alone, not by all that raises the generation
			}
			return workload.TemplateWarnings(&d.Spec.Template, d, old)
		},
		Spec:              func(d *appsv1.DaemonSet) any { return &d.Spec },
		Reset:             []string{"status"},
		HiddenAnnotations: []string{appsv1.DeprecatedTemplateGeneration},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Integer("Desired", status["desiredNumberScheduled"]),
			column.Integer("Current", status["currentNumberScheduled"]),
			column.Integer("Ready", status["numberReady"]),
			column.Integer("Up-to-date", status["updatedNumberScheduled"]),
			column.Integer("Available", status["numberAvailable"]),
			column.Text("Node Selector", podSpecDoc["nodeSelector"]),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", doc["selector"]))...),
		Row: func(d *appsv1.DaemonSet) []any {
			names, images := workload.Containers(d.Spec.Template.Spec.Containers)
			return []any{d.Name, int64(d.Status.DesiredNumberScheduled), int64(d.Status.CurrentNumberScheduled), int64(d.Status.NumberReady),
				int64(d.Status.UpdatedNumberScheduled), int64(d.Status.NumberAvailable), labels.FormatLabels(d.Spec.Template.Spec.NodeSelector),
				column.Since(d.CreationTimestamp), names, images, workload.SelectorText(d.Spec.Selector)}
		},
		Subresources: []resource.Subresource[*appsv1.DaemonSet]{
			resource.Status(appsv1.SchemeGroupVersion.WithKind("DaemonSet"), resource.UpdatePart[*appsv1.DaemonSet]{
				Prepare:  resource.Keep(keepDaemonSet),
				Validate: validateDaemonSetStatus,
			}),
		},
	})
}

func defaultDaemonSet(d *appsv1.DaemonSet) {
	defaults.PodTemplate(&d.Spec.Template)
	s := &d.Spec.UpdateStrategy
	s.Type = cmp.Or(s.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if s.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		set(&s.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		set(&s.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
	}
	if r := s.RollingUpdate; r != nil { // whatever the type
		set(&r.MaxUnavailable, intstr.FromInt32(0))
		set(&r.MaxSurge, intstr.FromInt32(0))
	}
	set(&d.Spec.RevisionHistoryLimit, 10)
	// Whoever writes one owns the annotation, which was a field once.
	if _, there := d.Annotations[appsv1.DeprecatedTemplateGeneration]; !there {
		annotations := map[string]string{appsv1.DeprecatedTemplateGeneration: "0"}
		maps.Copy(annotations, d.Annotations)
		d.Annotations = annotations
	}
}

// prepareDaemonSet also counts the changes of the template in the annotation that stands for what was once
// a field.
func prepareDaemonSet(_ context.Context, d, old *appsv1.DaemonSet) {
	d.Status = appsv1.DaemonSetStatus{}
	generation, _ := templateGeneration(d) // what cannot be read was refused, or is counted anew
	if old == nil {
		workload.DropSwitchedOff(&d.Spec.Template, nil)
	} else {
		workload.DropSwitchedOff(&d.Spec.Template, &old.Spec.Template)
		d.Status = *old.Status.DeepCopy()
		generation, _ = templateGeneration(old)
		if !equality.Semantic.DeepEqual(d.Spec.Template, old.Spec.Template) {
			generation++
		}
	}
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(max(generation, 1), 10)
}

// keepDaemonSet undoes what a write of the status would change of the specification, the count among it.
func keepDaemonSet(d, old *appsv1.DaemonSet) {
	d.Spec = old.Spec
	d.Annotations[appsv1.DeprecatedTemplateGeneration] = old.Annotations[appsv1.DeprecatedTemplateGeneration] // defaults made the map
}

// templateGeneration reads the count of the template's changes, 0 where there is none.
func templateGeneration(d *appsv1.DaemonSet) (int64, error) {
	count, there := d.Annotations[appsv1.DeprecatedTemplateGeneration]
	if !there {
		return 0, nil
	}
	return strconv.ParseInt(count, 10, 64)
}

func validateDaemonSet(ctx context.Context, d, old *appsv1.DaemonSet) field.ErrorList {
	path, s := field.NewPath("spec"), &d.Spec
	template := path.Child("template")
	options := workload.Options(ctx, nil)
	var faults field.ErrorList
	if old != nil {
		options = workload.Options(ctx, &old.Spec.Template)
		options.SelectorValues = options.SelectorValues || metav1validation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector)
		faults = validation.Unchanged(path.Child("selector"), s.Selector, old.Spec.Selector)
	}
	faults = append(faults, validation.LabelSelector(path.Child("selector"), s.Selector, options.SelectorValues)...)
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil {
		faults = append(faults, workload.Matches(template, &s.Template, selector)...)
	}
	if s.Selector != nil && len(s.Selector.MatchLabels)+len(s.Selector.MatchExpressions) == 0 {
		faults = append(faults, field.Invalid(path.Child("selector"), s.Selector, "empty selector is invalid for daemonset"))
	}
	faults = append(faults, validation.PodTemplate(template, &s.Template, options)...)
	faults = append(faults, workload.RunsForEver(template, &s.Template, "DaemonSet")...)
	faults = append(faults, validation.NotNegative(path.Child("minReadySeconds"), s.MinReadySeconds)...)
	faults = append(faults, daemonSetStrategy(path.Child("updateStrategy"), &s.UpdateStrategy)...)
	if s.RevisionHistoryLimit != nil {
		faults = append(faults, validation.NotNegative(path.Child("revisionHistoryLimit"), *s.RevisionHistoryLimit)...)
	}
	return faults
}

func daemonSetStrategy(path *field.Path, s *appsv1.DaemonSetUpdateStrategy) field.ErrorList {
	switch s.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
	default:
		return field.ErrorList{field.NotSupported(path, validation.GoNames(*s),
			[]appsv1.DaemonSetUpdateStrategyType{appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})}
	}
	at := path.Child("rollingUpdate")
	unavailable, surge := *s.RollingUpdate.MaxUnavailable, *s.RollingUpdate.MaxSurge
	faults := validation.IntOrPercent(at.Child("maxUnavailable"), unavailable)
	faults = append(faults, validation.IntOrPercent(at.Child("maxSurge"), surge)...)
	faults = append(faults, validation.AtMostHundredPercent(at.Child("maxUnavailable"), unavailable)...)
	faults = append(faults, validation.AtMostHundredPercent(at.Child("maxSurge"), surge)...)
	switch u, m := amount(unavailable) != 0, amount(surge) != 0; {
	case u && m:
		faults = append(faults, field.Invalid(at.Child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero"))
	case !u && !m:
		faults = append(faults, field.Required(at.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))
	}
	return faults
}

func validateDaemonSetStatus(_ context.Context, d, old *appsv1.DaemonSet) field.ErrorList {
	path, s := field.NewPath("status"), &d.Status
	faults := workload.NotNegative(path,
		workload.Count{Name: "currentNumberScheduled", Value: int64(s.CurrentNumberScheduled)},
		workload.Count{Name: "numberMisscheduled", Value: int64(s.NumberMisscheduled)},
		workload.Count{Name: "desiredNumberScheduled", Value: int64(s.DesiredNumberScheduled)},
		workload.Count{Name: "numberReady", Value: int64(s.NumberReady)},
		workload.Count{Name: "observedGeneration", Value: s.ObservedGeneration},
		workload.Count{Name: "updatedNumberScheduled", Value: int64(s.UpdatedNumberScheduled)},
		workload.Count{Name: "numberAvailable", Value: int64(s.NumberAvailable)},
		workload.Count{Name: "numberUnavailable", Value: int64(s.NumberUnavailable)})
	faults = append(faults, validation.WhereSet(path.Child("collisionCount"), s.CollisionCount, validation.NotNegative)...)
	return append(faults, workload.NotDecremented(path.Child("collisionCount"), s.CollisionCount, old.Status.CollisionCount)...)
}
