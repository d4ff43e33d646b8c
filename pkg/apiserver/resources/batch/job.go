// Package batch declares the resources of the batch group.
package batch

import (
	"context"
	"fmt"
	"math"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// orphanWarning tells who deletes a job, and not what shall become of its pods, that they stay.
const orphanWarning = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them " +
	"or set propagationPolicy=Orphan to suppress this warning"

// Labels that tie a pod to its job: those with a prefix, and those of old that are kept beside them.
const (
	oldUIDLabel  = "controller-uid"
	oldNameLabel = "job-name"
)

// Job declares jobs.
func Job() *resource.Resource {
	doc := batchv1.JobStatus{}.SwaggerDoc()
	kind := batchv1.SchemeGroupVersion.WithKind("Job")
	return resource.Define(resource.Definition[*batchv1.Job]{
		Kind:        kind,
		Plural:      "jobs",
		Categories:  []string{"all"},
		Default:     defaultJob,
		Prepare:     prepareJob,
		Validate:    validateJob,
		WholeUpdate: true,
		// The labels that Prepare gives to a template become those of a job without labels when it is read.
		DefaultedLate: true,
		Warn:          warnJob,
		Spec:          func(j *batchv1.Job) any { return &j.Spec },
		Reset:         []string{"status"},
		// As it was before there was a choice.
		DefaultPropagation: metav1.DeletePropagationOrphan,
		WarnDelete: func(o *metav1.DeleteOptions) []string {
			if o.PropagationPolicy != nil || o.OrphanDependents != nil {
				return nil
			}
			return []string{orphanWarning}
		},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Status", "Status of the job."),
			column.Text("Completions", doc["succeeded"]),
			column.Text("Duration", "Time required to complete the job."),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"]))...),
		Row: func(j *batchv1.Job) []any {
			names, images := workload.Containers(j.Spec.Template.Spec.Containers)
			return []any{j.Name, statusText(j), completionsText(j), durationText(&j.Status), column.Since(j.CreationTimestamp),
				names, images, workload.SelectorText(j.Spec.Selector)}
		},
		Fields: func(j *batchv1.Job) map[string]string {
			return map[string]string{"status.successful": strconv.Itoa(int(j.Status.Succeeded))}
		},
		FieldNames:   []string{"status.successful"},
		UnknownField: func(label string) string { return fmt.Sprintf("field label %q not supported for Job", label) },
		Subresources: []resource.Subresource[*batchv1.Job]{
			resource.Status(kind, resource.UpdatePart[*batchv1.Job]{
				Prepare:  resource.Keep(func(j, old *batchv1.Job) { j.Spec = old.Spec }),
				Validate: validateJobStatus,
			}),
		},
	})
}

func statusText(j *batchv1.Job) string {
	switch is := func(t batchv1.JobConditionType) bool { return conditionIs(&j.Status, t, corev1.ConditionTrue) }; {
	case is(batchv1.JobComplete):
		return "Complete"
	case is(batchv1.JobFailed):
		return "Failed"
	case j.DeletionTimestamp != nil:
		return "Terminating"
	case is(batchv1.JobSuspended):
		return "Suspended"
	case is(batchv1.JobFailureTarget):
		return "FailureTarget"
	case is(batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

// completionsText counts successes of what is asked for. A job that states no number of completions is done
// with the first.
func completionsText(j *batchv1.Job) string {
	switch {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case j.Spec.Parallelism != nil && *j.Spec.Parallelism > 1:
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, *j.Spec.Parallelism)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

func durationText(s *batchv1.JobStatus) any {
	switch {
	case s.StartTime == nil:
		return ""
	case s.CompletionTime == nil:
		return column.Ago{Time: s.StartTime.Time}
	}
	return duration.HumanDuration(s.CompletionTime.Sub(s.StartTime.Time))
}

// inheritLabels gives a job without labels those of its template. Where the client has sent some they share the map:
// what Prepare adds to the template is a label of the job too.
func inheritLabels(j *batchv1.Job) {
	if len(j.Labels) == 0 && j.Spec.Template.Labels != nil {
		j.Labels = j.Spec.Template.Labels
	}
}

func defaultJob(j *batchv1.Job) {
	s := &j.Spec
	defaultJobSpec(s)
	if s.Completions == nil && s.Parallelism == nil {
		set(&s.Completions, 1)
	}
	set(&s.Parallelism, 1)
	if s.BackoffLimitPerIndex != nil {
		set(&s.BackoffLimit, math.MaxInt32)
	}
	set(&s.BackoffLimit, 6)
	inheritLabels(j)
	set(&s.CompletionMode, batchv1.NonIndexedCompletion)
	set(&s.Suspend, false)
	if s.PodFailurePolicy != nil {
		set(&s.PodReplacementPolicy, batchv1.Failed)
	}
	set(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	set(&s.ManualSelector, false)
}

// defaultJobSpec fills in what jobs and the templates of jobs have in common.
func defaultJobSpec(s *batchv1.JobSpec) {
	defaults.PodTemplate(&s.Template)
	if s.PodFailurePolicy == nil {
		return
	}
	if len(s.PodFailurePolicy.Rules) == 0 {
		s.PodFailurePolicy.Rules = nil // no list and an empty one are stored alike
	}
	for _, rule := range s.PodFailurePolicy.Rules {
		for i := range rule.OnPodConditions {
			if p := &rule.OnPodConditions[i]; p.Status == "" {
				p.Status = corev1.ConditionTrue
			}
		}
	}
}

// set points field at value where it points at nothing.
func set[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func prepareJob(_ context.Context, j, old *batchv1.Job) {
	j.Status = batchv1.JobStatus{}
	if old != nil {
		j.Status = *old.Status.DeepCopy()
		validation.DropSwitchedOff(&j.Spec.Template.Spec, &old.Spec.Template.Spec)
		return
	}
	validation.DropSwitchedOff(&j.Spec.Template.Spec, nil)
	if !*j.Spec.ManualSelector {
		generateSelector(j)
	}
}

// generateSelector makes a job find its own pods and no others, by its UID. Labels that the client has set
// stay: validation refuses those that are wrong.
func generateSelector(j *batchv1.Job) {
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	for key, value := range ownLabels(j, true) {
		if _, there := t.Labels[key]; !there {
			t.Labels[key] = value
		}
	}
	set(&j.Spec.Selector, metav1.LabelSelector{})
	s := j.Spec.Selector
	if s.MatchLabels == nil {
		s.MatchLabels = map[string]string{}
	}
	if _, there := s.MatchLabels[batchv1.ControllerUidLabel]; !there {
		s.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

// ownLabels are those that pods of a job have whose selector is generated.
func ownLabels(j *batchv1.Job, prefixed bool) map[string]string {
	own := map[string]string{oldUIDLabel: string(j.UID), oldNameLabel: j.Name}
	if prefixed {
		own[batchv1.ControllerUidLabel], own[batchv1.JobNameLabel] = string(j.UID), j.Name
	}
	return own
}

func warnJob(_ context.Context, j, old *batchv1.Job) []string {
	switch {
	case old == nil:
		return append(workload.NameWarnings(j.Name), jobSpecWarnings(field.NewPath("spec"), &j.Spec)...)
	case old.Generation != j.Generation:
		return jobSpecWarnings(field.NewPath("spec"), &j.Spec)
	}
	return nil
}

func jobSpecWarnings(path *field.Path, s *batchv1.JobSpec) []string {
	var said []string
	if indexed(s) && s.Completions != nil && *s.Completions > manyCompletions && s.Parallelism != nil && *s.Parallelism > mostParallelOfMany {
		said = append(said, path.String()+": In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "+
			"Kubernetes might not be able to track completedIndexes when a big number of indexes fail")
	}
	return append(said, validation.PodWarnings(path.Child("template"), &s.Template.ObjectMeta, &s.Template.Spec)...)
}
