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

const (
	mostFailureRules = 20
	mostExitCodes    = 255
	mostPatterns     = 20
	mostSuccessRules = 20
	longestIndexes   = 64 * 1024
)

var (
	failureActions = []batchv1.PodFailurePolicyAction{batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex,
		batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore}
	exitCodeOperators = []batchv1.PodFailurePolicyOnExitCodesOperator{batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn}
	conditionStatuses = []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
)

func failurePolicy(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	rules := s.PodFailurePolicy.Rules
	at := path.Child("rules")
	faults := atMost(at, len(rules), mostFailureRules)
	var names []string
	for _, c := range append(slices.Clone(s.Template.Spec.Containers), s.Template.Spec.InitContainers...) {
		names = append(names, c.Name)
	}
	for i := range rules {
		faults = append(faults, failureRule(at.Index(i), &rules[i], names, s.BackoffLimitPerIndex != nil)...)
	}
	return faults
}

func atMost(path *field.Path, n, most int) field.ErrorList {
	if n <= most {
		return nil
	}
	return field.ErrorList{field.TooMany(path, n, most)}
}

// named refuses a value that is missing, with those that there are, or that is none of them.
func named[T ~string](path *field.Path, value T, supported []T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, fmt.Sprintf("valid values: %q", supported))}
	}
	return validation.OneOf(path, value, supported...)
}

func failureRule(path *field.Path, r *batchv1.PodFailurePolicyRule, containers []string, perIndex bool) field.ErrorList {
	faults := named(path.Child("action"), r.Action, failureActions)
	if r.Action == batchv1.PodFailurePolicyActionFailIndex && !perIndex {
		faults = append(faults, field.Invalid(path.Child("action"), r.Action, "requires the backoffLimitPerIndex to be set"))
	}
	if r.OnExitCodes != nil {
		faults = append(faults, exitCodes(path.Child("onExitCodes"), r.OnExitCodes, containers)...)
	}
	if len(r.OnPodConditions) > 0 {
		faults = append(faults, podConditions(path.Child("onPodConditions"), r.OnPodConditions)...)
	}
	switch codes, conditions := r.OnExitCodes != nil, len(r.OnPodConditions) > 0; {
	case codes && conditions:
		faults = append(faults, field.Invalid(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
	case !codes && !conditions:
		faults = append(faults, field.Invalid(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
	}
	return faults
}

func exitCodes(path *field.Path, e *batchv1.PodFailurePolicyOnExitCodesRequirement, containers []string) field.ErrorList {
	faults := named(path.Child("operator"), e.Operator, exitCodeOperators)
	if c := e.ContainerName; c != nil && !slices.Contains(containers, *c) {
		faults = append(faults, field.Invalid(path.Child("containerName"), *c, "must be one of the container or initContainer names in the pod template"))
	}
	at := path.Child("values")
	if len(e.Values) == 0 {
		faults = append(faults, field.Invalid(at, e.Values, "at least one value is required"))
	}
	faults = append(faults, atMost(at, len(e.Values), mostExitCodes)...)
	seen := map[int32]bool{}
	for i, code := range e.Values {
		if code == 0 && e.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			faults = append(faults, field.Invalid(at.Index(i), code, "must not be 0 for the In operator"))
		}
		if seen[code] {
			faults = append(faults, field.Duplicate(at.Index(i), code))
		}
		seen[code] = true
	}
	if !slices.IsSorted(e.Values) {
		faults = append(faults, field.Invalid(at, e.Values, "must be ordered"))
	}
	return faults
}

func podConditions(path *field.Path, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) field.ErrorList {
	faults := atMost(path, len(patterns), mostPatterns)
	for i, p := range patterns {
		faults = append(faults, validation.Invalid(path.Index(i).Child("type"), string(p.Type), utilvalidation.IsQualifiedName(string(p.Type)))...)
		faults = append(faults, named(path.Index(i).Child("status"), p.Status, conditionStatuses)...)
	}
	return faults
}

func successPolicy(path *field.Path, s *batchv1.JobSpec) field.ErrorList {
	rules := s.SuccessPolicy.Rules
	at := path.Child("rules")
	var faults field.ErrorList
	if len(rules) == 0 {
		faults = append(faults, field.Required(at, "at least one rules must be specified when the successPolicy is specified"))
	}
	faults = append(faults, atMost(at, len(rules), mostSuccessRules)...)
	var completions int32 // a job without has its own fault
	if s.Completions != nil {
		completions = *s.Completions
	}
	for i, r := range rules {
		faults = append(faults, successRule(at.Index(i), r, completions)...)
	}
	return faults
}

func successRule(path *field.Path, r batchv1.SuccessPolicyRule, completions int32) field.ErrorList {
	var faults field.ErrorList
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		faults = append(faults, field.Required(path, "at least one of succeededCount or succeededIndexes must be specified"))
	}
	var named int32
	if text := r.SucceededIndexes; text != nil {
		at := path.Child("succeededIndexes")
		if len(*text) > longestIndexes {
			faults = append(faults, field.TooLong(at, *text, longestIndexes))
		}
		list, err := parseIndexes(*text, completions)
		if err != nil {
			faults = append(faults, field.Invalid(at, *text, "error parsing succeededIndexes: "+err.Error()))
		}
		named = list.count()
	}
	if n := r.SucceededCount; n != nil {
		at := path.Child("succeededCount")
		faults = append(faults, validation.NotNegative(at, *n)...)
		if *n > completions {
			faults = append(faults, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
		}
		if r.SucceededIndexes != nil && *n > named {
			faults = append(faults, field.Invalid(at, *n, fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", named)))
		}
	}
	return faults
}
