package plugins

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// extendedResourceToleration lets a pod that asks for a device onto the nodes that are kept for it.
func extendedResourceToleration(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !a.Is("", "pods", "") {
			return nil
		}
		asked := map[string]bool{}
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				for name := range list[i].Resources.Requests {
					if isExtended(string(name)) {
						asked[string(name)] = true
					}
				}
			}
		}
		for _, key := range slices.Sorted(maps.Keys(asked)) {
			t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
			if !slices.ContainsFunc(pod.Spec.Tolerations, func(have corev1.Toleration) bool { return have.MatchToleration(&t) }) {
				pod.Spec.Tolerations = append(slices.Clip(pod.Spec.Tolerations), t)
			}
		}
		return nil
	}}
}

// isExtended says whether a resource is neither the project's own nor a quota's.
func isExtended(name string) bool {
	domain, _, ok := strings.Cut(name, "/")
	return ok && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io") && !strings.HasPrefix(name, "requests.")
}
