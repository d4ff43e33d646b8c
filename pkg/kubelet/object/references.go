package object

import (
	corev1 "k8s.io/api/core/v1"
)

// resource names one of the two resources: its path segment, and the word that people read in events
// (`configmap "x" not found`).
type resource struct{ plural, singular string }

var (
	configMaps = resource{"configmaps", "configmap"}
	secrets    = resource{"secrets", "secret"}
)

// key names one object.
type key struct {
	resource        resource
	namespace, name string
}

// references lists every ConfigMap and Secret that pod refers to: from the environment of all three kinds
// of containers, from volumes, and as credentials for its images.
func references(pod *corev1.Pod) map[key]bool {
	found := map[key]bool{}
	add := func(r resource, name string) {
		if name != "" {
			found[key{r, pod.Namespace, name}] = true
		}
	}
	for _, s := range pod.Spec.ImagePullSecrets {
		add(secrets, s.Name)
	}
	for _, c := range pod.Spec.InitContainers {
		fromEnvironment(c.Env, c.EnvFrom, add)
	}
	for _, c := range pod.Spec.Containers {
		fromEnvironment(c.Env, c.EnvFrom, add)
	}
	for _, c := range pod.Spec.EphemeralContainers {
		fromEnvironment(c.Env, c.EnvFrom, add)
	}
	for i := range pod.Spec.Volumes {
		fromVolume(&pod.Spec.Volumes[i], add)
	}
	return found
}

func fromEnvironment(env []corev1.EnvVar, from []corev1.EnvFromSource, add func(resource, string)) {
	for _, e := range env {
		if v := e.ValueFrom; v != nil && v.ConfigMapKeyRef != nil {
			add(configMaps, v.ConfigMapKeyRef.Name)
		}
		if v := e.ValueFrom; v != nil && v.SecretKeyRef != nil {
			add(secrets, v.SecretKeyRef.Name)
		}
	}
	for _, f := range from {
		if f.ConfigMapRef != nil {
			add(configMaps, f.ConfigMapRef.Name)
		}
		if f.SecretRef != nil {
			add(secrets, f.SecretRef.Name)
		}
	}
}

func fromVolume(v *corev1.Volume, add func(resource, string)) {
	switch {
	case v.ConfigMap != nil:
		add(configMaps, v.ConfigMap.Name)
	case v.Secret != nil:
		add(secrets, v.Secret.SecretName)
	case v.Projected != nil:
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil {
				add(configMaps, s.ConfigMap.Name)
			}
			if s.Secret != nil {
				add(secrets, s.Secret.Name)
			}
		}
	}
}
