package autoscaling

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// made is an autoscaler with its defaults, changed by f before.
func made(f func(*autoscaler)) *autoscaler {
	a := &autoscaler{}
	a.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d"}
	a.Spec.MaxReplicas = 3
	if f != nil {
		f(a)
	}
	defaultAutoscaler(a)
	return a
}

func quantity(text string) *resource.Quantity { return new(resource.MustParse(text)) }

func paths(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, strings.TrimPrefix(f.Field, "spec."))
	}
	return strings.Join(list, " ")
}

func TestAutoscalersAreJudged(t *testing.T) {
	external := autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: "q"}, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: quantity("1")}}}
	down := func(r autoscalingv2.HPAScalingRules) func(*autoscaler) {
		return func(a *autoscaler) { a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &r} }
	}
	byPolicy := func(value, period int32) func(*autoscaler) {
		return down(autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: value, PeriodSeconds: period}}})
	}
	for name, c := range map[string]struct {
		change func(*autoscaler)
		old    *autoscaler
		want   string
	}{
		"smallest":        {nil, nil, ""},
		"most as least":   {func(a *autoscaler) { a.Spec.MinReplicas = ptr.To[int32](3) }, nil, ""},
		"least over most": {func(a *autoscaler) { a.Spec.MinReplicas = ptr.To[int32](4) }, nil, "maxReplicas"},
		"none at all":     {func(a *autoscaler) { a.Spec.MinReplicas = ptr.To[int32](0) }, nil, "minReplicas metrics"},
		"none, as before": {func(a *autoscaler) {
			a.Spec.MinReplicas, a.Spec.Metrics = ptr.To[int32](0), []autoscalingv2.MetricSpec{external}
		}, made(func(a *autoscaler) { a.Spec.MinReplicas = ptr.To[int32](0) }), ""},
		"no group": {func(a *autoscaler) { a.Spec.ScaleTargetRef.APIVersion = "v1" }, nil, "scaleTargetRef.apiVersion"},
		"no group, as before": {func(a *autoscaler) { a.Spec.ScaleTargetRef.APIVersion = "v1" },
			made(func(a *autoscaler) { a.Spec.ScaleTargetRef.APIVersion = "v1" }), ""},
		"a replication controller": {func(a *autoscaler) {
			a.Spec.ScaleTargetRef.APIVersion, a.Spec.ScaleTargetRef.Kind = "v1", "ReplicationController"
		}, nil, ""},
		"no version":     {func(a *autoscaler) { a.Spec.ScaleTargetRef.APIVersion = "a/b/c" }, nil, "scaleTargetRef.apiVersion"},
		"longest window": {down(autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](longestWindow)}), nil, ""},
		"long window":    {down(autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](longestWindow + 1)}), nil, "behavior.scaleDown.stabilizationWindowSeconds"},
		"longest period": {byPolicy(1, longestPeriod), nil, ""},
		"long period":    {byPolicy(1, longestPeriod+1), nil, "behavior.scaleDown.policies[0].periodSeconds"},
		"no change":      {byPolicy(0, 1), nil, "behavior.scaleDown.policies[0].value"},
		"no tolerance":   {down(autoscalingv2.HPAScalingRules{Tolerance: quantity("0")}), nil, ""},
		"below none":     {down(autoscalingv2.HPAScalingRules{Tolerance: quantity("-1m")}), nil, "behavior.scaleDown.tolerance"},
		"two sources": {func(a *autoscaler) {
			m := processor(1)
			m.External = external.External
			a.Spec.Metrics = []autoscalingv2.MetricSpec{m}
		}, nil, "metrics[0].external"},
		"both values": {func(a *autoscaler) {
			m := *external.DeepCopy()
			m.External.Target.AverageValue = quantity("1")
			a.Spec.Metrics = []autoscalingv2.MetricSpec{m}
		}, nil, "metrics[0].external.target.value"},
		"nothing used": {func(a *autoscaler) { a.Spec.Metrics = []autoscalingv2.MetricSpec{processor(0)} }, nil, "metrics[0].resource.target.averageUtilization"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := paths(validateAutoscaler(context.Background(), made(c.change), c.old)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

// everything has each kind of metric and of status, and all else that version v1 has no field for.
func everything() *autoscaler {
	const value, average = autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	ref := autoscalingv2.CrossVersionObjectReference{APIVersion: "g/v1", Kind: "K", Name: "n"}
	return made(func(a *autoscaler) {
		a.Annotations = map[string]string{"mine": "kept", metricsKey: "dropped"}
		a.Spec.Metrics = []autoscalingv2.MetricSpec{
			{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricSource{DescribedObject: ref,
				Metric: autoscalingv2.MetricIdentifier{Name: "m", Selector: selector}, Target: autoscalingv2.MetricTarget{Type: value, Value: quantity("5")}}},
			{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "m"},
				Target: autoscalingv2.MetricTarget{Type: average, AverageValue: quantity("6")}}},
			{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceMemory,
				Target: autoscalingv2.MetricTarget{Type: average, AverageValue: quantity("7")}}},
			{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: corev1.ResourceCPU,
				Container: "c", Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](8)}}},
			{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "m", Selector: selector},
				Target: autoscalingv2.MetricTarget{Type: average, AverageValue: quantity("9")}}},
			processor(10),
		}
		a.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{Tolerance: quantity("50m")}}
		a.Status = autoscalingv2.HorizontalPodAutoscalerStatus{ObservedGeneration: ptr.To[int64](1), CurrentReplicas: 2, DesiredReplicas: 3,
			Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: autoscalingv2.AbleToScale, Status: corev1.ConditionTrue, Reason: "R"}},
			CurrentMetrics: []autoscalingv2.MetricStatus{
				{Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricStatus{DescribedObject: ref,
					Metric: autoscalingv2.MetricIdentifier{Name: "m"}, Current: autoscalingv2.MetricValueStatus{Value: quantity("5")}}},
				{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: "m"},
					Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("6")}}},
				{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{Name: corev1.ResourceCPU,
					Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("7"), AverageUtilization: ptr.To[int32](70)}}},
				{Type: autoscalingv2.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: corev1.ResourceCPU,
					Container: "c", Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("8")}}},
				{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricStatus{Metric: autoscalingv2.MetricIdentifier{Name: "m"},
					Current: autoscalingv2.MetricValueStatus{Value: quantity("0"), AverageValue: quantity("9")}}},
			}}
	})
}

func TestVersionOneLosesNothing(t *testing.T) {
	a := everything()
	before := a.DeepCopy()
	old, err := toOld(a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, a); diff != "" {
		t.Errorf("showing it changed it:\n%s", diff)
	}
	if n := old.Spec.TargetCPUUtilizationPercentage; n == nil || *n != 10 {
		t.Errorf("utilization %v, want 10", n)
	}
	if n := old.Status.CurrentCPUUtilizationPercentage; n == nil || *n != 70 {
		t.Errorf("current utilization %v, want 70", n)
	}
	back := fromOld(old.DeepCopy())
	defaultAutoscaler(back)
	if diff := cmp.Diff(a, back); diff != "" {
		t.Errorf("stored (-), read from version v1 (+):\n%s", diff)
	}
}

func TestNoJSONInAnAnnotationIsNothing(t *testing.T) {
	old := &autoscalingv1.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
		metricsKey: "x", currentMetricsKey: "x", conditionsKey: "x", behaviorKey: "x"}}}
	if diff := cmp.Diff(&autoscaler{}, fromOld(old)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestATablesCellSetsWhatIsAgainstWhatIsWanted(t *testing.T) {
	a := everything()
	var got []string
	for i := range a.Spec.Metrics {
		got = append(got, targetsText(a.Spec.Metrics[i:i+1], nil))
	}
	want := "[<unknown>/5 <unknown>/6 memory: <unknown>/7 cpu: <unknown>/8% <unknown>/9 (avg) cpu: <unknown>/10%]"
	if text := fmt.Sprint(got); text != want {
		t.Errorf("got %s, want %s", text, want)
	}
	if text := targetsText(a.Spec.Metrics, a.Status.CurrentMetrics); text != "5/5, 6/6 + 4 more..." {
		t.Errorf("got %s", text)
	}
	if text := targetsText(nil, nil); text != "<none>" {
		t.Errorf("got %s", text)
	}
}
