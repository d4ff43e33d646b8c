package validation

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxCredentialSpecLength = 64 * 1024
	maxWindowsDomainLength  = 256
	maxWindowsUserLength    = 104
	notOnWindows            = "cannot be set for a windows pod"
	notOnLinux              = "windows options cannot be set for a linux pod"
)

var (
	windowsControls   = regexp.MustCompile(`[\x00-\x1F\x7F]`)
	windowsNetBIOS    = regexp.MustCompile(`^[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}$`)
	windowsDNSName    = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
	windowsDots       = regexp.MustCompile(`^[. ]+$`)
	windowsUserBanned = `"/\:;|=,+*?<>@[]`
)

func windowsOptions(path *field.Path, o *corev1.WindowsSecurityContextOptions) field.ErrorList {
	if o == nil {
		return nil
	}
	var faults field.ErrorList
	faults = append(faults, WhereSet(path.Child("gmsaCredentialSpecName"), o.GMSACredentialSpecName, DNSSubdomain)...)
	if spec := o.GMSACredentialSpec; spec != nil {
		at := path.Child("gmsaCredentialSpec")
		if *spec == "" {
			faults = append(faults, field.Invalid(at, *spec, "gmsaCredentialSpec cannot be an empty string"))
		} else if len(*spec) > maxCredentialSpecLength {
			faults = append(faults, field.Invalid(at, *spec, fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredentialSpecLength/1024)))
		}
	}
	if o.RunAsUserName != nil {
		faults = append(faults, Invalid(path.Child("runAsUserName"), *o.RunAsUserName, windowsUserFaults(*o.RunAsUserName))...)
	}
	return faults
}

// windowsUserFaults judges DOMAIN\User, where the domain may be left out.
func windowsUserFaults(name string) []string {
	if name == "" {
		return []string{"runAsUserName cannot be an empty string"}
	}
	if windowsControls.MatchString(name) {
		return []string{"runAsUserName cannot contain control characters"}
	}
	parts := strings.Split(name, `\`)
	if len(parts) > 2 {
		return []string{`runAsUserName cannot contain more than one backslash`}
	}
	var texts []string
	user := parts[len(parts)-1]
	if len(parts) == 2 {
		domain := parts[0]
		if len(domain) >= maxWindowsDomainLength {
			texts = append(texts, fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxWindowsDomainLength))
		}
		if !windowsNetBIOS.MatchString(domain) && !windowsDNSName.MatchString(domain) {
			texts = append(texts, "runAsUserName's Domain doesn't match the NetBios nor the DNS format")
		}
	}
	switch {
	case user == "":
		texts = append(texts, "runAsUserName's User cannot be empty")
	case len(user) > maxWindowsUserLength:
		texts = append(texts, fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxWindowsUserLength))
	}
	if windowsDots.MatchString(user) {
		texts = append(texts, "runAsUserName's User cannot contain only periods or spaces")
	}
	if strings.ContainsAny(user, windowsUserBanned) {
		texts = append(texts, "runAsUserName's User cannot contain the following characters: "+windowsUserBanned)
	}
	return texts
}

// hostProcess holds pods that run processes on a Windows host to all containers doing so, on its network.
func hostProcess(path *field.Path, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	var pod *bool
	if s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil {
		pod = s.SecurityContext.WindowsOptions.HostProcess
	}
	all, some := 0, 0
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		all++
		var own *bool
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			own = c.SecurityContext.WindowsOptions.HostProcess
		}
		if pod != nil && own != nil && *pod != *own {
			faults = append(faults, field.Invalid(at.path().Child("securityContext", "windowsOptions", "hostProcess"), *own,
				fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *pod)))
		}
		if runsOnHost(s, c) {
			some++
		}
	})
	if some == 0 {
		return faults
	}
	if some != all {
		faults = append(faults, field.Invalid(path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !s.HostNetwork {
		faults = append(faults, field.Invalid(path.Child("hostNetwork"), s.HostNetwork, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
	if options.Unprivileged {
		faults = append(faults, field.Forbidden(path, "hostProcess containers are disallowed by cluster policy"))
	}
	return faults
}

// runsOnHost says whether a container runs processes on a Windows host: by its own word, or by the pod's where it says
// nothing.
func runsOnHost(s *corev1.PodSpec, c *corev1.Container) bool {
	if own := c.SecurityContext; own != nil && own.WindowsOptions != nil && own.WindowsOptions.HostProcess != nil {
		return *own.WindowsOptions.HostProcess
	}
	return s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil && isTrue(s.SecurityContext.WindowsOptions.HostProcess)
}

// containerAt is where a container stands in a pod's spec. Its path is made where there is something to say of it.
type containerAt struct {
	spec *field.Path
	list string
	i    int
}

func (c containerAt) path() *field.Path { return c.spec.Child(c.list).Index(c.i) }

// eachContainer visits init, regular and ephemeral containers.
func eachContainer(path *field.Path, s *corev1.PodSpec, visit func(at containerAt, c *corev1.Container)) {
	for i := range s.InitContainers {
		visit(containerAt{path, "initContainers", i}, &s.InitContainers[i])
	}
	for i := range s.Containers {
		visit(containerAt{path, "containers", i}, &s.Containers[i])
	}
	for i := range s.EphemeralContainers {
		c := corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon)
		visit(containerAt{path, "ephemeralContainers", i}, &c)
	}
}

// operatingSystem judges a pod by the system that it says it is for.
func operatingSystem(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	if s.OS == nil {
		return nil
	}
	switch s.OS.Name {
	case corev1.Linux:
		return linux(path, s)
	case corev1.Windows:
		return windows(path, s)
	case "":
		return field.ErrorList{field.Required(path.Child("os", "name"), "")}
	default:
		return OneOfAny(path.Child("os"), s.OS.Name, corev1.Linux, corev1.Windows)
	}
}

func linux(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	if s.SecurityContext != nil && s.SecurityContext.WindowsOptions != nil {
		faults = append(faults, field.Forbidden(path.Child("securityContext", "windowsOptions"), notOnLinux))
	}
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		if c.SecurityContext != nil && c.SecurityContext.WindowsOptions != nil {
			faults = append(faults, field.Forbidden(at.path().Child("securityContext", "windowsOptions"), notOnLinux))
		}
	})
	return faults
}

func windows(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	forbid := func(at *field.Path, found bool) {
		if found {
			faults = append(faults, field.Forbidden(at, notOnWindows))
		}
	}
	at := path.Child("securityContext")
	sc := s.SecurityContext
	if sc == nil {
		sc = &corev1.PodSecurityContext{}
	}
	forbid(at.Child("appArmorProfile"), sc.AppArmorProfile != nil)
	forbid(at.Child("seLinuxOptions"), sc.SELinuxOptions != nil)
	forbid(path.Child("hostUsers"), s.HostUsers != nil)
	forbid(path.Child("hostPID"), s.HostPID)
	forbid(path.Child("hostIPC"), s.HostIPC)
	forbid(at.Child("seccompProfile"), sc.SeccompProfile != nil)
	forbid(at.Child("fsGroup"), sc.FSGroup != nil)
	forbid(at.Child("fsGroupChangePolicy"), sc.FSGroupChangePolicy != nil)
	forbid(at.Child("sysctls"), len(sc.Sysctls) > 0)
	forbid(path.Child("shareProcessNamespace"), s.ShareProcessNamespace != nil)
	forbid(at.Child("runAsUser"), sc.RunAsUser != nil)
	forbid(at.Child("runAsGroup"), sc.RunAsGroup != nil)
	forbid(at.Child("supplementalGroups"), sc.SupplementalGroups != nil)
	forbid(at.Child("supplementalGroupsPolicy"), sc.SupplementalGroupsPolicy != nil)
	forbid(at.Child("seLinuxChangePolicy"), sc.SELinuxChangePolicy != nil)
	eachContainer(path, s, func(c containerAt, container *corev1.Container) {
		own := container.SecurityContext
		if own == nil {
			return
		}
		at := c.path().Child("securityContext")
		forbid(at.Child("appArmorProfile"), own.AppArmorProfile != nil)
		forbid(at.Child("seLinuxOptions"), own.SELinuxOptions != nil)
		forbid(at.Child("seccompProfile"), own.SeccompProfile != nil)
		forbid(at.Child("capabilities"), own.Capabilities != nil)
		forbid(at.Child("readOnlyRootFilesystem"), own.ReadOnlyRootFilesystem != nil)
		forbid(at.Child("privileged"), own.Privileged != nil)
		forbid(at.Child("allowPrivilegeEscalation"), own.AllowPrivilegeEscalation != nil)
		forbid(at.Child("procMount"), own.ProcMount != nil)
		forbid(at.Child("runAsUser"), own.RunAsUser != nil)
		forbid(at.Child("runAsGroup"), own.RunAsGroup != nil)
	})
	return faults
}
