package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// appArmorHint is what authors are told who still use the annotations.
const appArmorHint = `deprecated since v1.30; use the "appArmorProfile" field instead`

// AppArmorFromAnnotations writes the profiles that a new pod names in annotations, as was done before there was
// a field, into the fields of its containers, and answers what the author should be told of them. A profile
// that the pod as a whole has already is not repeated.
func AppArmorFromAnnotations(pod *corev1.Pod) []string {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return nil
	}
	var ofPod *corev1.AppArmorProfile
	if pod.Spec.SecurityContext != nil {
		ofPod = pod.Spec.SecurityContext.AppArmorProfile
	}
	w := &warner{}
	take := func(name string, sc **corev1.SecurityContext) {
		key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + name
		value, named := pod.Annotations[key]
		if !named || *sc != nil && (*sc).AppArmorProfile != nil {
			return
		}
		profile := appArmorOfAnnotation(value)
		if profile != nil && equality.Semantic.DeepEqual(profile, ofPod) {
			return
		}
		if profile != nil {
			if *sc == nil {
				*sc = &corev1.SecurityContext{}
			}
			(*sc).AppArmorProfile = profile
		}
		w.say(field.NewPath("metadata", "annotations").Key(key), appArmorHint)
	}
	for i := range pod.Spec.InitContainers {
		take(pod.Spec.InitContainers[i].Name, &pod.Spec.InitContainers[i].SecurityContext)
	}
	for i := range pod.Spec.Containers {
		take(pod.Spec.Containers[i].Name, &pod.Spec.Containers[i].SecurityContext)
	}
	for i := range pod.Spec.EphemeralContainers {
		take(pod.Spec.EphemeralContainers[i].Name, &pod.Spec.EphemeralContainers[i].SecurityContext)
	}
	return w.said
}

// appArmorOfAnnotation gives the profile that an annotation's value names, nil where it names none.
func appArmorOfAnnotation(value string) *corev1.AppArmorProfile {
	var profile *corev1.AppArmorProfile
	switch {
	case value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	case value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	case strings.HasPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix):
		name := strings.TrimPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix)
		profile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	}
	if profile == nil || len(appArmor(field.NewPath(""), profile)) > 0 {
		return nil
	}
	return profile
}

// appArmorAnnotation warns of a template's container that has its profile from an annotation alone, unless the pod's is
// the same.
func (w *warner) appArmorAnnotation(path *field.Path, annotations map[string]string, spec *corev1.PodSpec, c *corev1.Container) {
	key := corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + c.Name
	value, named := annotations[key]
	if !named || c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
		return
	}
	if p := spec.SecurityContext; p != nil && p.AppArmorProfile != nil && equality.Semantic.DeepEqual(p.AppArmorProfile, appArmorOfAnnotation(value)) {
		return
	}
	w.say(path.Key(key), appArmorHint)
}
