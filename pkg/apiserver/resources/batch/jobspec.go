package batch

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// Bounds that keep the lists of indexes in a job's status small enough to be stored.
const (
	mostParallelIndexed = 100_000
	mostFailedIndexes   = 100_000
	manyCompletions     = 100_000
	mostParallelOfMany  = 10_000
	mostFailedOfMany    = 10_000
	longestManagedBy    = 63
)

func indexed(s *batchv1.JobSpec) bool {
	return s.CompletionMode != nil && *s.CompletionMode == batchv1.IndexedCompletion
}

// jobSpec judges what jobs and the templates of jobs have in common.
func jobSpec(path *field.Path, s *batchv1.JobSpec, options validation.PodOptions) field.ErrorList {
	faults := jobLimits(path, s)
	if by := s.ManagedBy; by != nil {
		at := path.Child("managedBy")
		faults = append(faults, utilvalidation.IsDomainPrefixedPath(at, *by)...)
		if len(*by) > longestManagedBy {
			faults = append(faults, field.TooLong(at, *by, longestManagedBy))
		}
	}
	faults = append(faults, completionMode(path, s)...)
	if s.PodFailurePolicy != nil {
		faults = append(faults, failurePolicy(path.Child("podFailurePolicy"), s)...)
	}
	if p := s.SuccessPolicy; p != nil {
		at := path.Child("successPolicy")
		if indexed(s) {
			faults = append(faults, successPolicy(at, s)...)
		} else {
			faults = append(faults, field.Invalid(at, validation.GoNames(*p), "requires indexed completion mode"))
		}
	}
	faults = append(faults, replacementPolicy(path.Child("podReplacementPolicy"), s)...)
	faults = append(faults, validation.PodTemplate(path.Child("template"), &s.Template, options)...)
	return append(faults, restartPolicy(path.Child("template", "spec", "restartPolicy"), s)...)
}

func jobLimits(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	var faults field.ErrorList
	judge := func(name string, n *int32) {
		faults = append(faults, validation.WhereSet(path.Child(name), n, validation.NotNegative)...)
	}
	judge("parallelism", s.Parallelism)
	judge("completions", s.Completions)
	if s.ActiveDeadlineSeconds != nil {
		faults = append(faults, validation.NotNegative(path.Child("activeDeadlineSeconds"), *s.ActiveDeadlineSeconds)...)
	}
	judge("backoffLimit", s.BackoffLimit)
	judge("ttlSecondsAfterFinished", s.TTLSecondsAfterFinished)
	judge("backoffLimitPerIndex", s.BackoffLimitPerIndex)
	judge("maxFailedIndexes", s.MaxFailedIndexes)
	if s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil {
		faults = append(faults, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	return faults
}

// completionMode judges the mode, and the fields that depend on it.
func completionMode(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	switch {
	case indexed(s):
		return append(indexedJob(path, s), manyIndexes(path, s)...)
	case s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion:
		return field.ErrorList{field.NotSupported(path.Child("completionMode"), *s.CompletionMode,
			[]batchv1.CompletionMode{batchv1.NonIndexedCompletion, batchv1.IndexedCompletion})}
	}
	var faults field.ErrorList
	if n := s.BackoffLimitPerIndex; n != nil {
		faults = append(faults, field.Invalid(path.Child("backoffLimitPerIndex"), *n, "requires indexed completion mode"))
	}
	if n := s.MaxFailedIndexes; n != nil {
		faults = append(faults, field.Invalid(path.Child("maxFailedIndexes"), *n, "requires indexed completion mode"))
	}
	return faults
}

func indexedJob(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	var faults field.ErrorList
	if s.Completions == nil {
		faults = append(faults, field.Required(path.Child("completions"), "when completion mode is Indexed"))
	}
	if n := s.Parallelism; n != nil && *n > mostParallelIndexed {
		faults = append(faults, field.Invalid(path.Child("parallelism"), *n,
			fmt.Sprintf("must be less than or equal to %d when completion mode is Indexed", mostParallelIndexed)))
	}
	if n := s.MaxFailedIndexes; n != nil {
		at := path.Child("maxFailedIndexes")
		if s.Completions != nil && *n > *s.Completions {
			faults = append(faults, field.Invalid(at, *n, "must be less than or equal to completions"))
		}
		if *n > mostFailedIndexes {
			faults = append(faults, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d", mostFailedIndexes)))
		}
	}
	return faults
}

// manyIndexes judges a job whose indexes are retried one by one, where there are very many of them.
func manyIndexes(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	if s.Completions == nil || *s.Completions <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return nil
	}
	atMost := func(n int) string {
		return fmt.Sprintf("must be less than or equal to %d when completions are above %d and used with backoff limit per index", n, manyCompletions)
	}
	var faults field.ErrorList
	if s.MaxFailedIndexes == nil {
		faults = append(faults, field.Required(path.Child("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	}
	if n := s.Parallelism; n != nil && *n > mostParallelOfMany {
		faults = append(faults, field.Invalid(path.Child("parallelism"), *n, atMost(mostParallelOfMany)))
	}
	if n := s.MaxFailedIndexes; n != nil && *n > mostFailedOfMany {
		faults = append(faults, field.Invalid(path.Child("maxFailedIndexes"), *n, atMost(mostFailedOfMany)))
	}
	return faults
}

func replacementPolicy(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	supported := []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
	if s.PodFailurePolicy != nil { // which judges pods that have ended
		supported = supported[:1]
	}
	if p := s.PodReplacementPolicy; p != nil && !slices.Contains(supported, *p) {
		return field.ErrorList{field.NotSupported(path, *p, supported)}
	}
	return nil
}

// restartPolicy refuses pods that never end. Always is what a template has that does not say.
func restartPolicy(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	switch p := s.Template.Spec.RestartPolicy; {
	case p == corev1.RestartPolicyAlways || p == "":
		return field.ErrorList{field.Required(path, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever))}
	case p != corev1.RestartPolicyOnFailure && p != corev1.RestartPolicyNever:
		return field.ErrorList{field.NotSupported(path, p, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever})}
	case s.PodFailurePolicy != nil && p != corev1.RestartPolicyNever:
		return field.ErrorList{field.Invalid(path, p, fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever))}
	}
	return nil
}
