package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxNameservers   = 3
	maxSearchPaths   = 32
	maxSearchLetters = 2048
)

// dnsConfig judges what a pod adds to, or puts in place of, the DNS settings of its policy.
func dnsConfig(path *field.Path, c *corev1.PodDNSConfig, policy corev1.DNSPolicy, options PodOptions) field.ErrorList {
	if policy == corev1.DNSNone {
		if c == nil {
			return field.ErrorList{field.Required(path, fmt.Sprintf("must provide `dnsConfig` when `dnsPolicy` is %s", corev1.DNSNone))}
		}
		if len(c.Nameservers) == 0 {
			return field.ErrorList{field.Required(path.Child("nameservers"), fmt.Sprintf("must provide at least one DNS nameserver when `dnsPolicy` is %s", corev1.DNSNone))}
		}
	}
	if c == nil {
		return nil
	}
	var faults field.ErrorList
	if len(c.Nameservers) > maxNameservers {
		faults = append(faults, field.Invalid(path.Child("nameservers"), c.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, ip := range c.Nameservers {
		faults = append(faults, utilvalidation.IsValidIPForLegacyField(path.Child("nameservers").Index(i), ip, true, options.OldNameservers)...)
	}
	faults = append(faults, searches(path.Child("searches"), c.Searches)...)
	for i, o := range c.Options {
		if o.Name == "" {
			faults = append(faults, field.Required(path.Child("options").Index(i), "must not be empty"))
		}
	}
	return faults
}

func searches(path *field.Path, list []string) field.ErrorList {
	var faults field.ErrorList
	if len(list) > maxSearchPaths {
		faults = append(faults, field.Invalid(path, list, fmt.Sprintf("must not have more than %v search paths", maxSearchPaths)))
	}
	if len(strings.Join(list, " ")) > maxSearchLetters {
		faults = append(faults, field.Invalid(path, list, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchLetters)))
	}
	for i, search := range list {
		// A single dot stands for the root; a name may end with one.
		if search == "." {
			continue
		}
		name := strings.TrimSuffix(search, ".")
		faults = append(faults, Invalid(path.Index(i), name, utilvalidation.IsDNS1123SubdomainWithUnderscore(name))...)
	}
	return faults
}

// hostAliases judges the lines that a pod adds to its hosts file.
func hostAliases(path *field.Path, list []corev1.HostAlias, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	for i, alias := range list {
		faults = append(faults, utilvalidation.IsValidIPForLegacyField(path.Index(i).Child("ip"), alias.IP, true, options.OldAliasIPs)...)
		for j, name := range alias.Hostnames {
			faults = append(faults, Invalid(path.Index(i).Child("hostnames").Index(j), name, utilvalidation.IsDNS1123Subdomain(name))...)
		}
	}
	return faults
}
