package batch

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// created is a job as it stands after its creation, changed by f before.
func created(f func(*batchv1.Job)) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j", Namespace: "ns", UID: "u"}}
	j.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	if f != nil {
		f(j)
	}
	defaultJob(j)
	prepareJob(context.Background(), j, nil)
	inheritLabels(j)
	return j
}

// paths are those of the faults, in order.
func paths(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field)
	}
	return strings.Join(list, " ")
}

func indexedJobOf(completions, parallelism int32) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		j.Spec.Completions, j.Spec.Parallelism = new(completions), new(parallelism)
	}
}

func TestJobsAreJudgedOnCreation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*batchv1.Job)
		want   string
	}{
		"smallest":                 {nil, ""},
		"indexed without a number": {func(j *batchv1.Job) { indexedJobOf(1, 1)(j); j.Spec.Completions = nil }, "spec.completions"},
		"most parallel":            {indexedJobOf(1, mostParallelIndexed), ""},
		"too parallel":             {indexedJobOf(1, mostParallelIndexed+1), "spec.parallelism"},
		"many, not by index":       {indexedJobOf(manyCompletions+1, mostParallelOfMany+1), ""},
		"many by index": {func(j *batchv1.Job) {
			indexedJobOf(manyCompletions+1, mostParallelOfMany)(j)
			j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = ptr.To[int32](1), ptr.To[int32](mostFailedOfMany)
		}, ""},
		"too many by index": {func(j *batchv1.Job) {
			indexedJobOf(manyCompletions+1, mostParallelOfMany+1)(j)
			j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = ptr.To[int32](1), ptr.To[int32](mostFailedOfMany+1)
		}, "spec.parallelism spec.maxFailedIndexes"},
		"limits of an index without indexes": {func(j *batchv1.Job) {
			j.Spec.BackoffLimitPerIndex, j.Spec.MaxFailedIndexes = ptr.To[int32](1), ptr.To[int32](1)
		}, "spec.backoffLimitPerIndex spec.maxFailedIndexes"},
		"longest managedBy": {func(j *batchv1.Job) { j.Spec.ManagedBy = new("a.io/" + strings.Repeat("b", 58)) }, ""},
		"long managedBy":    {func(j *batchv1.Job) { j.Spec.ManagedBy = new("a.io/" + strings.Repeat("b", 59)) }, "spec.managedBy"},
		"always":            {func(j *batchv1.Job) { j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyAlways }, "spec.template.spec.restartPolicy"},
		"room for the last index": {func(j *batchv1.Job) {
			indexedJobOf(10, 1)(j)
			j.Name = strings.Repeat("n", 61)
		}, ""},
		"no room for the last index": {func(j *batchv1.Job) {
			indexedJobOf(11, 1)(j)
			j.Name = strings.Repeat("n", 61)
		}, "metadata.name"},
		"a label of another job": {func(j *batchv1.Job) { j.Spec.Template.Labels = map[string]string{oldNameLabel: "other"} },
			"spec.template.metadata.labels[job-name]"},
		"own selector": {func(j *batchv1.Job) {
			j.Spec.ManualSelector, j.Spec.Selector = new(true), &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
			j.Spec.Template.Labels = map[string]string{"a": "b"}
		}, ""},
		"policy of failures and OnFailure": {func(j *batchv1.Job) {
			j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{}
			j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
		}, "spec.template.spec.restartPolicy"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := paths(validateJob(context.Background(), created(c.change), nil)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

func TestFailureRulesAreJudged(t *testing.T) {
	codes := func(op batchv1.PodFailurePolicyOnExitCodesOperator, container *string, values ...int32) batchv1.PodFailurePolicyRule {
		return batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionFailJob,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{Operator: op, ContainerName: container, Values: values}}
	}
	const in, notIn = batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn
	up := func(n int) (list []int32) {
		for i := range n {
			list = append(list, int32(i+1))
		}
		return list
	}
	for name, c := range map[string]struct {
		rule batchv1.PodFailurePolicyRule
		want string
	}{
		"codes":              {codes(in, new("c"), 1, 2), ""},
		"most codes":         {codes(in, nil, up(mostExitCodes)...), ""},
		"too many codes":     {codes(in, nil, up(mostExitCodes+1)...), "onExitCodes.values"},
		"no codes":           {codes(in, nil), "onExitCodes.values"},
		"zero in":            {codes(in, nil, 0), "onExitCodes.values[0]"},
		"zero not in":        {codes(notIn, nil, 0), ""},
		"twice":              {codes(in, nil, 1, 1), "onExitCodes.values[1]"},
		"no order":           {codes(in, nil, 2, 1), "onExitCodes.values"},
		"another container":  {codes(in, new("d"), 1), "onExitCodes.containerName"},
		"no operator":        {codes("", nil, 1), "onExitCodes.operator"},
		"nothing":            {batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionIgnore}, ""},
		"one index, no such": {batchv1.PodFailurePolicyRule{Action: batchv1.PodFailurePolicyActionFailIndex}, "action "},
	} {
		t.Run(name, func(t *testing.T) {
			j := created(func(j *batchv1.Job) {
				j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{c.rule}}
			})
			var want []string
			for p := range strings.SplitSeq(c.want, " ") {
				want = append(want, strings.TrimSuffix("spec.podFailurePolicy.rules[0]."+p, "."))
			}
			expected := strings.Join(want, " ")
			if c.want == "" && c.rule.OnExitCodes != nil {
				expected = ""
			}
			if got := paths(validateJob(context.Background(), j, nil)); got != expected {
				t.Errorf("faults at %q, want %q", got, expected)
			}
		})
	}
}

func TestIndexesAreRead(t *testing.T) {
	for text, want := range map[string]struct {
		count int32
		err   string
	}{
		"":      {0, ""},
		"0-2,4": {4, ""},
		"5":     {0, `too large index: "5"`},
		"3,3":   {0, "non-increasing order, previous: 3, current: 3"},
		"2-2":   {0, "non-increasing order, previous: 2, current: 2"},
		"1-2-3": {0, `the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`},
		"a":     {0, `cannot convert string to integer for index: "a"`},
	} {
		list, err := parseIndexes(text, 5)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want.err || list.count() != want.count {
			t.Errorf("%q: %d indexes, %q; want %d, %q", text, list.count(), got, want.count, want.err)
		}
	}
	for _, c := range []struct {
		one, two string
		at       int
		both     bool
	}{{"0-3", "3", 3, true}, {"0-2", "3", 0, false}, {"0,5-7", "x,6-9", 6, true}, {"", "1", 0, false}} {
		if at, both := overlap(c.one, c.two, 10); at != c.at || both != c.both {
			t.Errorf("%q and %q overlap at %d: %v", c.one, c.two, at, both)
		}
	}
}

func TestALabelOfTheTemplateIsOneOfTheJobThatHasNone(t *testing.T) {
	generated := map[string]string{"controller-uid": "u", "job-name": "j", batchv1.ControllerUidLabel: "u", batchv1.JobNameLabel: "j"}
	own := map[string]string{"a": "b", "controller-uid": "u", "job-name": "j", batchv1.ControllerUidLabel: "u", batchv1.JobNameLabel: "j"}
	for name, c := range map[string]struct{ job, template, want map[string]string }{
		"none":                {nil, nil, generated},
		"the template's":      {nil, map[string]string{"a": "b"}, own},
		"of both and alike":   {map[string]string{"a": "b"}, map[string]string{"a": "b"}, map[string]string{"a": "b"}},
		"the job's, no other": {map[string]string{"c": "d"}, nil, map[string]string{"c": "d"}},
	} {
		j := created(func(j *batchv1.Job) { j.Labels, j.Spec.Template.Labels = c.job, c.template })
		if diff := cmp.Diff(c.want, j.Labels); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", name, diff)
		}
	}
}

func TestOnlySuspendedJobsWithoutPodsChangeTheirTemplate(t *testing.T) {
	bigger := func(j *batchv1.Job) {
		j.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: {}}
	}
	elsewhere := func(j *batchv1.Job) {
		j.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"}
		j.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{}}
	}
	another := func(j *batchv1.Job) { j.Spec.Template.Spec.Containers[0].Image = "j" }
	suspended := func(j *batchv1.Job) { j.Spec.Suspend = new(true) }
	started := func(j *batchv1.Job) { suspended(j); j.Status.StartTime = &metav1.Time{} }
	stopped := func(j *batchv1.Job) {
		started(j)
		j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}
	}
	stopping := func(j *batchv1.Job) { stopped(j); j.Status.Active = 1 }
	for name, c := range map[string]struct {
		state, change func(*batchv1.Job)
		want          string
	}{
		"never started, elsewhere": {suspended, elsewhere, ""},
		"never started, bigger":    {suspended, bigger, ""},
		"never started, another":   {suspended, another, "spec.template.spec"},
		"running":                  {func(*batchv1.Job) {}, elsewhere, "spec.template"},
		"started":                  {started, bigger, "spec.template"},
		"stopped":                  {stopped, bigger, ""},
		"stopping":                 {stopping, elsewhere, "spec.template"},
	} {
		old := created(nil)
		c.state(old)
		j := old.DeepCopy()
		c.change(j)
		if got := paths(validateJob(context.Background(), j, old)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestASchedulesZoneIsRefusedAndNeverPanics(t *testing.T) {
	for text, want := range map[string]int{
		"@daily": 0, "*/5 * * * *": 0, "x": 1, "TZ=UTC": 2, "CRON_TZ=": 2, "TZ=UTC 0 0 * * *": 1, "": 1,
	} {
		faults := schedule(field.NewPath("schedule"), &batchv1.CronJobSpec{Schedule: text}, nil)
		if len(faults) != want {
			t.Errorf("%q: %v, want %d faults", text, faults, want)
		}
	}
	kept := &batchv1.CronJobSpec{Schedule: "TZ=UTC 0 0 * * *"}
	if faults := schedule(field.NewPath("schedule"), kept, kept); len(faults) > 0 {
		t.Errorf("a zone that stood before is refused: %v", faults)
	}
	for name, good := range map[string]bool{"Europe/Berlin": true, "Etc/GMT+1": true, "local": false, "": false, "../etc": false, "-a": false, "Mars/Olympus": false} {
		if faults := timeZone(field.NewPath("timeZone"), name); (len(faults) == 0) != good {
			t.Errorf("zone %q: %v", name, faults)
		}
	}
}

func TestAZoneThatStandsInAScheduleIsWarnedOf(t *testing.T) {
	const told = "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, " +
		"see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
	for schedule, want := range map[string]string{"@daily": "", "TZ=UTC 0 0 * * *": told, "CRON_TZ=UTC 0 0 * * *": told} {
		c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: batchv1.CronJobSpec{Schedule: schedule}}
		if got := strings.Join(warnCronJob(context.Background(), c, c), "\n"); got != want {
			t.Errorf("%q: %q, want %q", schedule, got, want)
		}
	}
}
