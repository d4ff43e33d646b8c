package autoscaling

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// Version v1 has a field for the utilization of the CPU. What else there is it shows in annotations, as JSON.
const (
	annotated         = "autoscaling.alpha.kubernetes.io/"
	metricsKey        = annotated + "metrics"
	currentMetricsKey = annotated + "current-metrics"
	conditionsKey     = annotated + "conditions"
	behaviorKey       = annotated + "behavior"
)

var oldKeys = []string{metricsKey, currentMetricsKey, conditionsKey, behaviorKey, annotated + "scale-down-tolerance", annotated + "scale-up-tolerance"}

// dropOldAnnotations takes away annotations that mean something only in version v1.
func dropOldAnnotations(m *metav1.ObjectMeta) {
	if !slices.ContainsFunc(oldKeys, func(key string) bool { _, has := m.Annotations[key]; return has }) {
		return
	}
	kept := maps.Clone(m.Annotations)
	for _, key := range oldKeys {
		delete(kept, key)
	}
	m.Annotations = kept
	if len(kept) == 0 {
		m.Annotations = nil
	}
}

// oldView shows autoscalers in version v1.
func oldView() resource.View[*autoscaler] {
	return resource.View[*autoscaler]{
		Kind:    autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
		New:     func() runtime.Object { return &autoscalingv1.HorizontalPodAutoscaler{} },
		NewList: func() runtime.Object { return &autoscalingv1.HorizontalPodAutoscalerList{} },
		From:    func(a *autoscaler) (runtime.Object, error) { return toOld(a) },
		To: func(o runtime.Object) (*autoscaler, error) {
			old, is := o.(*autoscalingv1.HorizontalPodAutoscaler)
			if !is {
				return nil, fmt.Errorf("reading an autoscaler of version v1: it is a %T", o)
			}
			return fromOld(old), nil
		},
		ShortNames: []string{"hpa"},
		Categories: []string{"all"},
	}
}

// utilization says whether a metric is the one that version v1 has a field for.
func utilization(m *autoscalingv2.MetricSpec) bool {
	return m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU &&
		m.Resource.Target.AverageUtilization != nil
}

func toOld(a *autoscaler) (*autoscalingv1.HorizontalPodAutoscaler, error) {
	out := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: a.ObjectMeta}
	dropOldAnnotations(&out.ObjectMeta)
	out.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(a.Spec.ScaleTargetRef), MinReplicas: a.Spec.MinReplicas, MaxReplicas: a.Spec.MaxReplicas,
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: a.Status.ObservedGeneration, LastScaleTime: a.Status.LastScaleTime,
		CurrentReplicas: a.Status.CurrentReplicas, DesiredReplicas: a.Status.DesiredReplicas,
	}
	var others []autoscalingv1.MetricSpec
	for i := range a.Spec.Metrics {
		m := &a.Spec.Metrics[i]
		if !utilization(m) {
			others = append(others, metricToOld(m))
		} else if out.Spec.TargetCPUUtilizationPercentage == nil {
			out.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	var current []autoscalingv1.MetricStatus
	for i := range a.Status.CurrentMetrics {
		m := &a.Status.CurrentMetrics[i]
		current = append(current, statusToOld(m))
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU && m.Resource.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = m.Resource.Current.AverageUtilization
		}
	}
	var conditions []autoscalingv1.HorizontalPodAutoscalerCondition
	for _, c := range a.Status.Conditions {
		conditions = append(conditions, autoscalingv1.HorizontalPodAutoscalerCondition{Type: autoscalingv1.HorizontalPodAutoscalerConditionType(c.Type),
			Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message})
	}
	for _, part := range []struct {
		key   string
		there bool
		value any
	}{
		{currentMetricsKey, len(current) > 0, current},
		{metricsKey, len(others) > 0, others},
		{behaviorKey, a.Spec.Behavior != nil, validation.GoNames(a.Spec.Behavior)},
		{conditionsKey, len(conditions) > 0, conditions},
	} {
		if !part.there {
			continue
		}
		if err := annotate(&out.ObjectMeta, part.key, part.value, a); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// annotate writes into a map of out's own: the stored object's is not changed.
func annotate(m *metav1.ObjectMeta, key string, value any, a *autoscaler) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("showing the autoscaler %s in version v1: %w", a.Name, err)
	}
	annotations := map[string]string{key: string(text)}
	maps.Copy(annotations, m.Annotations)
	m.Annotations = annotations
	return nil
}

// fromOld reads version v1. What is no JSON in an annotation is passed over, as if it were not there.
func fromOld(in *autoscalingv1.HorizontalPodAutoscaler) *autoscaler {
	out := &autoscaler{ObjectMeta: in.ObjectMeta}
	out.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(in.Spec.ScaleTargetRef), MinReplicas: in.Spec.MinReplicas, MaxReplicas: in.Spec.MaxReplicas,
	}
	out.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: in.Status.ObservedGeneration, LastScaleTime: in.Status.LastScaleTime,
		CurrentReplicas: in.Status.CurrentReplicas, DesiredReplicas: in.Status.DesiredReplicas,
	}
	if others, there := noted[[]autoscalingv1.MetricSpec](in, metricsKey); there {
		for i := range others {
			out.Spec.Metrics = append(out.Spec.Metrics, metricFromOld(&others[i]))
		}
	}
	if n := in.Spec.TargetCPUUtilizationPercentage; n != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, processor(*n))
	}
	if current, there := noted[[]autoscalingv1.MetricStatus](in, currentMetricsKey); there {
		for i := range current {
			out.Status.CurrentMetrics = append(out.Status.CurrentMetrics, statusFromOld(&current[i]))
		}
	} else if n := in.Status.CurrentCPUUtilizationPercentage; n != nil {
		out.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{
			Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: n}}}}
	}
	if behavior, there := noted[autoscalingv2.HorizontalPodAutoscalerBehavior](in, behaviorKey); there {
		out.Spec.Behavior = &behavior
	}
	if conditions, there := noted[[]autoscalingv2.HorizontalPodAutoscalerCondition](in, conditionsKey); there {
		out.Status.Conditions = conditions
	}
	dropOldAnnotations(&out.ObjectMeta)
	return out
}

// noted reads an annotation.
func noted[T any](in *autoscalingv1.HorizontalPodAutoscaler, key string) (value T, there bool) {
	text, there := in.Annotations[key]
	if !there || json.Unmarshal([]byte(text), &value) != nil {
		var none T
		return none, false
	}
	return value, true
}
