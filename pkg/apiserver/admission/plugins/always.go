package plugins

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// alwaysAdmit has nothing against anything.
func alwaysAdmit(*Config) admission.Plugin { return admission.Plugin{} }

// alwaysDeny refuses every write.
func alwaysDeny(*Config) admission.Plugin {
	deny := func(_ context.Context, a *admission.Attributes) error {
		return admission.Forbidden(a, errors.New("admission control is denying all modifications"))
	}
	return admission.Plugin{Admit: deny, Validate: deny}
}

// alwaysPullImages makes every container prove that its pod may use the image.
func alwaysPullImages(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: func(_ context.Context, a *admission.Attributes) error {
		pod, ok := a.Object.(*corev1.Pod)
		if !ok || !a.Is("", "pods", a.Subresource) || a.Subresource != "" && a.Subresource != "ephemeralcontainers" {
			return nil
		}
		for _, list := range []*[]corev1.Container{&pod.Spec.InitContainers, &pod.Spec.Containers} {
			*list = slices.Clone(*list)
			for i := range *list {
				(*list)[i].ImagePullPolicy = corev1.PullAlways
			}
		}
		pod.Spec.EphemeralContainers = slices.Clone(pod.Spec.EphemeralContainers)
		for i := range pod.Spec.EphemeralContainers {
			pod.Spec.EphemeralContainers[i].ImagePullPolicy = corev1.PullAlways
		}
		pod.Spec.Volumes = slices.Clone(pod.Spec.Volumes)
		for i := range pod.Spec.Volumes {
			if v := pod.Spec.Volumes[i].Image; v != nil {
				pod.Spec.Volumes[i].Image = &corev1.ImageVolumeSource{Reference: v.Reference, PullPolicy: corev1.PullAlways}
			}
		}
		return nil
	}}
}
