package runtime

import (
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// What a container with the default procMount does not see, and does not change, of /proc and /sys.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// namespaces are those that a pod's containers share with each other, and with the node.
func namespaces(p *corev1.Pod) *cri.NamespaceOption {
	o := &cri.NamespaceOption{Network: cri.NamespacePod, Pid: cri.NamespaceContainer, Ipc: cri.NamespacePod}
	if p.Spec.HostNetwork {
		o.Network = cri.NamespaceNode
	}
	if p.Spec.ShareProcessNamespace != nil && *p.Spec.ShareProcessNamespace {
		o.Pid = cri.NamespacePod
	}
	if p.Spec.HostPID {
		o.Pid = cri.NamespaceNode
	}
	if p.Spec.HostIPC {
		o.Ipc = cri.NamespaceNode
	}
	return o
}

func (m *Manager) sandboxSecurity(p *corev1.Pod) *cri.LinuxSandboxSecurity {
	out := &cri.LinuxSandboxSecurity{
		NamespaceOptions: namespaces(p), Privileged: anyPrivileged(p),
		Seccomp: &cri.SecurityProfile{ProfileType: cri.ProfileRuntimeDefault},
	}
	if sc := p.Spec.SecurityContext; sc != nil {
		if sc.RunAsUser != nil {
			out.RunAsUser = &cri.Int64Value{Value: *sc.RunAsUser}
		}
		if sc.RunAsGroup != nil && sc.RunAsUser != nil { // the runtime takes no group without a user
			out.RunAsGroup = &cri.Int64Value{Value: *sc.RunAsGroup}
		}
		out.SupplementalGroups = groups(sc)
		out.SelinuxOptions = selinux(sc.SELinuxOptions)
	}
	return out
}

func anyPrivileged(p *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			if privileged(&list[i]) {
				return true
			}
		}
	}
	return false
}

func privileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

func groups(sc *corev1.PodSecurityContext) []int64 {
	out := append([]int64(nil), sc.SupplementalGroups...)
	if sc.FSGroup != nil {
		out = append(out, *sc.FSGroup)
	}
	return out
}

func selinux(o *corev1.SELinuxOptions) *cri.SELinuxOption {
	if o == nil {
		return nil
	}
	return &cri.SELinuxOption{User: o.User, Role: o.Role, Type: o.Type, Level: o.Level}
}

// effective is a container's security context with the pod's where it does not say.
func effective(p *corev1.Pod, c *corev1.Container) corev1.SecurityContext {
	var out corev1.SecurityContext
	if c.SecurityContext != nil {
		out = *c.SecurityContext
	}
	sc := p.Spec.SecurityContext
	if sc == nil {
		return out
	}
	out.RunAsUser, out.RunAsGroup = or(out.RunAsUser, sc.RunAsUser), or(out.RunAsGroup, sc.RunAsGroup)
	out.RunAsNonRoot, out.SELinuxOptions = or(out.RunAsNonRoot, sc.RunAsNonRoot), or(out.SELinuxOptions, sc.SELinuxOptions)
	out.SeccompProfile, out.AppArmorProfile = or(out.SeccompProfile, sc.SeccompProfile), or(out.AppArmorProfile, sc.AppArmorProfile)
	return out
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// containerSecurity translates a container's security context. It fails where the container must not run as
// root and would, or might.
func (m *Manager) containerSecurity(p *corev1.Pod, c *corev1.Container, image *cri.Image, target string) (*cri.LinuxContainerSecurity, error) {
	sc := effective(p, c)
	if err := verifyNonRoot(p, c, &sc, image); err != nil {
		return nil, err
	}
	out := &cri.LinuxContainerSecurity{
		NamespaceOptions: namespaces(p), Privileged: privileged(c), SelinuxOptions: selinux(sc.SELinuxOptions),
		ReadonlyRootfs: sc.ReadOnlyRootFilesystem != nil && *sc.ReadOnlyRootFilesystem,
		NoNewPrivs:     sc.AllowPrivilegeEscalation != nil && !*sc.AllowPrivilegeEscalation,
		Seccomp:        m.seccomp(&sc, privileged(c)),
	}
	if target != "" {
		out.NamespaceOptions.Pid, out.NamespaceOptions.TargetId = cri.NamespaceTarget, target
	}
	setUser(out, &sc, image)
	if p.Spec.SecurityContext != nil {
		out.SupplementalGroups = groups(p.Spec.SecurityContext)
	}
	if sc.Capabilities != nil {
		out.Capabilities = &cri.Capability{AddCapabilities: names(sc.Capabilities.Add), DropCapabilities: names(sc.Capabilities.Drop)}
	}
	if sc.ProcMount == nil || *sc.ProcMount == corev1.DefaultProcMount {
		out.MaskedPaths, out.ReadonlyPaths = maskedPaths, readonlyPaths
	}
	out.Apparmor = apparmor(p, c, &sc)
	return out, nil
}

func names(list []corev1.Capability) []string {
	out := make([]string, len(list))
	for i, c := range list {
		out[i] = string(c)
	}
	return out
}

func setUser(out *cri.LinuxContainerSecurity, sc *corev1.SecurityContext, image *cri.Image) {
	switch {
	case sc.RunAsUser != nil:
		out.RunAsUser = &cri.Int64Value{Value: *sc.RunAsUser}
	case image.GetUid() != nil:
		out.RunAsUser = &cri.Int64Value{Value: image.GetUid().GetValue()}
	default:
		out.RunAsUsername = image.GetUsername()
	}
	if sc.RunAsGroup != nil {
		out.RunAsGroup = &cri.Int64Value{Value: *sc.RunAsGroup}
	}
}

func verifyNonRoot(p *corev1.Pod, c *corev1.Container, sc *corev1.SecurityContext, image *cri.Image) error {
	if sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot {
		return nil
	}
	where := fmt.Sprintf("(pod: %q, container: %s)", name(p), c.Name)
	switch {
	case sc.RunAsUser != nil && *sc.RunAsUser == 0:
		return fmt.Errorf("container's runAsUser breaks non-root policy %s", where)
	case sc.RunAsUser != nil:
		return nil
	case image.GetUid() == nil && image.GetUsername() != "":
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root %s", image.GetUsername(), where)
	case image.GetUid().GetValue() == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root %s", where)
	}
	return nil
}

func (m *Manager) seccomp(sc *corev1.SecurityContext, privileged bool) *cri.SecurityProfile {
	profile := sc.SeccompProfile
	switch {
	case profile == nil && m.SeccompByDefault && !privileged:
		return &cri.SecurityProfile{ProfileType: cri.ProfileRuntimeDefault}
	case profile == nil, profile.Type == corev1.SeccompProfileTypeUnconfined:
		return &cri.SecurityProfile{ProfileType: cri.ProfileUnconfined}
	case profile.Type == corev1.SeccompProfileTypeLocalhost && profile.LocalhostProfile != nil:
		return &cri.SecurityProfile{ProfileType: cri.ProfileLocalhost, LocalhostRef: filepath.Join(m.SeccompDir, *profile.LocalhostProfile)}
	}
	return &cri.SecurityProfile{ProfileType: cri.ProfileRuntimeDefault}
}

// apparmor is the profile of the fields, or of the older annotation; nil leaves it to the runtime.
func apparmor(p *corev1.Pod, c *corev1.Container, sc *corev1.SecurityContext) *cri.SecurityProfile {
	if a := sc.AppArmorProfile; a != nil {
		switch {
		case a.Type == corev1.AppArmorProfileTypeUnconfined:
			return &cri.SecurityProfile{ProfileType: cri.ProfileUnconfined}
		case a.Type == corev1.AppArmorProfileTypeLocalhost && a.LocalhostProfile != nil:
			return &cri.SecurityProfile{ProfileType: cri.ProfileLocalhost, LocalhostRef: *a.LocalhostProfile}
		}
		return &cri.SecurityProfile{ProfileType: cri.ProfileRuntimeDefault}
	}
	switch a := p.Annotations[corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix+c.Name]; {
	case a == corev1.DeprecatedAppArmorBetaProfileNameUnconfined:
		return &cri.SecurityProfile{ProfileType: cri.ProfileUnconfined}
	case a == corev1.DeprecatedAppArmorBetaProfileRuntimeDefault:
		return &cri.SecurityProfile{ProfileType: cri.ProfileRuntimeDefault}
	case len(a) > len(corev1.DeprecatedAppArmorBetaProfileNamePrefix):
		return &cri.SecurityProfile{ProfileType: cri.ProfileLocalhost, LocalhostRef: a[len(corev1.DeprecatedAppArmorBetaProfileNamePrefix):]}
	}
	return nil
}

// targetOf is the container whose processes an ephemeral container shall see, "" for none.
func targetOf(p *corev1.Pod, container string, o *pod.Observed) string {
	for i := range p.Spec.EphemeralContainers {
		e := &p.Spec.EphemeralContainers[i]
		if e.Name != container || e.TargetContainerName == "" {
			continue
		}
		if c := o.Latest(e.TargetContainerName); c != nil {
			return c.ID
		}
	}
	return ""
}
