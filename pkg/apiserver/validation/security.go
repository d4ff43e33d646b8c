package validation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	sysctlMaxLength = 253
	sysctlFormat    = `^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`
)

var sysctlName = regexp.MustCompile(sysctlFormat)

// securityContext judges one container's.
func securityContext(path *field.Path, sc *corev1.SecurityContext, hostUsers *bool, options PodOptions) field.ErrorList {
	if sc == nil {
		return nil
	}
	var faults field.ErrorList
	if isTrue(sc.Privileged) && options.Unprivileged {
		faults = append(faults, field.Forbidden(path.Child("privileged"), "disallowed by cluster policy"))
	}
	faults = append(faults, userID(path.Child("runAsUser"), sc.RunAsUser)...)
	faults = append(faults, groupID(path.Child("runAsGroup"), sc.RunAsGroup)...)
	if sc.ProcMount != nil {
		faults = append(faults, OneOfAny(path.Child("procMount"), *sc.ProcMount, corev1.DefaultProcMount, corev1.UnmaskedProcMount)...)
		if *sc.ProcMount == corev1.UnmaskedProcMount && (hostUsers == nil || *hostUsers) {
			faults = append(faults, field.Invalid(path.Child("procMount"), *sc.ProcMount, "`hostUsers` must be false to use `Unmasked`"))
		}
	}
	faults = append(faults, seccomp(path.Child("seccompProfile"), sc.SeccompProfile)...)
	if sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation {
		if isTrue(sc.Privileged) {
			faults = append(faults, field.Invalid(path, GoNames(sc), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
		}
		if sc.Capabilities != nil && slices.Contains(sc.Capabilities.Add, "CAP_SYS_ADMIN") {
			faults = append(faults, field.Invalid(path, GoNames(sc), "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"))
		}
	}
	faults = append(faults, windowsOptions(path.Child("windowsOptions"), sc.WindowsOptions)...)
	return append(faults, appArmor(path.Child("appArmorProfile"), sc.AppArmorProfile)...)
}

func userID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return Invalid(path, *id, utilvalidation.IsValidUserID(*id))
}

func groupID(path *field.Path, id *int64) field.ErrorList {
	if id == nil {
		return nil
	}
	return Invalid(path, *id, utilvalidation.IsValidGroupID(*id))
}

func seccomp(path *field.Path, p *corev1.SeccompProfile) field.ErrorList {
	if p == nil {
		return nil
	}
	var faults field.ErrorList
	if p.Type == "" {
		faults = append(faults, field.Required(path.Child("type"), "type is required when seccompProfile is set"))
	} else {
		faults = OneOfAny(path.Child("type"), p.Type, corev1.SeccompProfileTypeLocalhost, corev1.SeccompProfileTypeRuntimeDefault, corev1.SeccompProfileTypeUnconfined)
	}
	at := path.Child("localhostProfile")
	switch {
	case p.Type == corev1.SeccompProfileTypeLocalhost && p.LocalhostProfile == nil:
		faults = append(faults, field.Required(at, "must be set when seccomp type is Localhost"))
	case p.Type == corev1.SeccompProfileTypeLocalhost:
		faults = append(faults, localDescendingPath(at, *p.LocalhostProfile)...)
	case p.LocalhostProfile != nil:
		faults = append(faults, field.Invalid(at, GoNames(p), "can only be set when seccomp type is Localhost"))
	}
	return faults
}

func appArmor(path *field.Path, p *corev1.AppArmorProfile) field.ErrorList {
	if p == nil {
		return nil
	}
	at := path.Child("localhostProfile")
	switch p.Type {
	case corev1.AppArmorProfileTypeLocalhost:
		return localAppArmor(at, p.LocalhostProfile)
	case corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined:
		if p.LocalhostProfile != nil {
			return field.ErrorList{field.Invalid(at, *p.LocalhostProfile, "can only be set when AppArmor type is Localhost")}
		}
		return nil
	case "":
		return field.ErrorList{field.Required(path.Child("type"), "type is required when appArmorProfile is set")}
	default:
		return OneOfAny(path.Child("type"), p.Type, corev1.AppArmorProfileTypeLocalhost,
			corev1.AppArmorProfileTypeRuntimeDefault, corev1.AppArmorProfileTypeUnconfined)
	}
}

func localAppArmor(path *field.Path, name *string) field.ErrorList {
	const maxLength = 4095 // of a path in Linux
	if name == nil || *name == "" {
		return field.ErrorList{field.Required(path, "must be set when AppArmor type is Localhost")}
	}
	var faults field.ErrorList
	if strings.TrimSpace(*name) != *name {
		faults = append(faults, field.Invalid(path, *name, "must not be padded with whitespace"))
	}
	if len(*name) > maxLength {
		faults = append(faults, field.TooLong(path, *name, maxLength))
	}
	return faults
}

// podSecurity judges what holds for all containers of a pod. spec is the path of the pod's spec.
func podSecurity(spec *field.Path, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	path := spec.Child("securityContext")
	sc := s.SecurityContext
	if sc == nil {
		return nil
	}
	var faults field.ErrorList
	faults = append(faults, groupID(path.Child("fsGroup"), sc.FSGroup)...)
	faults = append(faults, userID(path.Child("runAsUser"), sc.RunAsUser)...)
	faults = append(faults, groupID(path.Child("runAsGroup"), sc.RunAsGroup)...)
	for i, id := range sc.SupplementalGroups {
		faults = append(faults, groupID(path.Child("supplementalGroups").Index(i), &id)...)
	}
	if isTrue(s.ShareProcessNamespace) && s.HostPID {
		faults = append(faults, field.Invalid(path.Child("shareProcessNamespace"), true, "ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	faults = append(faults, sysctls(path.Child("sysctls"), sc.Sysctls, s, options)...)
	if sc.FSGroupChangePolicy != nil {
		faults = append(faults, OneOfAny(path.Child("fsGroupChangePolicy"), *sc.FSGroupChangePolicy, corev1.FSGroupChangeAlways, corev1.FSGroupChangeOnRootMismatch)...)
	}
	faults = append(faults, seccomp(path.Child("seccompProfile"), sc.SeccompProfile)...)
	faults = append(faults, windowsOptions(path.Child("windowsOptions"), sc.WindowsOptions)...)
	faults = append(faults, appArmor(path.Child("appArmorProfile"), sc.AppArmorProfile)...)
	if sc.SupplementalGroupsPolicy != nil {
		faults = append(faults, OneOfAny(path.Child("supplementalGroupsPolicy"), *sc.SupplementalGroupsPolicy,
			corev1.SupplementalGroupsPolicyMerge, corev1.SupplementalGroupsPolicyStrict)...)
	}
	if sc.SELinuxChangePolicy != nil {
		known := []corev1.PodSELinuxChangePolicy{corev1.SELinuxChangePolicyRecursive}
		if options.SELinuxPolicy {
			known = []corev1.PodSELinuxChangePolicy{corev1.SELinuxChangePolicyMountOption, corev1.SELinuxChangePolicyRecursive}
		}
		faults = append(faults, OneOfAny(path.Child("seLinuxChangePolicy"), *sc.SELinuxChangePolicy, known...)...)
	}
	return faults
}

func sysctls(path *field.Path, list []corev1.Sysctl, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	seen := map[string]bool{}
	for i, c := range list {
		at := path.Index(i).Child("name")
		// Both separators name the same setting.
		name := normalSysctl(c.Name)
		switch {
		case c.Name == "":
			faults = append(faults, field.Required(at, ""))
		case len(c.Name) > sysctlMaxLength || !sysctlName.MatchString(c.Name):
			faults = append(faults, field.Invalid(at, c.Name, fmt.Sprintf("must have at most %d characters and match regex %s", sysctlMaxLength, sysctlFormat)))
		case seen[c.Name]:
			faults = append(faults, field.Duplicate(at, c.Name))
		}
		if !options.NamespacedSysctls {
			if s.HostNetwork && strings.HasPrefix(name, "net.") {
				faults = append(faults, field.Invalid(at, c.Name, "may not be specified when 'hostNetwork' is true"))
			}
			if s.HostIPC && isIPCSysctl(name) {
				faults = append(faults, field.Invalid(at, c.Name, "may not be specified when 'hostIPC' is true"))
			}
		}
		seen[c.Name] = true
	}
	return faults
}

func normalSysctl(name string) string {
	if first := strings.IndexAny(name, "./"); first < 0 || name[first] == '.' {
		return name
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, name)
}

func isIPCSysctl(name string) bool {
	for _, prefix := range []string{"kernel.shm", "kernel.msg", "fs.mqueue."} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return name == "kernel.sem"
}

// hostNetworkPorts holds ports of pods on the host's network to their own number. Those of init containers are let be.
func hostNetworkPorts(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	if !s.HostNetwork {
		return nil
	}
	var faults field.ErrorList
	for i := range s.Containers {
		for j, p := range s.Containers[i].Ports {
			if p.HostPort != 0 && p.HostPort != p.ContainerPort {
				faults = append(faults, field.Invalid(path.Child("containers").Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return faults
}

// hostUsers refuses a user namespace of one's own beside the host's other namespaces, and devices, whose owners cannot be
// mapped into it.
func hostUsers(path *field.Path, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	if s.HostUsers == nil || *s.HostUsers {
		return nil
	}
	var faults field.ErrorList
	forbid := func(at *field.Path, name string, found bool) {
		if found {
			faults = append(faults, field.Forbidden(at.Child(name), "when `hostUsers` is false"))
		}
	}
	forbid(path, "hostNetwork", s.HostNetwork && !options.OwnUsersOnHostNetwork)
	forbid(path, "HostPID", s.HostPID)
	forbid(path, "HostIPC", s.HostIPC)
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		if len(c.VolumeDevices) > 0 {
			forbid(at.path(), "volumeDevices", !options.OwnUsersWithDevices)
		}
	})
	return faults
}
