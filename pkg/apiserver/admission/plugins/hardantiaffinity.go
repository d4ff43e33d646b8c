package plugins

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// hardAntiAffinity keeps pods from claiming more than a node for themselves: a required anti-affinity may speak of
// nodes by their host name only, for one of zones would shut others out of all of a zone.
func hardAntiAffinity(*Config) admission.Plugin {
	on := admission.On(admission.Create, admission.Update)
	return admission.Plugin{On: on, Validate: func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !a.Is("", "pods", "") || pod.Spec.Affinity == nil || pod.Spec.Affinity.PodAntiAffinity == nil {
			return nil
		}
		for _, term := range pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
			if term.TopologyKey != corev1.LabelHostname {
				return apierrors.NewForbidden(pods, pod.Name, fmt.Errorf(
					"affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey %v but only key %v is allowed",
					term.TopologyKey, corev1.LabelHostname))
			}
		}
		return nil
	}}
}
