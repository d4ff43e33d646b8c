// Package autoscaling declares the resources of the autoscaling group.
package autoscaling

import (
	"context"
	"fmt"
	"strconv"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
)

type autoscaler = autoscalingv2.HorizontalPodAutoscaler

// usualUtilization is the percentage of the CPU that pods asked for at which more are wanted, where nothing else is
// said.
const usualUtilization = 80

// HorizontalPodAutoscaler declares autoscalers, stored in version v2, and their view in version v1.
func HorizontalPodAutoscaler() *resource.Resource {
	doc := autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc()
	kind := autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")
	return resource.Define(resource.Definition[*autoscaler]{
		Kind:       kind,
		Plural:     "horizontalpodautoscalers",
		Singular:   "horizontalpodautoscaler",
		ShortNames: []string{"hpa"},
		Categories: []string{"all"},
		NewList:    func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscalerList{} },
		Default:    defaultAutoscaler,
		Prepare:    resource.KeepStatus(func(a *autoscaler) *autoscalingv2.HorizontalPodAutoscalerStatus { return &a.Status }),
		Validate:   validateAutoscaler,
		Reset:      []string{"status"},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Reference", doc["scaleTargetRef"]),
			column.Text("Targets", doc["metrics"]),
			column.Text("MinPods", doc["minReplicas"]),
			column.Text("MaxPods", doc["maxReplicas"]),
			column.Text("Replicas", autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()["currentReplicas"]),
			column.Age(),
		},
		Row: func(a *autoscaler) []any {
			least := "<unset>"
			if n := a.Spec.MinReplicas; n != nil {
				least = strconv.Itoa(int(*n))
			}
			return []any{a.Name, a.Spec.ScaleTargetRef.Kind + "/" + a.Spec.ScaleTargetRef.Name, targetsText(a.Spec.Metrics, a.Status.CurrentMetrics),
				least, int64(a.Spec.MaxReplicas), int64(a.Status.CurrentReplicas), column.Since(a.CreationTimestamp)}
		},
		Views: []resource.View[*autoscaler]{oldView()},
		Subresources: []resource.Subresource[*autoscaler]{
			resource.Status(kind, resource.UpdatePart[*autoscaler]{
				Prepare: resource.Keep(func(a, old *autoscaler) { a.Spec = old.Spec }),
				Validate: func(_ context.Context, a, _ *autoscaler) field.ErrorList {
					return workload.NotNegative(field.NewPath("status"),
						workload.Count{Name: "currentReplicas", Value: int64(a.Status.CurrentReplicas)},
						workload.Count{Name: "desiredReplicas", Value: int64(a.Status.DesiredReplicas)})
				},
			}),
		},
	})
}

func defaultAutoscaler(a *autoscaler) {
	dropOldAnnotations(&a.ObjectMeta)
	set(&a.Spec.MinReplicas, 1)
	if len(a.Spec.Metrics) == 0 {
		a.Spec.Metrics = []autoscalingv2.MetricSpec{processor(usualUtilization)}
	}
	if b := a.Spec.Behavior; b != nil {
		set(&b.ScaleUp, autoscalingv2.HPAScalingRules{})
		set(&b.ScaleDown, autoscalingv2.HPAScalingRules{})
		set(&b.ScaleUp.StabilizationWindowSeconds, 0)
		// The window of going down is the controller's own setting, where it is not said.
		defaultRules(b.ScaleUp, policy(autoscalingv2.PodsScalingPolicy, 4), policy(autoscalingv2.PercentScalingPolicy, 100))
		defaultRules(b.ScaleDown, policy(autoscalingv2.PercentScalingPolicy, 100))
	}
}

func defaultRules(r *autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	set(&r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if r.Policies == nil {
		r.Policies = policies
	}
}

func policy(kind autoscalingv2.HPAScalingPolicyType, value int32) autoscalingv2.HPAScalingPolicy {
	return autoscalingv2.HPAScalingPolicy{Type: kind, Value: value, PeriodSeconds: 15}
}

// processor is the metric of CPU by utilization, the one that version v1 has a field for.
func processor(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

// set points field at value where it points at nothing.
func set[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

// percent writes a utilization, or other where there is none.
func percent(n *int32, other string) string {
	if n == nil {
		return other
	}
	return fmt.Sprintf("%d%%", *n)
}
