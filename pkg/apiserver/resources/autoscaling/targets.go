package autoscaling

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

// shownTargets is how many metrics stand in a table's cell.
const shownTargets = 2

// targetsText sets what is measured against what is wanted, metric by metric: statuses stand at the place of
// their metric.
func targetsText(metrics []autoscalingv2.MetricSpec, statuses []autoscalingv2.MetricStatus) string {
	if len(metrics) == 0 {
		return column.None
	}
	var texts []string
	for i := range metrics[:min(len(metrics), shownTargets)] {
		var status autoscalingv2.MetricStatus
		if i < len(statuses) {
			status = statuses[i]
		}
		texts = append(texts, targetText(&metrics[i], &status))
	}
	text := strings.Join(texts, ", ")
	if more := len(metrics) - shownTargets; more > 0 {
		text += fmt.Sprintf(" + %d more...", more)
	}
	return text
}

func targetText(m *autoscalingv2.MetricSpec, s *autoscalingv2.MetricStatus) string {
	switch m.Type {
	case autoscalingv2.ExternalMetricSourceType:
		var now *autoscalingv2.MetricValueStatus
		if s.External != nil {
			now = &s.External.Current
		}
		return valueText(&m.External.Target, now)
	case autoscalingv2.ObjectMetricSourceType:
		var now *autoscalingv2.MetricValueStatus
		if s.Object != nil {
			now = &s.Object.Current
		}
		return valueText(&m.Object.Target, now)
	case autoscalingv2.PodsMetricSourceType:
		current := column.Unknown
		if s.Pods != nil {
			current = s.Pods.Current.AverageValue.String()
		}
		return current + "/" + m.Pods.Target.AverageValue.String()
	case autoscalingv2.ResourceMetricSourceType:
		var now *autoscalingv2.MetricValueStatus
		if s.Resource != nil {
			now = &s.Resource.Current
		}
		return m.Resource.Name.String() + ": " + resourceText(&m.Resource.Target, now)
	case autoscalingv2.ContainerResourceMetricSourceType:
		var now *autoscalingv2.MetricValueStatus
		if s.ContainerResource != nil {
			now = &s.ContainerResource.Current
		}
		return m.ContainerResource.Name.String() + ": " + resourceText(&m.ContainerResource.Target, now)
	}
	return "<unknown type>"
}

func valueText(target *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := column.Unknown
	if target.AverageValue != nil {
		if now != nil && now.AverageValue != nil {
			current = now.AverageValue.String()
		}
		return current + "/" + target.AverageValue.String() + " (avg)"
	}
	if now != nil {
		current = now.Value.String()
	}
	return current + "/" + target.Value.String()
}

func resourceText(target *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := column.Unknown
	if target.AverageValue != nil {
		if now != nil {
			current = now.AverageValue.String()
		}
		return current + "/" + target.AverageValue.String()
	}
	if now != nil {
		current = percent(now.AverageUtilization, current)
	}
	return current + "/" + percent(target.AverageUtilization, "<auto>")
}
