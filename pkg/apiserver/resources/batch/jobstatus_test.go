package batch

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestAStatusAgreesWithItselfAndNeverGoesBack(t *testing.T) {
	early, late := &metav1.Time{Time: time.Unix(100, 0)}, &metav1.Time{Time: time.Unix(200, 0)}
	in := func(types ...batchv1.JobConditionType) func(*batchv1.JobStatus) {
		return func(s *batchv1.JobStatus) {
			s.StartTime = early
			for _, t := range types {
				s.Conditions = append(s.Conditions, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue})
			}
		}
	}
	const met, complete, target, failed = batchv1.JobSuccessCriteriaMet, batchv1.JobComplete, batchv1.JobFailureTarget, batchv1.JobFailed
	also := func(f, g func(*batchv1.JobStatus)) func(*batchv1.JobStatus) {
		return func(s *batchv1.JobStatus) { f(s); g(s) }
	}
	done := also(in(met, complete), func(s *batchv1.JobStatus) { s.CompletionTime = late })
	nothing := func(*batchv1.JobStatus) {}
	for name, c := range map[string]struct {
		was, is func(*batchv1.JobStatus)
		spec    func(*batchv1.JobSpec)
		want    string
	}{
		"nothing":               {nothing, nothing, nil, ""},
		"done":                  {in(met), done, nil, ""},
		"done without criteria": {in(), also(in(complete), func(s *batchv1.JobStatus) { s.CompletionTime = late }), nil, "status.conditions"},
		"done without its time": {in(met), in(met, complete), nil, "status.completionTime"},
		"ended before it began": {in(met), also(done, func(s *batchv1.JobStatus) {
			s.StartTime, s.CompletionTime = early, &metav1.Time{Time: time.Unix(99, 0)}
		}), nil, "status.completionTime"},
		"a time, not done":   {in(), also(in(), func(s *batchv1.JobStatus) { s.CompletionTime = late }), nil, "status.completionTime"},
		"failed":             {in(target), in(target, failed), nil, ""},
		"failed at once":     {in(), in(failed), nil, "status.conditions"},
		"failed and running": {in(target), also(in(target, failed), func(s *batchv1.JobStatus) { s.Active = 1 }), nil, "status.active"},
		"failed and ending":  {in(target), also(in(target, failed), func(s *batchv1.JobStatus) { s.Terminating = ptr.To[int32](1) }), nil, "status.terminating"},
		"uncounted and failed": {in(target), also(in(target, failed), func(s *batchv1.JobStatus) {
			s.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Failed: []types.UID{"a"}}
		}), nil, "status.uncountedTerminatedPods"},
		"an old fault does not block": {in(failed), also(in(failed), func(s *batchv1.JobStatus) { s.Failed = 1 }), nil, ""},
		"failed again runs":           {in(target, failed), in(), nil, "status.conditions status.conditions"},
		"met and failing":             {in(met), in(met, target), nil, "status.conditions"},
		"fewer failed":                {func(s *batchv1.JobStatus) { s.Failed = 2 }, func(s *batchv1.JobStatus) { s.Failed = 1 }, nil, "status.failed"},
		"fewer succeeded":             {func(s *batchv1.JobStatus) { s.Succeeded = 2 }, func(s *batchv1.JobStatus) { s.Succeeded = 1 }, nil, "status.succeeded"},
		"fewer succeeded of fewer": {func(s *batchv1.JobStatus) { s.Succeeded = 2 }, func(s *batchv1.JobStatus) { s.Succeeded = 1 },
			func(s *batchv1.JobSpec) { s.CompletionMode = ptr.To(batchv1.IndexedCompletion) }, ""},
		"more ready than active": {nothing, func(s *batchv1.JobStatus) { s.Ready = ptr.To[int32](1) }, nil, "status.ready"},
		"started anew":           {in(), func(s *batchv1.JobStatus) { s.StartTime = late }, nil, "status.startTime"},
		"suspended":              {in(), nothing, func(s *batchv1.JobSpec) { s.Suspend = new(true) }, ""},
		"indexes without":        {nothing, func(s *batchv1.JobStatus) { s.CompletedIndexes = "0" }, nil, "status.completedIndexes"},
		"failed and done with one": {nothing, func(s *batchv1.JobStatus) { s.CompletedIndexes, s.FailedIndexes = "0", new("0") },
			func(s *batchv1.JobSpec) {
				s.CompletionMode, s.BackoffLimitPerIndex = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](1)
			}, "status.failedIndexes"},
		"done, not by its policy": {in(), also(in(complete), func(s *batchv1.JobStatus) { s.CompletionTime = late }),
			func(s *batchv1.JobSpec) { s.SuccessPolicy = &batchv1.SuccessPolicy{} }, "status.conditions status.conditions"},
	} {
		t.Run(name, func(t *testing.T) {
			old := created(func(j *batchv1.Job) {
				if c.spec != nil {
					c.spec(&j.Spec)
				}
			})
			j := old.DeepCopy()
			c.was(&old.Status)
			c.is(&j.Status)
			if got := paths(validateJobStatus(context.Background(), j, old)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}
