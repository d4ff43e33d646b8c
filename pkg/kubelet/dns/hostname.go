package dns

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	maxHostname       = 63
	maxKernelHostname = 64
)

// Hostname answers the pod's host name and, when it has a subdomain, the domain that makes both its fully
// qualified name.
func Hostname(pod *corev1.Pod, clusterDomain string) (hostname, domain string, err error) {
	if o := pod.Spec.HostnameOverride; o != nil {
		if errs := validation.IsDNS1123Subdomain(*o); len(errs) > 0 {
			return "", "", fmt.Errorf("pod HostnameOverride %q is not a valid DNS subdomain: %s", *o, strings.Join(errs, ";"))
		}
		if len(*o) > maxKernelHostname {
			return "", "", fmt.Errorf("pod HostnameOverride %q is longer than %d characters", *o, maxKernelHostname)
		}
		return *o, "", nil
	}
	hostname = pod.Name
	if own := pod.Spec.Hostname; own != "" {
		if errs := validation.IsDNS1123Label(own); len(errs) > 0 {
			return "", "", fmt.Errorf("pod Hostname %q is not a valid DNS label: %s", own, strings.Join(errs, ";"))
		}
		hostname = own
	}
	if len(hostname) > maxHostname {
		hostname = strings.TrimRight(hostname[:maxHostname], "-.")
		if hostname == "" {
			return "", "", fmt.Errorf("hostname for pod %q was invalid: %q", pod.Name, pod.Name)
		}
	}
	if sub := pod.Spec.Subdomain; sub != "" {
		if errs := validation.IsDNS1123Label(sub); len(errs) > 0 {
			return "", "", fmt.Errorf("pod Subdomain %q is not a valid DNS label: %s", sub, strings.Join(errs, ";"))
		}
		domain = sub + "." + pod.Namespace + ".svc." + clusterDomain
	}
	return hostname, domain, nil
}

// KernelHostname is the name to set in the sandbox's UTS namespace: the host name, or with
// setHostnameAsFQDN the fully qualified one.
func KernelHostname(pod *corev1.Pod, hostname, domain string) (string, error) {
	if domain == "" || pod.Spec.SetHostnameAsFQDN == nil || !*pod.Spec.SetHostnameAsFQDN {
		return hostname, nil
	}
	full := hostname + "." + domain
	if len(full) > maxKernelHostname {
		return "", fmt.Errorf("failed to construct FQDN from pod hostname and cluster domain, FQDN %s is too long (%d characters is the max, %d characters requested)", full, maxKernelHostname, len(full))
	}
	return full, nil
}
