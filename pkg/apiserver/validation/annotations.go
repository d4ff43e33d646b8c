package validation

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podAnnotations judges the annotations by which the system itself acts on pods.
func podAnnotations(path *field.Path, annotations map[string]string, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	if value, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && s.NodeName == "" {
		faults = append(faults, field.Invalid(path.Key(corev1.MirrorPodAnnotationKey), value, "must set spec.nodeName if mirror pod annotation is set"))
	}
	if annotations["scheduler.alpha.kubernetes.io/tolerations"] != "" {
		faults = append(faults, tolerationsAnnotation(path, annotations)...)
	}
	if !options.DeletionCost && deletionCost(annotations) != nil {
		faults = append(faults, field.Invalid(path.Key(corev1.PodDeletionCost), annotations[corev1.PodDeletionCost], "must be a 32bit integer"))
	}
	faults = append(faults, seccompAnnotations(path, annotations)...)
	return append(faults, appArmorAnnotations(path, annotations, s)...)
}

func tolerationsAnnotation(path *field.Path, annotations map[string]string) field.ErrorList {
	const key = "scheduler.alpha.kubernetes.io/tolerations"
	var list []corev1.Toleration
	if err := json.Unmarshal([]byte(annotations[key]), &list); err != nil {
		return field.ErrorList{field.Invalid(path, key, err.Error())}
	}
	return Tolerations(path.Child(key), list)
}

// seccompAnnotations judges the profiles that were named before they had a field.
func seccompAnnotations(path *field.Path, annotations map[string]string) field.ErrorList {
	var faults field.ErrorList
	judge := func(key string) {
		value := annotations[key]
		local, isLocal := strings.CutPrefix(value, corev1.SeccompLocalhostProfileNamePrefix)
		switch {
		case isLocal:
			faults = append(faults, localDescendingPath(path.Child(key), local)...)
		case value == corev1.SeccompProfileRuntimeDefault, value == corev1.DeprecatedSeccompProfileDockerDefault, value == corev1.SeccompProfileNameUnconfined:
		default:
			faults = append(faults, field.Invalid(path.Child(key), value, "must be a valid seccomp profile"))
		}
	}
	for _, key := range sets.List(sets.KeySet(annotations)) {
		if key == corev1.SeccompPodAnnotationKey || strings.HasPrefix(key, corev1.SeccompContainerAnnotationKeyPrefix) {
			judge(key)
		}
	}
	return faults
}

func appArmorAnnotations(path *field.Path, annotations map[string]string, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	for _, key := range sets.List(sets.KeySet(annotations)) {
		name, is := strings.CutPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix)
		if !is {
			continue
		}
		found := false
		eachContainer(nil, s, func(_ containerAt, c *corev1.Container) { found = found || c.Name == name })
		if !found {
			faults = append(faults, field.Invalid(path.Key(key), name, "container not found"))
		}
		switch value := annotations[key]; {
		case value == "", value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault, value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined,
			strings.HasPrefix(value, corev1.DeprecatedAppArmorBetaProfileNamePrefix):
		default:
			faults = append(faults, field.Invalid(path.Key(key), value, fmt.Sprintf("invalid AppArmor profile name: %q", value)))
		}
	}
	return faults
}

// deletionCost reads the annotation that ranks pods when a ReplicaSet shrinks: a 32-bit number without a
// leading plus or zeros.
func deletionCost(annotations map[string]string) error {
	text, set := annotations[corev1.PodDeletionCost]
	if !set {
		return nil
	}
	if len(text) > 1 && (text[0] == '+' || text[0] == '0') {
		return strconv.ErrSyntax
	}
	_, err := strconv.ParseInt(text, 10, 32)
	return err
}
