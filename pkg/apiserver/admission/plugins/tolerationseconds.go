package plugins

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

const defaultTolerationSeconds = 300

// tolerationSeconds lets pods stay for a while on a node that has lost its health.
func tolerationSeconds(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !a.Is("", "pods", "") {
			return nil
		}
		tolerate(pod, corev1.TaintNodeNotReady, cfg.NotReadySeconds)
		tolerate(pod, corev1.TaintNodeUnreachable, cfg.UnreachableSeconds)
		return nil
	}}
}

func tolerate(pod *corev1.Pod, key string, seconds int64) {
	for _, t := range pod.Spec.Tolerations {
		if (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return
		}
	}
	pod.Spec.Tolerations = append(slices.Clip(pod.Spec.Tolerations), corev1.Toleration{
		Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds})
}
