package autoscaling

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	longestPeriod = 1800
	longestWindow = 3600
)

// version says what a reference may leave out of its apiVersion.
type version struct {
	// coreGroup: the group of an object may be the one without a name.
	coreGroup bool
	// any: it is not judged at all.
	any bool
}

func (v version) judge(at *field.Path, text string) field.ErrorList {
	if v.any {
		return nil
	}
	gv, err := schema.ParseGroupVersion(text)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(at, text, err.Error())}
	case gv.Group == "" && !v.coreGroup:
		return field.ErrorList{field.Invalid(at, text, "apiVersion must specify API group")}
	}
	return nil
}

func validateAutoscaler(_ context.Context, a, old *autoscaler) field.ErrorList {
	at, s := field.NewPath("spec"), &a.Spec
	least := int32(1)
	// Of what has an API group of its own, only replication controllers have none.
	target := version{coreGroup: s.ScaleTargetRef.Kind == "ReplicationController"}
	objects := version{coreGroup: true}
	if old != nil {
		was := &old.Spec
		if was.MinReplicas != nil && *was.MinReplicas == 0 {
			least = 0
		}
		target.any = was.ScaleTargetRef.APIVersion == s.ScaleTargetRef.APIVersion && was.ScaleTargetRef.Kind == s.ScaleTargetRef.Kind
		for _, m := range was.Metrics {
			if m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil && len(objects.judge(at, m.Object.DescribedObject.APIVersion)) > 0 {
				objects.any = true
			}
		}
	}
	faults := replicas(at, s, least)
	faults = append(faults, reference(at.Child("scaleTargetRef"), s.ScaleTargetRef, target)...)
	faults = append(faults, metrics(at.Child("metrics"), s, objects)...)
	if b := s.Behavior; b != nil {
		faults = append(faults, scalingRules(at.Child("behavior", "scaleUp"), b.ScaleUp)...)
		faults = append(faults, scalingRules(at.Child("behavior", "scaleDown"), b.ScaleDown)...)
	}
	return faults
}

func replicas(at *field.Path, s *autoscalingv2.HorizontalPodAutoscalerSpec, least int32) field.ErrorList {
	var faults field.ErrorList
	if n := *s.MinReplicas; n < least {
		faults = append(faults, field.Invalid(at.Child("minReplicas"), n, fmt.Sprintf("must be greater than or equal to %d", least)))
	}
	most := at.Child("maxReplicas")
	switch {
	case s.MaxReplicas == 0:
		faults = append(faults, field.Required(most, "must be set and greater than 0"))
	case s.MaxReplicas < 0:
		faults = append(faults, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to 1"))
	}
	if s.MaxReplicas < *s.MinReplicas {
		faults = append(faults, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
	}
	return faults
}

func reference(at *field.Path, r autoscalingv2.CrossVersionObjectReference, v version) field.ErrorList {
	faults := segment(at.Child("kind"), r.Kind, "")
	faults = append(faults, segment(at.Child("name"), r.Name, "")...)
	return append(faults, v.judge(at.Child("apiVersion"), r.APIVersion)...)
}

// segment judges a name that stands in paths; missing is what is said where there is none.
func segment(at *field.Path, name, missing string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, missing)}
	}
	var faults field.ErrorList
	for _, text := range path.IsValidPathSegmentName(name) {
		faults = append(faults, field.Invalid(at, name, text))
	}
	return faults
}

func scalingRules(at *field.Path, r *autoscalingv2.HPAScalingRules) field.ErrorList {
	if r == nil {
		return nil
	}
	var faults field.ErrorList
	if n := r.StabilizationWindowSeconds; n != nil {
		window := at.Child("stabilizationWindowSeconds")
		if *n < 0 {
			faults = append(faults, field.Invalid(window, *n, "must be greater than or equal to zero"))
		}
		if *n > longestWindow {
			faults = append(faults, field.Invalid(window, *n, fmt.Sprintf("must be less than or equal to %d", longestWindow)))
		}
	}
	if p := r.SelectPolicy; p != nil {
		faults = append(faults, oneOf(at.Child("selectPolicy"), *p,
			autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)...)
	}
	if len(r.Policies) == 0 {
		faults = append(faults, field.Required(at.Child("policies"), "must specify at least one Policy"))
	}
	for i, p := range r.Policies {
		faults = append(faults, scalingPolicy(at.Child("policies").Index(i), p)...)
	}
	if r.Tolerance != nil && r.Tolerance.Sign() < 0 {
		faults = append(faults, field.Invalid(at.Child("tolerance"), r.Tolerance.String(), apivalidation.IsNegativeErrorMsg))
	}
	return faults
}

func scalingPolicy(at *field.Path, p autoscalingv2.HPAScalingPolicy) field.ErrorList {
	faults := oneOf(at.Child("type"), p.Type, autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)
	if p.Value <= 0 {
		faults = append(faults, field.Invalid(at.Child("value"), p.Value, "must be greater than zero"))
	}
	if p.PeriodSeconds <= 0 {
		faults = append(faults, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, "must be greater than zero"))
	}
	if p.PeriodSeconds > longestPeriod {
		faults = append(faults, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", longestPeriod)))
	}
	return faults
}
