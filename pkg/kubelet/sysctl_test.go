package kubelet

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAdmitSysctls(t *testing.T) {
	for name, c := range map[string]struct {
		sysctl           string
		allowed          []string
		hostNet, hostIPC bool
		want             string
	}{
		"a safe one":                  {sysctl: "kernel.shm_rmid_forced"},
		"a safe one with slashes":     {sysctl: "net/ipv4/tcp_syncookies"},
		"an unsafe one":               {sysctl: "kernel.msgmax", want: `"kernel.msgmax" not allowlisted`},
		"an unsafe one that is named": {sysctl: "kernel.msgmax", allowed: []string{"kernel.msgmax"}},
		"one of a pattern":            {sysctl: "net.core.somaxconn", allowed: []string{"kernel.msg*", "net/core/*"}},
		"one of no pattern":           {sysctl: "net.ipv4.ip_forward", allowed: []string{"net.core.*"}, want: `"net.ipv4.ip_forward" not allowlisted`},
		"an interface with a dot":     {sysctl: "net/ipv4/conf/eth0.1/forwarding", allowed: []string{"net.ipv4.conf.eth0/1.*"}},
		"the host's network":          {sysctl: "net.ipv4.tcp_syncookies", hostNet: true, want: `"net.ipv4.tcp_syncookies" not allowed with host net enabled`},
		"the host's IPC":              {sysctl: "kernel.shm_rmid_forced", hostIPC: true, want: `"kernel.shm_rmid_forced" not allowed with host ipc enabled`},
		"the host's other namespace":  {sysctl: "kernel.shm_rmid_forced", hostNet: true},
	} {
		p := podOf(corev1.RestartPolicyAlways, "a")
		p.Spec.HostNetwork, p.Spec.HostIPC = c.hostNet, c.hostIPC
		p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: c.sysctl, Value: "1"}}}
		got := ""
		if r := admitSysctls(p, c.allowed); r != nil {
			got = r.Reason + ": " + r.Message
		}
		if c.want != "" {
			c.want = "SysctlForbidden: Pod was rejected: forbidden sysctl: " + c.want
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
