package autoscaling

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// oneOf refuses a value, the empty one too, that is not among those supported.
func oneOf[T ~string](at *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, supported)}
}

func metrics(at *field.Path, s *autoscalingv2.HorizontalPodAutoscalerSpec, objects version) field.ErrorList {
	var faults field.ErrorList
	outside := false // something is measured though there are no pods
	for i := range s.Metrics {
		m := &s.Metrics[i]
		faults = append(faults, metric(at.Index(i), m, objects)...)
		outside = outside || m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
	}
	if *s.MinReplicas == 0 && !outside {
		faults = append(faults, field.Forbidden(at, "must specify at least one Object or External metric to support scaling to zero replicas"))
	}
	return faults
}

// source is one of the ways to measure: set where a metric has it.
type source struct {
	kind  autoscalingv2.MetricSourceType
	name  string
	set   bool
	judge func(at *field.Path) field.ErrorList
}

func sources(m *autoscalingv2.MetricSpec, objects version) []source {
	return []source{
		{autoscalingv2.ObjectMetricSourceType, "object", m.Object != nil, func(at *field.Path) field.ErrorList { return objectSource(at, m.Object, objects) }},
		{autoscalingv2.ExternalMetricSourceType, "external", m.External != nil, func(at *field.Path) field.ErrorList { return externalSource(at, m.External) }},
		{autoscalingv2.PodsMetricSourceType, "pods", m.Pods != nil, func(at *field.Path) field.ErrorList { return podsSource(at, m.Pods) }},
		{autoscalingv2.ResourceMetricSourceType, "resource", m.Resource != nil, func(at *field.Path) field.ErrorList {
			return resourceSource(at, m.Resource.Name, &m.Resource.Target)
		}},
		{autoscalingv2.ContainerResourceMetricSourceType, "containerResource", m.ContainerResource != nil, func(at *field.Path) field.ErrorList {
			return containerSource(at, m.ContainerResource)
		}},
	}
}

// metric judges a metric's one source. A type that there is not is told twice, as by kube-apiserver.
func metric(at *field.Path, m *autoscalingv2.MetricSpec, objects version) field.ErrorList {
	all := sources(m, objects)
	var faults field.ErrorList
	if m.Type == "" {
		faults = append(faults, field.Required(at.Child("type"), "must specify a metric source type"))
	}
	unknown := oneOf(at.Child("type"), m.Type, autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
		autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)
	faults = append(faults, unknown...)
	var present []source
	for _, s := range all {
		if s.set {
			present = append(present, s)
		}
	}
	if len(present) > 0 {
		faults = append(faults, present[0].judge(at.Child(present[0].name))...)
	}
	faults = append(faults, unknown...)
	for _, s := range all {
		if s.kind == m.Type && !s.set {
			faults = append(faults, field.Required(at.Child(s.name), "must populate information for the given metric source"))
		}
	}
	for _, s := range present {
		if len(present) > 1 && s.kind != m.Type {
			faults = append(faults, field.Forbidden(at.Child(s.name), "must populate the given metric source only"))
		}
	}
	return faults
}

func objectSource(at *field.Path, o *autoscalingv2.ObjectMetricSource, v version) field.ErrorList {
	faults := reference(at.Child("describedObject"), o.DescribedObject, v)
	faults = append(faults, segment(at.Child("metric", "name"), o.Metric.Name, "must specify a metric name")...)
	faults = append(faults, target(at.Child("target"), &o.Target)...)
	if o.Target.Value == nil && o.Target.AverageValue == nil {
		faults = append(faults, field.Required(at.Child("target", "averageValue"), "must set either a target value or averageValue"))
	}
	return faults
}

func externalSource(at *field.Path, e *autoscalingv2.ExternalMetricSource) field.ErrorList {
	faults := segment(at.Child("metric", "name"), e.Metric.Name, "must specify a metric name")
	faults = append(faults, target(at.Child("target"), &e.Target)...)
	switch value, average := e.Target.Value != nil, e.Target.AverageValue != nil; {
	case !value && !average:
		faults = append(faults, field.Required(at.Child("target", "averageValue"), "must set either a target value for metric or a per-pod target"))
	case value && average:
		faults = append(faults, field.Forbidden(at.Child("target", "value"), "may not set both a target value for metric and a per-pod target"))
	}
	return faults
}

func podsSource(at *field.Path, p *autoscalingv2.PodsMetricSource) field.ErrorList {
	faults := segment(at.Child("metric", "name"), p.Metric.Name, "must specify a metric name")
	faults = append(faults, target(at.Child("target"), &p.Target)...)
	if p.Target.AverageValue == nil {
		faults = append(faults, field.Required(at.Child("target", "averageValue"), "must specify a positive target averageValue"))
	}
	return faults
}

func containerSource(at *field.Path, c *autoscalingv2.ContainerResourceMetricSource) field.ErrorList {
	var faults field.ErrorList
	if c.Name == "" {
		faults = append(faults, field.Required(at.Child("name"), "must specify a resource name"))
	} else {
		faults = append(faults, validation.ContainerResourceName(at.Child("name"), c.Name)...)
	}
	if c.Container == "" {
		faults = append(faults, field.Required(at.Child("container"), "must specify a container"))
	} else {
		faults = append(faults, validation.DNSLabel(at.Child("container"), c.Container)...)
	}
	return append(faults, resourceTarget(at.Child("target"), &c.Target)...)
}

func resourceSource(at *field.Path, name corev1.ResourceName, t *autoscalingv2.MetricTarget) field.ErrorList {
	var faults field.ErrorList
	if name == "" {
		faults = append(faults, field.Required(at.Child("name"), "must specify a resource name"))
	}
	return append(faults, resourceTarget(at.Child("target"), t)...)
}

func resourceTarget(at *field.Path, t *autoscalingv2.MetricTarget) field.ErrorList {
	faults := target(at, t)
	switch utilization, value := t.AverageUtilization != nil, t.AverageValue != nil; {
	case !utilization && !value:
		faults = append(faults, field.Required(at.Child("averageUtilization"), "must set either a target raw value or a target utilization"))
	case utilization && value:
		faults = append(faults, field.Forbidden(at.Child("averageValue"), "may not set both a target raw value and a target utilization"))
	}
	return faults
}

func target(at *field.Path, t *autoscalingv2.MetricTarget) field.ErrorList {
	var faults field.ErrorList
	if t.Type == "" {
		faults = append(faults, field.Required(at.Child("type"), "must specify a metric target type"))
	}
	if t.Type != autoscalingv2.UtilizationMetricType && t.Type != autoscalingv2.ValueMetricType && t.Type != autoscalingv2.AverageValueMetricType {
		faults = append(faults, field.Invalid(at.Child("type"), t.Type, "must be either Utilization, Value, or AverageValue"))
	}
	if t.Value != nil && t.Value.Sign() != 1 {
		faults = append(faults, field.Invalid(at.Child("value"), t.Value, "must be positive"))
	}
	if t.AverageValue != nil && t.AverageValue.Sign() != 1 {
		faults = append(faults, field.Invalid(at.Child("averageValue"), t.AverageValue, "must be positive"))
	}
	if n := t.AverageUtilization; n != nil && *n < 1 {
		faults = append(faults, field.Invalid(at.Child("averageUtilization"), *n, "must be greater than 0"))
	}
	return faults
}
