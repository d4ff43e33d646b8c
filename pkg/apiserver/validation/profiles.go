package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// profilesMatch holds a new pod, or a template, that names its profiles twice, in fields and in the annotations that
// were there before them, to say the same.
func profilesMatch(path *field.Path, annotations map[string]string, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	own := s.SecurityContext
	if own == nil {
		own = &corev1.PodSecurityContext{}
	}
	if value, named := annotations[corev1.SeccompPodAnnotationKey]; named {
		faults = append(faults, seccompMatches(path.Child("securityContext", "seccompProfile"), value, own.SeccompProfile)...)
	}
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		if value, named := annotations[corev1.SeccompContainerAnnotationKeyPrefix+c.Name]; named && c.SecurityContext != nil {
			faults = append(faults, seccompMatches(at.path().Child("securityContext", "seccompProfile"), value, c.SecurityContext.SeccompProfile)...)
		}
	})
	if s.OS != nil && s.OS.Name == corev1.Windows {
		return faults
	}
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		profile := own.AppArmorProfile
		if c.SecurityContext != nil && c.SecurityContext.AppArmorProfile != nil {
			profile = c.SecurityContext.AppArmorProfile
		}
		if value, named := annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]; named {
			faults = append(faults, appArmorMatches(at.path().Child("securityContext", "appArmorProfile"), value, profile)...)
		}
	})
	return faults
}

func seccompMatches(path *field.Path, value string, p *corev1.SeccompProfile) field.ErrorList {
	if p == nil {
		return nil
	}
	switch p.Type {
	case corev1.SeccompProfileTypeUnconfined:
		return matches(path, "seccomp", value == corev1.SeccompProfileNameUnconfined)
	case corev1.SeccompProfileTypeRuntimeDefault:
		return matches(path, "seccomp", value == corev1.SeccompProfileRuntimeDefault || value == corev1.DeprecatedSeccompProfileDockerDefault)
	case corev1.SeccompProfileTypeLocalhost:
		return localMatches(path, "seccomp", value, corev1.SeccompLocalhostProfileNamePrefix, p.LocalhostProfile)
	}
	return nil
}

func appArmorMatches(path *field.Path, value string, p *corev1.AppArmorProfile) field.ErrorList {
	if p == nil {
		return nil
	}
	switch p.Type {
	case corev1.AppArmorProfileTypeUnconfined:
		return matches(path, "apparmor", value == corev1.DeprecatedAppArmorBetaProfileNameUnconfined)
	case corev1.AppArmorProfileTypeRuntimeDefault:
		return matches(path, "apparmor", value == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault)
	case corev1.AppArmorProfileTypeLocalhost:
		return localMatches(path, "apparmor", value, corev1.DeprecatedAppArmorBetaProfileNamePrefix, p.LocalhostProfile)
	}
	return nil
}

func matches(path *field.Path, what string, same bool) field.ErrorList {
	if same {
		return nil
	}
	return field.ErrorList{field.Forbidden(path.Child("type"), what+" type in annotation and field must match")}
}

func localMatches(path *field.Path, what, value, prefix string, name *string) field.ErrorList {
	local, is := strings.CutPrefix(value, prefix)
	if is && (name == nil || local != *name) {
		return field.ErrorList{field.Forbidden(path.Child("localhostProfile"), what+" profile in annotation and field must match")}
	}
	return matches(path, what, is)
}
