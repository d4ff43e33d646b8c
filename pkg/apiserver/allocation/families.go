package allocation

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

var (
	policyPath   = field.NewPath("spec", "ipFamilyPolicy")
	familiesPath = field.NewPath("spec", "ipFamilies")
	ipsPath      = field.NewPath("spec", "clusterIPs")
)

// settleFamilies fills in policy and families of a service from what the client said, what the service had,
// and which families the cluster has, the first of them by default. Faults are such that an allocation
// could not be made.
func settleFamilies(s, old *corev1.Service, cluster []corev1.IPFamily) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName || keepsPreference(s, old) {
		return nil
	}
	selectorless := s.Spec.ClusterIP == corev1.ClusterIPNone && len(s.Spec.Selector) == 0
	settlePolicy(s, old, selectorless)
	if faults := validation.ClusterIPs(s, old); len(faults) > 0 {
		return faults
	}
	faults := narrow(s, old)
	if policyIs(s, corev1.IPFamilyPolicySingleStack) {
		const needsTwo = "must be 'RequireDualStack' or 'PreferDualStack' when multiple %s are specified"
		if len(s.Spec.ClusterIPs) == 2 {
			faults = append(faults, field.Invalid(policyPath, s.Spec.IPFamilyPolicy, fmt.Sprintf(needsTwo, "cluster IPs")))
		}
		if len(s.Spec.IPFamilies) == 2 {
			faults = append(faults, field.Invalid(policyPath, s.Spec.IPFamilyPolicy, fmt.Sprintf(needsTwo, "IP families")))
		}
	}
	faults = append(faults, inferFamilies(s, cluster)...)
	if len(faults) > 0 {
		return faults
	}
	if selectorless {
		// Its endpoints are made by hand, and may be of any family.
		settleList(s, cluster, true)
		return nil
	}
	if policyIs(s, corev1.IPFamilyPolicyRequireDualStack) && len(cluster) < 2 {
		faults = append(faults, field.Invalid(policyPath, s.Spec.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, f := range s.Spec.IPFamilies {
		if !slices.Contains(cluster, f) {
			faults = append(faults, field.Invalid(familiesPath.Index(i), f, "not configured on this cluster"))
		}
	}
	if len(faults) == 0 {
		settleList(s, cluster, len(cluster) == 2)
	}
	return faults
}

// keepsPreference: a service that prefers two families and changes neither this nor its type keeps what it has,
// even where the cluster has changed meanwhile.
func keepsPreference(s, old *corev1.Service) bool {
	return old != nil && old.Spec.Type == s.Spec.Type &&
		policyIs(s, corev1.IPFamilyPolicyPreferDualStack) && policyIs(old, corev1.IPFamilyPolicyPreferDualStack) &&
		slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) && slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies)
}

func policyIs(s *corev1.Service, p corev1.IPFamilyPolicy) bool {
	return s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy == p
}

// settlePolicy: nothing said leaves the policy as it was; a service never changes between one family and two
// without being told.
func settlePolicy(s, old *corev1.Service, selectorless bool) {
	if s.Spec.IPFamilyPolicy != nil {
		return
	}
	policy := corev1.IPFamilyPolicySingleStack
	switch {
	case old != nil && old.Spec.IPFamilyPolicy != nil:
		policy = *old.Spec.IPFamilyPolicy
	case selectorless:
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	s.Spec.IPFamilyPolicy = &policy
}

// narrow gives up the second family where the policy was changed to ask for one only, and refuses to give it
// up otherwise.
func narrow(s, old *corev1.Service) field.ErrorList {
	if old == nil {
		return nil
	}
	if policyIs(s, corev1.IPFamilyPolicySingleStack) {
		if slices.Equal(s.Spec.ClusterIPs, old.Spec.ClusterIPs) && s.Spec.ClusterIP == old.Spec.ClusterIP && len(s.Spec.ClusterIPs) > 1 {
			s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1:1]
		}
		if slices.Equal(s.Spec.IPFamilies, old.Spec.IPFamilies) && len(s.Spec.IPFamilies) > 1 {
			s.Spec.IPFamilies = s.Spec.IPFamilies[:1:1]
		}
		return nil
	}
	var faults field.ErrorList
	if lost(s.Spec.ClusterIPs, old.Spec.ClusterIPs) {
		faults = append(faults, field.Invalid(policyPath, s.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
	}
	if lost(s.Spec.IPFamilies, old.Spec.IPFamilies) {
		faults = append(faults, field.Invalid(policyPath, s.Spec.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
	}
	return faults
}

// lost says whether the client named fewer than there were; naming none leaves it to the server.
func lost[T any](now, was []T) bool { return len(now) > 0 && len(now) < len(was) }

// inferFamilies names the families of addresses that came without.
func inferFamilies(s *corev1.Service, cluster []corev1.IPFamily) field.ErrorList {
	var faults field.ErrorList
	for i, ip := range s.Spec.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			break
		}
		if i < len(s.Spec.IPFamilies) {
			continue
		}
		if f := validation.FamilyOf(ip); slices.Contains(cluster, f) {
			s.Spec.IPFamilies = append(slices.Clone(s.Spec.IPFamilies), f)
		} else {
			faults = append(faults, field.Invalid(ipsPath.Index(i), s.Spec.ClusterIPs, fmt.Sprintf("%s is not configured on this cluster", f)))
		}
	}
	return faults
}

// settleList names the cluster's first family where there is none, and adds the other where two are wanted.
func settleList(s *corev1.Service, cluster []corev1.IPFamily, both bool) {
	list := slices.Clone(s.Spec.IPFamilies)
	if len(list) == 0 && len(cluster) > 0 {
		list = append(list, cluster[0])
	}
	if both && len(list) == 1 && !policyIs(s, corev1.IPFamilyPolicySingleStack) {
		other := corev1.IPv6Protocol
		if list[0] == corev1.IPv6Protocol {
			other = corev1.IPv4Protocol
		}
		list = append(list, other)
	}
	s.Spec.IPFamilies = list
}

// keepAllocated gives a service that is written without what it had been given those values back, so that
// clients may write what they once created it from.
func keepAllocated(s, old *corev1.Service) {
	now, was := &s.Spec, &old.Spec
	if now.Type != corev1.ServiceTypeExternalName && was.Type != corev1.ServiceTypeExternalName {
		now.ClusterIP = cmp.Or(now.ClusterIP, was.ClusterIP)
		if len(now.ClusterIPs) == 0 && now.ClusterIP == was.ClusterIP {
			now.ClusterIPs = slices.Clone(was.ClusterIPs)
		}
	}
	if hasNodePorts(now) && hasNodePorts(was) {
		keepNodePorts(now, was)
	}
	if needsHealthCheck(now) && needsHealthCheck(was) && now.HealthCheckNodePort == 0 {
		now.HealthCheckNodePort = was.HealthCheckNodePort
	}
}

// keepNodePorts matches ports by name. A node port that the client has moved to another port is not used
// twice.
func keepNodePorts(now, was *corev1.ServiceSpec) {
	used, had := map[int32]bool{}, map[string]int32{}
	for _, p := range was.Ports {
		had[p.Name] = p.NodePort
		if slices.ContainsFunc(now.Ports, func(n corev1.ServicePort) bool { return n.NodePort == p.NodePort }) {
			used[p.NodePort] = true
		}
	}
	for i := range now.Ports {
		p := &now.Ports[i]
		if before := had[p.Name]; p.NodePort == 0 && !used[before] {
			p.NodePort = before
			used[before] = true
		}
	}
}

// joinClusterIPs makes the list follow the single field, which is all that old clients write.
func joinClusterIPs(s, old *corev1.Service) {
	now := &s.Spec
	if old == nil {
		if now.ClusterIP != "" && len(now.ClusterIPs) == 0 {
			now.ClusterIPs = []string{now.ClusterIP}
		}
		return
	}
	was := &old.Spec
	left := len(now.ClusterIPs) == 0 && now.Type != corev1.ServiceTypeExternalName
	if now.ClusterIP == was.ClusterIP || !left && !slices.Equal(now.ClusterIPs, was.ClusterIPs) {
		return
	}
	now.ClusterIPs = nil
	if now.ClusterIP != "" {
		now.ClusterIPs = []string{now.ClusterIP}
	}
}

func hasNodePorts(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeNodePort || s.Type == corev1.ServiceTypeLoadBalancer
}

func needsHealthCheck(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer && s.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func refuse(s *corev1.Service, faults field.ErrorList) error {
	if len(faults) == 0 {
		return nil
	}
	return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), s.Name, faults)
}
