package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// ClusterIPs judges how a service's addresses, their families and their policy fit together. It runs before
// addresses are allocated, and again with all else of the service. Addresses that old has stay good.
func ClusterIPs(s, old *corev1.Service) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName {
		return nil // has none, which is judged with its type
	}
	path := field.NewPath("spec")
	ips := path.Child("clusterIPs")
	var faults field.ErrorList
	switch first := s.Spec.ClusterIP; {
	case first == "" && len(s.Spec.ClusterIPs) > 0:
		faults = append(faults, field.Invalid(ips, s.Spec.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	case first != "" && len(s.Spec.ClusterIPs) == 0:
		faults = append(faults, field.Required(ips, ""))
	case first != "" && s.Spec.ClusterIPs[0] != first:
		faults = append(faults, field.Invalid(ips, s.Spec.ClusterIPs, "first value must match `clusterIP`"))
	}
	faults = append(faults, families(path.Child("ipFamilies"), s.Spec.IPFamilies)...)
	if policy := s.Spec.IPFamilyPolicy; policy != nil {
		faults = append(faults, OneOfAny(path.Child("ipFamilyPolicy"), *policy,
			corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)...)
	}
	bad := clusterIPForms(ips, s.Spec.ClusterIPs, old)
	faults = append(faults, bad...)
	if len(s.Spec.ClusterIPs) > 2 {
		faults = append(faults, field.Invalid(ips, s.Spec.ClusterIPs, "may only hold up to 2 values"))
	}
	if len(bad) > 0 {
		return faults // families of what is no address would only mislead
	}
	if len(s.Spec.ClusterIPs) > 1 {
		if dual, err := netutils.IsDualStackIPStrings(s.Spec.ClusterIPs); err != nil || !dual {
			faults = append(faults, field.Invalid(ips, s.Spec.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	return append(faults, clusterIPFamilies(ips, s)...)
}

func families(path *field.Path, list []corev1.IPFamily) field.ErrorList {
	var faults field.ErrorList
	for i, f := range list {
		faults = append(faults, OneOfAny(path.Index(i), f, corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if slices.Contains(list[:i], f) {
			faults = append(faults, field.Duplicate(path.Index(i), f))
		}
	}
	return faults
}

// clusterIPForms judges each address: "None" is good only alone.
func clusterIPForms(path *field.Path, list []string, old *corev1.Service) field.ErrorList {
	var faults field.ErrorList
	var before []string
	if old != nil {
		before = old.Spec.ClusterIPs
	}
	for i, ip := range list {
		if i == 0 && ip == corev1.ClusterIPNone {
			if len(list) > 1 {
				faults = append(faults, field.Invalid(path, list, "'None' must be the first and only value"))
			}
			continue
		}
		faults = append(faults, Address(path.Index(i), ip, before...)...)
	}
	return faults
}

func clusterIPFamilies(path *field.Path, s *corev1.Service) field.ErrorList {
	if IsHeadless(s) {
		return nil
	}
	var faults field.ErrorList
	for i, ip := range s.Spec.ClusterIPs {
		if i >= len(s.Spec.IPFamilies) {
			break
		}
		if want := s.Spec.IPFamilies[i]; (want == corev1.IPv4Protocol || want == corev1.IPv6Protocol) && want != FamilyOf(ip) {
			faults = append(faults, field.Invalid(path.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", want, i)))
		}
	}
	return faults
}

// IsHeadless says whether a service asks for no address.
func IsHeadless(s *corev1.Service) bool {
	return s != nil && len(s.Spec.ClusterIPs) == 1 && s.Spec.ClusterIPs[0] == corev1.ClusterIPNone
}

// FamilyOf answers the family of an address.
func FamilyOf(ip string) corev1.IPFamily {
	if netutils.IsIPv6String(ip) {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
