package batch

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
)

func validateJob(ctx context.Context, j, old *batchv1.Job) field.ErrorList {
	path := field.NewPath("spec")
	options, prefixed := workload.Options(ctx, nil), true
	if old != nil {
		options = workload.Options(ctx, &old.Spec.Template)
		options.SelectorValues = options.SelectorValues || metav1validation.LabelSelectorHasInvalidLabelValue(old.Spec.Selector)
		// Jobs from before there were labels with a prefix do without.
		_, named := old.Spec.Template.Labels[batchv1.JobNameLabel]
		_, numbered := old.Spec.Template.Labels[batchv1.ControllerUidLabel]
		prefixed = named && numbered
	}
	faults := generatedSelector(j, prefixed)
	whole := append(jobSpec(path, &j.Spec, options), jobSelector(path, &j.Spec, options.SelectorValues)...)
	faults = append(faults, whole...)
	faults = append(faults, podNames(j)...)
	if old == nil {
		return faults
	}
	// A change's spec is judged twice, and so told.
	faults = append(faults, whole...)
	return append(faults, jobFrozen(path, j, old)...)
}

// generatedSelector judges the selector and labels of a job that did not ask to choose its own.
func generatedSelector(j *batchv1.Job, prefixed bool) field.ErrorList {
	if j.Spec.ManualSelector != nil && *j.Spec.ManualSelector || j.Spec.Selector == nil {
		return nil
	}
	var faults field.ErrorList
	keys := []string{oldUIDLabel, oldNameLabel}
	if prefixed {
		keys = append(keys, batchv1.ControllerUidLabel, batchv1.JobNameLabel)
	}
	own := ownLabels(j, prefixed)
	t := &j.Spec.Template
	for _, key := range keys {
		at, text := field.NewPath("spec", "template", "metadata", "labels").Key(key), fmt.Sprintf("must be '%s'", own[key])
		if value, there := t.Labels[key]; !there {
			faults = append(faults, field.Required(at, text))
		} else if value != own[key] {
			faults = append(faults, field.Invalid(at, t.Labels, text))
		}
	}
	if selector, err := metav1.LabelSelectorAsSelector(j.Spec.Selector); err == nil && !selector.Matches(labels.Set(own)) {
		faults = append(faults, field.Invalid(field.NewPath("spec", "selector"), j.Spec.Selector, "`selector` not auto-generated"))
	}
	return faults
}

func jobSelector(path *field.Path, s *batchv1.JobSpec, tolerant bool) field.ErrorList {
	var faults field.ErrorList
	if s.Selector == nil {
		faults = append(faults, field.Required(path.Child("selector"), ""))
	} else {
		faults = append(faults, validation.LabelSelector(path.Child("selector"), s.Selector, tolerant)...)
	}
	if selector, err := metav1.LabelSelectorAsSelector(s.Selector); err == nil && !selector.Matches(labels.Set(s.Template.Labels)) {
		faults = append(faults, field.Invalid(path.Child("template", "metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))
	}
	return faults
}

// podNames refuses an indexed job whose name is too long to stand before its last index in a host's name.
func podNames(j *batchv1.Job) field.ErrorList {
	if !indexed(&j.Spec) || j.Spec.Completions == nil || *j.Spec.Completions <= 0 {
		return nil
	}
	last := fmt.Sprintf("%s-%d", j.Name, *j.Spec.Completions-1)
	if len(utilvalidation.IsDNS1123Label(last)) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+last)}
}

// jobFrozen refuses changes of what makes a job that job.
func jobFrozen(path *field.Path, j, old *batchv1.Job) field.ErrorList {
	s, was := &j.Spec, &old.Spec
	faults := completions(path.Child("completions"), s, was)
	faults = append(faults, validation.Unchanged(path.Child("selector"), s.Selector, was.Selector)...)
	faults = append(faults, templateFrozen(path.Child("template"), j, old)...)
	faults = append(faults, validation.Unchanged(path.Child("completionMode"), s.CompletionMode, was.CompletionMode)...)
	faults = append(faults, validation.Unchanged(path.Child("podFailurePolicy"), s.PodFailurePolicy, was.PodFailurePolicy)...)
	faults = append(faults, validation.Unchanged(path.Child("backoffLimitPerIndex"), s.BackoffLimitPerIndex, was.BackoffLimitPerIndex)...)
	faults = append(faults, validation.Unchanged(path.Child("managedBy"), s.ManagedBy, was.ManagedBy)...)
	return append(faults, validation.Unchanged(path.Child("successPolicy"), s.SuccessPolicy, was.SuccessPolicy)...)
}

// completions may change where pods have indexes and all run at once.
func completions(path *field.Path, s, was *batchv1.JobSpec) field.ErrorList {
	if !indexed(s) {
		return validation.Unchanged(path, s.Completions, was.Completions)
	}
	if s.Completions == nil || equality.Semantic.DeepEqual(s.Completions, was.Completions) || *s.Completions == *s.Parallelism {
		return nil
	}
	return field.ErrorList{field.Invalid(path, s.Completions, "can only be modified in tandem with spec.parallelism")}
}

// templateFrozen refuses another template. Where a job is suspended and has no pods, those who queue jobs may choose its
// nodes and what its containers ask for: then only the rest of the pods' spec is judged, and told of.
func templateFrozen(path *field.Path, j, old *batchv1.Job) field.ErrorList {
	suspended := old.Spec.Suspend != nil && *old.Spec.Suspend
	idle := old.Status.Active == 0 && (old.Status.StartTime == nil || conditionIs(&old.Status, batchv1.JobSuspended, corev1.ConditionTrue))
	if !suspended || !idle {
		return validation.Unchanged(path, &j.Spec.Template, &old.Spec.Template)
	}
	now, was := &j.Spec.Template.Spec, old.Spec.Template.Spec.DeepCopy()
	was.NodeSelector, was.Tolerations, was.SchedulingGates = now.NodeSelector, now.Tolerations, now.SchedulingGates
	was.Affinity = withNodeAffinity(was.Affinity, now.Affinity)
	takeResources(was.Containers, now.Containers)
	takeResources(was.InitContainers, now.InitContainers)
	return validation.Unchanged(path.Child("spec"), now, was)
}

// withNodeAffinity is the old affinity with the new one's for nodes.
func withNodeAffinity(was, now *corev1.Affinity) *corev1.Affinity {
	switch {
	case now != nil && was == nil:
		return &corev1.Affinity{NodeAffinity: now.NodeAffinity}
	case now != nil:
		was.NodeAffinity = now.NodeAffinity
	case was != nil:
		was.NodeAffinity = nil
		if *was == (corev1.Affinity{}) {
			return nil
		}
	}
	return was
}

func takeResources(was, now []corev1.Container) {
	for i := range was {
		if i < len(now) && was[i].Name == now[i].Name {
			was[i].Resources = now[i].Resources
		}
	}
}
