package batch

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // zones are known though the machine has none installed

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
)

// longestCronJobName leaves room for the eleven characters of time that the names of its jobs end with.
const longestCronJobName = 52

// CronJob declares cron jobs.
func CronJob() *resource.Resource {
	doc, status := batchv1.CronJobSpec{}.SwaggerDoc(), batchv1.CronJobStatus{}.SwaggerDoc()
	kind := batchv1.SchemeGroupVersion.WithKind("CronJob")
	return resource.Define(resource.Definition[*batchv1.CronJob]{
		Kind:       kind,
		Plural:     "cronjobs",
		Singular:   "cronjob",
		ShortNames: []string{"cj"},
		Categories: []string{"all"},
		Default:    defaultCronJob,
		Prepare: func(_ context.Context, c, old *batchv1.CronJob) {
			c.Status = batchv1.CronJobStatus{}
			pod := &c.Spec.JobTemplate.Spec.Template.Spec
			if old == nil {
				validation.DropSwitchedOff(pod, nil)
				return
			}
			c.Status = *old.Status.DeepCopy()
			validation.DropSwitchedOff(pod, &old.Spec.JobTemplate.Spec.Template.Spec)
		},
		Validate: validateCronJob,
		Warn:     warnCronJob,
		Spec:     func(c *batchv1.CronJob) any { return &c.Spec },
		Reset:    []string{"status"},
		Columns: append([]metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Schedule", doc["schedule"]),
			column.Text("Timezone", doc["timeZone"]),
			column.Boolean("Suspend", doc["suspend"]),
			column.Integer("Active", status["active"]),
			column.Text("Last Schedule", status["lastScheduleTime"]),
			column.Age(),
		}, append(workload.ContainerColumns(1), column.Wide("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"]))...),
		Row: cronJobRow,
		Subresources: []resource.Subresource[*batchv1.CronJob]{
			resource.Status(kind, resource.UpdatePart[*batchv1.CronJob]{
				Prepare: resource.Keep(func(c, old *batchv1.CronJob) { c.Spec = old.Spec }),
			}),
		},
	})
}

func cronJobRow(c *batchv1.CronJob) []any {
	var last any = column.None
	zone, suspend := column.None, "<unset>"
	if c.Status.LastScheduleTime != nil {
		last = column.Since(*c.Status.LastScheduleTime)
	}
	if c.Spec.TimeZone != nil {
		zone = *c.Spec.TimeZone
	}
	if c.Spec.Suspend != nil {
		suspend = map[bool]string{true: "True", false: "False"}[*c.Spec.Suspend]
	}
	job := &c.Spec.JobTemplate.Spec
	names, images := workload.Containers(job.Template.Spec.Containers)
	return []any{c.Name, c.Spec.Schedule, zone, suspend, int64(len(c.Status.Active)), last, column.Since(c.CreationTimestamp),
		names, images, workload.SelectorText(job.Selector)}
}

func defaultCronJob(c *batchv1.CronJob) {
	defaultJobSpec(&c.Spec.JobTemplate.Spec)
	c.Spec.ConcurrencyPolicy = cmp.Or(c.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	set(&c.Spec.Suspend, false)
	set(&c.Spec.SuccessfulJobsHistoryLimit, 3)
	set(&c.Spec.FailedJobsHistoryLimit, 1)
}

func validateCronJob(ctx context.Context, c, old *batchv1.CronJob) field.ErrorList {
	path, s := field.NewPath("spec"), &c.Spec
	options := workload.Options(ctx, nil)
	var was *batchv1.CronJobSpec
	if old != nil {
		was = &old.Spec
		options = workload.Options(ctx, &was.JobTemplate.Spec.Template)
	}
	faults := schedule(path.Child("schedule"), s, was)
	if s.StartingDeadlineSeconds != nil {
		faults = append(faults, validation.NotNegative(path.Child("startingDeadlineSeconds"), *s.StartingDeadlineSeconds)...)
	}
	if zone := s.TimeZone; zone != nil && (was == nil || was.TimeZone == nil || *was.TimeZone != *zone) {
		faults = append(faults, timeZone(path.Child("timeZone"), *zone)...)
	}
	faults = append(faults, validation.OneOf(path.Child("concurrencyPolicy"), s.ConcurrencyPolicy,
		batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)...)
	faults = append(faults, jobTemplate(path.Child("jobTemplate", "spec"), &s.JobTemplate.Spec, options)...)
	if s.SuccessfulJobsHistoryLimit != nil {
		faults = append(faults, validation.NotNegative(path.Child("successfulJobsHistoryLimit"), *s.SuccessfulJobsHistoryLimit)...)
	}
	if s.FailedJobsHistoryLimit != nil {
		faults = append(faults, validation.NotNegative(path.Child("failedJobsHistoryLimit"), *s.FailedJobsHistoryLimit)...)
	}
	// Cron jobs of old with longer names may still be changed.
	if old == nil && len(c.Name) > longestCronJobName {
		faults = append(faults, field.Invalid(field.NewPath("metadata", "name"), c.Name, "must be no more than 52 characters"))
	}
	return faults
}

// jobTemplate judges the spec of jobs to come: their selectors are generated.
func jobTemplate(path *field.Path, s *batchv1.JobSpec, options validation.PodOptions) field.ErrorList {
	faults := jobSpec(path, s, options)
	if s.Selector != nil {
		faults = append(faults, field.Invalid(path.Child("selector"), s.Selector, "`selector` will be auto-generated"))
	}
	if s.ManualSelector != nil && *s.ManualSelector {
		faults = append(faults, field.NotSupported(path.Child("manualSelector"), *s.ManualSelector, []string{"nil", "false"}))
	}
	return faults
}

// schedule judges when jobs are made. A zone in it was never promised to work; a cron job that has one may
// keep it.
func schedule(path *field.Path, s, was *batchv1.CronJobSpec) field.ErrorList {
	if s.Schedule == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var faults field.ErrorList
	if err := parseSchedule(s.Schedule); err != nil {
		faults = append(faults, field.Invalid(path, s.Schedule, err.Error()))
	}
	switch had := was != nil && strings.Contains(was.Schedule, "TZ"); {
	case !strings.Contains(s.Schedule, "TZ"):
	case !had:
		faults = append(faults, field.Invalid(path, s.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
	case s.TimeZone != nil:
		faults = append(faults, field.Invalid(path, s.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	}
	return faults
}

// parseSchedule refuses a zone with nothing after it before the parser sees it, which would panic.
func parseSchedule(text string) error {
	zoned := strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=")
	if zoned && !strings.Contains(text, " ") {
		return fmt.Errorf("expected exactly 5 fields, found 0: []")
	}
	_, err := cron.ParseStandard(text)
	return err
}

// zonePart is what stands between the slashes of a zone's name.
var zonePart = regexp.MustCompile(`^[A-Za-z._0-9+][A-Za-z._0-9+-]{0,13}$`)

func timeZone(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Invalid(path, name, "timeZone must be nil or non-empty string")}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "." || part == ".." || !zonePart.MatchString(part) {
			return field.ErrorList{field.Invalid(path, name, "unknown time zone "+name)}
		}
	}
	var faults field.ErrorList
	if strings.EqualFold(name, "Local") {
		faults = append(faults, field.Invalid(path, name, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := time.LoadLocation(name); err != nil {
		faults = append(faults, field.Invalid(path, name, err.Error()))
	}
	return faults
}

func warnCronJob(_ context.Context, c, old *batchv1.CronJob) []string {
	var said []string
	if old == nil {
		said = workload.NameWarnings(c.Name)
	}
	if old == nil || old.Generation != c.Generation {
		said = append(said, jobSpecWarnings(field.NewPath("spec", "jobTemplate", "spec"), &c.Spec.JobTemplate.Spec)...)
	}
	if strings.Contains(c.Spec.Schedule, "TZ") {
		said = append(said, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "+
			"see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
	return said
}
