package plugins

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// taintNodesByCondition keeps pods away from a new node until a controller has seen that it is ready.
func taintNodesByCondition(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(_ context.Context, a *admission.Attributes) error {
		node, ok := a.Object.(*corev1.Node)
		if !ok || !a.Is("", "nodes", "") {
			return nil
		}
		taint := corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule}
		if !slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) }) {
			node.Spec.Taints = append(node.Spec.Taints, taint)
		}
		return nil
	}}
}
