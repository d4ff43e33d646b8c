package batch

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
)

func conditionIs(s *batchv1.JobStatus, kind batchv1.JobConditionType, status corev1.ConditionStatus) bool {
	for _, c := range s.Conditions {
		if c.Type == kind && c.Status == status {
			return true
		}
	}
	return false
}

// phase is how far a job has come, by its conditions.
type phase struct{ complete, failed, failing, succeeding bool }

func phaseOf(s *batchv1.JobStatus) phase {
	is := func(t batchv1.JobConditionType) bool { return conditionIs(s, t, corev1.ConditionTrue) }
	return phase{is(batchv1.JobComplete), is(batchv1.JobFailed), is(batchv1.JobFailureTarget), is(batchv1.JobSuccessCriteriaMet)}
}

func (p phase) finished() bool { return p.complete || p.failed }

// rule is one thing that a status must not be. Rules between two parts of a status apply when one of them
// changes: a status that was wrong before, or is made wrong by a change of the spec, does not block other writes.
type rule struct {
	applies, broken bool
	fault           *field.Error
}

func broken(rules []rule) field.ErrorList {
	var faults field.ErrorList
	for _, r := range rules {
		if r.applies && r.broken {
			faults = append(faults, r.fault)
		}
	}
	return faults
}

func validateJobStatus(_ context.Context, j, old *batchv1.Job) field.ErrorList {
	path := field.NewPath("status")
	faults := statusCounts(path, &j.Status)
	faults = append(faults, broken(phaseRules(path, j, old))...)
	faults = append(faults, indexFaults(path, j, old)...)
	faults = append(faults, broken(podRules(path, j, old))...)
	return append(faults, broken(orderRules(path, j, old))...)
}

func statusCounts(path *field.Path, s *batchv1.JobStatus) field.ErrorList {
	faults := workload.NotNegative(path, workload.Count{Name: "active", Value: int64(s.Active)},
		workload.Count{Name: "succeeded", Value: int64(s.Succeeded)}, workload.Count{Name: "failed", Value: int64(s.Failed)})
	faults = append(faults, validation.WhereSet(path.Child("ready"), s.Ready, validation.NotNegative)...)
	faults = append(faults, validation.WhereSet(path.Child("terminating"), s.Terminating, validation.NotNegative)...)
	if s.UncountedTerminatedPods == nil {
		return faults
	}
	seen := map[types.UID]bool{}
	judge := func(at *field.Path, list []types.UID) {
		for i, uid := range list {
			switch {
			case uid == "":
				faults = append(faults, field.Invalid(at.Index(i), uid, "must not be empty"))
			case seen[uid]:
				faults = append(faults, field.Duplicate(at.Index(i), uid))
			}
			seen[uid] = true
		}
	}
	judge(path.Child("uncountedTerminatedPods", "succeeded"), s.UncountedTerminatedPods.Succeeded)
	judge(path.Child("uncountedTerminatedPods", "failed"), s.UncountedTerminatedPods.Failed)
	return faults
}

// conditionsFault is a fault of the conditions together.
func conditionsFault(path *field.Path, text string) *field.Error {
	return field.Invalid(path.Child("conditions"), field.OmitValueType{}, text)
}

// phaseRules say which conditions, times and counts go together.
func phaseRules(path *field.Path, j, old *batchv1.Job) []rule {
	s, was := &j.Status, &old.Status
	now, before := phaseOf(s), phaseOf(was)
	complete, failed, finished := now.complete != before.complete, now.failed != before.failed, now.finished() != before.finished()
	started, ended := !s.StartTime.Equal(was.StartTime), !s.CompletionTime.Equal(was.CompletionTime)
	failedIndexes := !equality.Semantic.DeepEqual(s.FailedIndexes, was.FailedIndexes)
	nothingToDo := j.Spec.Suspend != nil && *j.Spec.Suspend && j.Spec.Completions != nil && *j.Spec.Completions == 0
	uncounted := s.UncountedTerminatedPods
	return []rule{
		{complete || failed, now.complete && now.failed, conditionsFault(path, "cannot set Complete=True and Failed=true conditions")},
		{complete || now.failing != before.failing, now.complete && now.failing,
			conditionsFault(path, "cannot set Complete=True and FailureTarget=true conditions")},
		{complete || ended, s.CompletionTime != nil && !now.complete,
			field.Invalid(path.Child("completionTime"), s.CompletionTime, "cannot set completionTime when there is no Complete=True condition")},
		{complete || ended, s.CompletionTime == nil && now.complete,
			field.Required(path.Child("completionTime"), "completionTime is required for Complete jobs")},
		{started || ended, s.StartTime != nil && s.CompletionTime != nil && s.CompletionTime.Before(s.StartTime),
			field.Invalid(path.Child("completionTime"), s.CompletionTime, "must be equal to or after `startTime`")},
		{failed || failedIndexes, now.failed && !now.failing,
			conditionsFault(path, "cannot set Failed=True condition without the FailureTarget=true condition")},
		{complete || now.succeeding != before.succeeding, now.complete && !now.succeeding,
			conditionsFault(path, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")},
		{finished || s.Active != was.Active, now.finished() && s.Active > 0,
			field.Invalid(path.Child("active"), s.Active, "active>0 is invalid for finished job")},
		{(finished || started) && !nothingToDo, now.finished() && s.StartTime == nil,
			field.Required(path.Child("startTime"), "startTime is required for finished job")},
		{finished || !equality.Semantic.DeepEqual(uncounted, was.UncountedTerminatedPods),
			now.finished() && uncounted != nil && len(uncounted.Failed)+len(uncounted.Succeeded) > 0,
			field.Invalid(path.Child("uncountedTerminatedPods"), validation.GoNames(uncounted), "must be empty for finished job")},
	}
}

// indexFaults judges the lists of indexes that have ended, where one of them changes.
func indexFaults(path *field.Path, j, old *batchv1.Job) field.ErrorList {
	s, spec, was := &j.Status, &j.Spec, &old.Status
	var faults field.ErrorList
	completed, failed := s.CompletedIndexes != was.CompletedIndexes, !equality.Semantic.DeepEqual(s.FailedIndexes, was.FailedIndexes)
	atCompleted, atFailed := path.Child("completedIndexes"), path.Child("failedIndexes")
	if completed && spec.Completions != nil {
		if _, err := parseIndexes(s.CompletedIndexes, *spec.Completions); err != nil {
			faults = append(faults, field.Invalid(atCompleted, s.CompletedIndexes, "error parsing completedIndexes: "+err.Error()))
		}
	}
	if failed && spec.Completions != nil && spec.BackoffLimitPerIndex != nil && s.FailedIndexes != nil {
		if _, err := parseIndexes(*s.FailedIndexes, *spec.Completions); err != nil {
			faults = append(faults, field.Invalid(atFailed, s.FailedIndexes, "error parsing failedIndexes: "+err.Error()))
		}
	}
	if completed && s.CompletedIndexes != "" && !indexed(spec) {
		faults = append(faults, field.Invalid(atCompleted, s.CompletedIndexes, "cannot set non-empty completedIndexes when non-indexed completion mode"))
	}
	if failed && spec.BackoffLimitPerIndex == nil && s.FailedIndexes != nil {
		faults = append(faults, field.Invalid(atFailed, *s.FailedIndexes, "cannot set non-null failedIndexes when backoffLimitPerIndex is null"))
	}
	if (completed || failed) && spec.Completions != nil && s.FailedIndexes != nil {
		if index, both := overlap(s.CompletedIndexes, *s.FailedIndexes, *spec.Completions); both {
			faults = append(faults, field.Invalid(atFailed, *s.FailedIndexes, fmt.Sprintf("failedIndexes and completedIndexes overlap at index: %d", index)))
		}
	}
	return faults
}

// podRules judge the counts of pods, and success against failure.
func podRules(path *field.Path, j, old *batchv1.Job) []rule {
	s, was := &j.Status, &old.Status
	now, before := phaseOf(s), phaseOf(was)
	terminating := !equality.Semantic.DeepEqual(s.Terminating, was.Terminating)
	ready := !equality.Semantic.DeepEqual(s.Ready, was.Ready)
	return []rule{
		{now.finished() != before.finished() || terminating, now.finished() && s.Terminating != nil && *s.Terminating > 0,
			field.Invalid(path.Child("terminating"), s.Terminating, "terminating>0 is invalid for finished job")},
		{ready || s.Active != was.Active, s.Ready != nil && *s.Ready > s.Active,
			field.Invalid(path.Child("ready"), s.Ready, "cannot set more ready pods than active")},
		{true, now.succeeding && now.failed, conditionsFault(path, "cannot set SuccessCriteriaMet=True and Failed=true conditions")},
		{true, now.succeeding && now.failing, conditionsFault(path, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")},
		{j.Spec.SuccessPolicy != nil, !now.succeeding && now.complete,
			conditionsFault(path, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True")},
	}
}

// orderRules say what never goes back.
func orderRules(path *field.Path, j, old *batchv1.Job) []rule {
	s, was := &j.Status, &old.Status
	now, before := phaseOf(s), phaseOf(was)
	ended := func(name string) *field.Error {
		return conditionsFault(path, "cannot disable the terminal "+name+"=True condition")
	}
	// An indexed job may be made smaller.
	shrinks := indexed(&j.Spec) && equality.Semantic.DeepEqual(j.Spec.Completions, j.Spec.Parallelism)
	suspended := j.Spec.Suspend != nil && *j.Spec.Suspend
	resumes := conditionIs(was, batchv1.JobSuspended, corev1.ConditionTrue) && conditionIs(s, batchv1.JobSuspended, corev1.ConditionFalse)
	return []rule{
		{before.failed, !now.failed, ended("Failed")},
		{before.complete, !now.complete, ended("Complete")},
		{before.failing, !now.failing, ended("FailureTarget")},
		{true, s.Failed < was.Failed, field.Invalid(path.Child("failed"), s.Failed, "cannot decrease the failed counter")},
		{!shrinks, s.Succeeded < was.Succeeded, field.Invalid(path.Child("succeeded"), s.Succeeded, "cannot decrease the succeeded counter")},
		{s.CompletionTime != nil && was.CompletionTime != nil, !s.CompletionTime.Equal(was.CompletionTime),
			field.Invalid(path.Child("completionTime"), s.CompletionTime, validation.Immutable)},
		{was.StartTime != nil && !suspended && !resumes, !s.StartTime.Equal(was.StartTime),
			field.Invalid(path.Child("startTime"), s.StartTime, "field is immutable for unsuspended job once set")},
		{before.succeeding, !now.succeeding, conditionsFault(path, "cannot disable the SuccessCriteriaMet=True condition")},
		{before.complete && !before.succeeding, now.succeeding,
			conditionsFault(path, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")},
	}
}
