package kubelet

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// safeSysctls change nothing outside their pod, and cannot harm the node: every pod may set them.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

// admitSysctls says why a pod may not have the kernel settings that it asks for; nil where it may. allowed are
// the names, or beginnings that end in *, that this node allows beside the safe ones.
func admitSysctls(p *corev1.Pod, allowed []string) *pod.Reason {
	if p.Spec.SecurityContext == nil {
		return nil
	}
	for _, s := range p.Spec.SecurityContext.Sysctls {
		name := sysctlName(s.Name)
		why := ""
		switch {
		case !sysctlAllowed(name, allowed):
			why = "not allowlisted"
		case strings.HasPrefix(name, "net.") && p.Spec.HostNetwork:
			why = "not allowed with host net enabled"
		case !strings.HasPrefix(name, "net.") && p.Spec.HostIPC:
			why = "not allowed with host ipc enabled"
		default:
			continue
		}
		return &pod.Reason{Reason: "SysctlForbidden", Message: fmt.Sprintf("Pod was rejected: forbidden sysctl: %q %s", name, why)}
	}
	return nil
}

func sysctlAllowed(name string, allowed []string) bool {
	return slices.Contains(safeSysctls, name) || slices.ContainsFunc(allowed, func(pattern string) bool {
		pattern = sysctlName(pattern)
		start, isStart := strings.CutSuffix(pattern, "*")
		return name == pattern || isStart && strings.HasPrefix(name, start)
	})
}

// sysctlName has dots between its parts. Where slashes come first in a name, its dots stand for slashes.
func sysctlName(s string) string {
	first := strings.IndexAny(s, "./")
	if first < 0 || s[first] == '.' {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '/':
			return '.'
		case '.':
			return '/'
		}
		return r
	}, s)
}
