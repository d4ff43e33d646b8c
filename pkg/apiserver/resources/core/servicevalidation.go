package core

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	// maxAffinitySeconds is one day.
	maxAffinitySeconds = 24 * 60 * 60
	onlyLoadBalancer   = "may only be used when `type` is 'LoadBalancer'"
	changesOnce        = "may not change once set"
)

// validateService judges the whole service; on update also what may not change any more.
func validateService(_ context.Context, s, old *corev1.Service) field.ErrorList {
	var faults field.ErrorList
	if old != nil {
		faults = append(faults, clusterIPsStay(s, old)...)
		faults = append(faults, familiesStay(s, old)...)
		faults = append(faults, validateBalancerClass(s, old)...)
		if NeedsHealthCheck(s) && NeedsHealthCheck(old) && s.Spec.HealthCheckNodePort != old.Spec.HealthCheckNodePort {
			faults = append(faults, field.Forbidden(field.NewPath("spec", "healthCheckNodePort"), validation.Immutable))
		}
	}
	path := field.NewPath("spec")
	faults = append(faults, validateTopologyAnnotations(s)...)
	if len(s.Spec.Ports) == 0 && !validation.IsHeadless(s) && s.Spec.Type != corev1.ServiceTypeExternalName {
		faults = append(faults, field.Required(path.Child("ports"), ""))
	}
	faults = append(faults, validateByType(path, &s.Spec)...)
	names := map[string]bool{}
	for i := range s.Spec.Ports {
		faults = append(faults, validateServicePort(path.Child("ports").Index(i), &s.Spec.Ports[i], len(s.Spec.Ports) > 1, names)...)
	}
	faults = append(faults, metav1validation.ValidateLabels(s.Spec.Selector, path.Child("selector"))...)
	faults = append(faults, validateAffinity(path, &s.Spec)...)
	faults = append(faults, validation.ClusterIPs(s, old)...)
	faults = append(faults, validateExternalIPs(path.Child("externalIPs"), s, old)...)
	faults = append(faults, validation.OneOf(path.Child("type"), s.Spec.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeExternalName,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort)...)
	faults = append(faults, validatePortsTogether(path.Child("ports"), &s.Spec)...)
	faults = append(faults, validateSourceRanges(path, s, old)...)
	return append(faults, validateTraffic(path, s)...)
}

// validateTopologyAnnotations refuses the old and the new name of one setting to say different things.
func validateTopologyAnnotations(s *corev1.Service) field.ErrorList {
	old, hasOld := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]
	mode, hasMode := s.Annotations[corev1.AnnotationTopologyMode]
	if !hasOld || !hasMode || old == mode {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "annotations").Key(corev1.AnnotationTopologyMode), mode,
		fmt.Sprintf("must match annotations[%s] when both are specified", corev1.DeprecatedAnnotationTopologyAwareHints))}
}

func validateByType(path *field.Path, spec *corev1.ServiceSpec) field.ErrorList {
	var faults field.ErrorList
	headless := len(spec.ClusterIPs) == 1 && spec.ClusterIPs[0] == corev1.ClusterIPNone
	switch spec.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if headless {
			faults = append(faults, field.Invalid(path.Child("clusterIPs").Index(0), spec.ClusterIPs[0],
				fmt.Sprintf("may not be set to 'None' for %s services", spec.Type)))
		}
	case corev1.ServiceTypeExternalName:
		const notWithName = "may not be set for ExternalName services"
		if len(spec.ClusterIPs) > 0 {
			faults = append(faults, field.Forbidden(path.Child("clusterIPs"), notWithName))
		}
		if len(spec.IPFamilies) > 0 {
			faults = append(faults, field.Forbidden(path.Child("ipFamilies"), notWithName))
		}
		if spec.IPFamilyPolicy != nil {
			faults = append(faults, field.Forbidden(path.Child("ipFamilyPolicy"), notWithName))
		}
		name := strings.TrimSuffix(spec.ExternalName, ".")
		if name == "" {
			return append(faults, field.Required(path.Child("externalName"), ""))
		}
		faults = append(faults, validation.DNSSubdomain(path.Child("externalName"), name)...)
	}
	return faults
}

func validateServicePort(path *field.Path, p *corev1.ServicePort, named bool, names map[string]bool) field.ErrorList {
	var faults field.ErrorList
	switch {
	case p.Name != "":
		faults = append(faults, validation.DNSLabel(path.Child("name"), p.Name)...)
		if names[p.Name] {
			faults = append(faults, field.Duplicate(path.Child("name"), p.Name))
		}
		names[p.Name] = true
	case named:
		faults = append(faults, field.Required(path.Child("name"), ""))
	}
	faults = append(faults, validation.PortNumber(path.Child("port"), p.Port)...)
	faults = append(faults, validateProtocol(path.Child("protocol"), p.Protocol)...)
	faults = append(faults, validation.PortNumberOrName(path.Child("targetPort"), p.TargetPort)...)
	faults = append(faults, validation.WhereSet(path.Child("appProtocol"), p.AppProtocol, validation.QualifiedName)...)
	return faults
}

func validateAffinity(path *field.Path, spec *corev1.ServiceSpec) field.ErrorList {
	faults := validation.OneOf(path.Child("sessionAffinity"), spec.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	at, config := path.Child("sessionAffinityConfig"), spec.SessionAffinityConfig
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		if config != nil {
			faults = append(faults, field.Forbidden(at, fmt.Sprintf("must not be set when session affinity is %s", corev1.ServiceAffinityNone)))
		}
	case corev1.ServiceAffinityClientIP:
		switch {
		case config == nil:
			faults = append(faults, field.Required(at, fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)))
		case config.ClientIP == nil:
			faults = append(faults, field.Required(at.Child("clientIP"), fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)))
		case config.ClientIP.TimeoutSeconds == nil:
			faults = append(faults, field.Required(at.Child("clientIP", "timeoutSeconds"), fmt.Sprintf("when session affinity type is %s", corev1.ServiceAffinityClientIP)))
		default:
			if n := *config.ClientIP.TimeoutSeconds; n <= 0 || n > maxAffinitySeconds {
				faults = append(faults, field.Invalid(at.Child("clientIP", "timeoutSeconds"), n, fmt.Sprintf("must be greater than 0 and less than %d", maxAffinitySeconds)))
			}
		}
	}
	return faults
}

func validateExternalIPs(path *field.Path, s, old *corev1.Service) field.ErrorList {
	var before []string
	if old != nil {
		before = old.Spec.ExternalIPs
	}
	var faults field.ErrorList
	for i, ip := range s.Spec.ExternalIPs {
		if malformed := validation.Address(path.Index(i), ip, before...); len(malformed) > 0 {
			faults = append(faults, malformed...)
			continue
		}
		faults = append(faults, validation.NotSpecialIP(path.Index(i), ip)...)
	}
	return faults
}

// validatePortsTogether finds ports, and ports of nodes, that stand twice for one protocol.
func validatePortsTogether(path *field.Path, spec *corev1.ServiceSpec) field.ErrorList {
	type use struct {
		protocol corev1.Protocol
		port     int32
	}
	var onNode, twiceOnNode, twice field.ErrorList
	ports, nodePorts := map[use]bool{}, map[use]bool{}
	for i, p := range spec.Ports {
		at := path.Index(i)
		if p.NodePort != 0 {
			if spec.Type == corev1.ServiceTypeClusterIP {
				onNode = append(onNode, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
			}
			if u := (use{p.Protocol, p.NodePort}); nodePorts[u] {
				twiceOnNode = append(twiceOnNode, field.Duplicate(at.Child("nodePort"), p.NodePort))
			} else {
				nodePorts[u] = true
			}
		}
		if u := (use{p.Protocol, p.Port}); ports[u] {
			twice = append(twice, field.Duplicate(at, validation.GoNames(corev1.ServicePort{Protocol: p.Protocol, Port: p.Port})))
		} else {
			ports[u] = true
		}
	}
	return append(append(onNode, twiceOnNode...), twice...)
}

// validateSourceRanges judges the networks whose traffic is let in, from the field or the older annotation.
func validateSourceRanges(path *field.Path, s, old *corev1.Service) field.ErrorList {
	var faults field.ErrorList
	wrongType := s.Spec.Type != corev1.ServiceTypeLoadBalancer
	if len(s.Spec.LoadBalancerSourceRanges) > 0 {
		at := path.Child("LoadBalancerSourceRanges")
		if wrongType {
			faults = append(faults, field.Forbidden(at, onlyLoadBalancer))
		}
		var before []string
		if old != nil {
			for _, r := range old.Spec.LoadBalancerSourceRanges {
				before = append(before, strings.TrimSpace(r))
			}
		}
		for i, value := range s.Spec.LoadBalancerSourceRanges {
			faults = append(faults, validation.Network(at.Index(i), strings.TrimSpace(value), before...)...)
		}
		return faults
	}
	text, has := s.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey]
	if !has {
		return nil
	}
	at := field.NewPath("metadata", "annotations").Key(corev1.AnnotationLoadBalancerSourceRangesKey)
	if wrongType {
		faults = append(faults, field.Forbidden(at, onlyLoadBalancer))
	}
	if old != nil && old.Annotations[corev1.AnnotationLoadBalancerSourceRangesKey] == text || strings.TrimSpace(text) == "" {
		return faults
	}
	for value := range strings.SplitSeq(text, ",") {
		faults = append(faults, validation.Network(at, strings.TrimSpace(value))...)
	}
	return faults
}

// validateTraffic judges what says how traffic comes in and where it may go.
func validateTraffic(path *field.Path, s *corev1.Service) field.ErrorList {
	var faults field.ErrorList
	spec, balanced := &s.Spec, s.Spec.Type == corev1.ServiceTypeLoadBalancer
	switch at := path.Child("allocateLoadBalancerNodePorts"); {
	case spec.AllocateLoadBalancerNodePorts != nil && !balanced:
		faults = append(faults, field.Forbidden(at, onlyLoadBalancer))
	case spec.AllocateLoadBalancerNodePorts == nil && balanced:
		faults = append(faults, field.Required(at, ""))
	}
	faults = append(faults, validateBalancerClass(s, nil)...)
	at := path.Child("externalTrafficPolicy")
	if ReachableFromOutside(s) {
		faults = append(faults, validation.OneOf(at, spec.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)...)
	} else if spec.ExternalTrafficPolicy != "" {
		faults = append(faults, field.Invalid(at, spec.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	faults = append(faults, validateHealthPort(path.Child("healthCheckNodePort"), s)...)
	at = path.Child("internalTrafficPolicy")
	if p := spec.InternalTrafficPolicy; p != nil {
		faults = append(faults, validation.OneOfAny(at, *p, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	} else if spec.Type == corev1.ServiceTypeClusterIP || hasNodePorts(spec.Type) {
		faults = append(faults, field.Required(at, ""))
	}
	if t := spec.TrafficDistribution; t != nil {
		faults = append(faults, validation.OneOfAny(path.Child("trafficDistribution"), *t,
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
	}
	return faults
}

// validateBalancerClass judges the class of load balancers. On update its form is judged twice: with the change,
// where old is given, and with the whole.
func validateBalancerClass(s, old *corev1.Service) field.ErrorList {
	path, class := field.NewPath("spec", "loadBalancerClass"), s.Spec.LoadBalancerClass
	balanced := s.Spec.Type == corev1.ServiceTypeLoadBalancer
	var faults field.ErrorList
	if old != nil && balanced && old.Spec.Type == s.Spec.Type && !equal(class, old.Spec.LoadBalancerClass) {
		faults = append(faults, field.Invalid(path, class, changesOnce))
	}
	switch {
	case class == nil:
		return faults
	case !balanced:
		return append(faults, field.Forbidden(path, onlyLoadBalancer))
	}
	return append(faults, validation.QualifiedName(path, *class)...)
}

func validateHealthPort(path *field.Path, s *corev1.Service) field.ErrorList {
	port := s.Spec.HealthCheckNodePort
	switch {
	case !NeedsHealthCheck(s) && port != 0:
		return field.ErrorList{field.Invalid(path, port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")}
	case !NeedsHealthCheck(s):
		return nil
	case port == 0:
		return field.ErrorList{field.Required(path, "")}
	}
	return validation.PortNumber(path, port)
}

// clusterIPsStay refuses to change the first address. The second may come, and go where the policy says so.
func clusterIPsStay(s, old *corev1.Service) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName ||
		validation.IsHeadless(s) && validation.IsHeadless(old) {
		return nil
	}
	path := field.NewPath("spec", "clusterIPs")
	now, was := s.Spec.ClusterIPs, old.Spec.ClusterIPs
	var faults field.ErrorList
	if len(now) == len(was) {
		for i := range was {
			if now[i] != was[i] {
				faults = append(faults, field.Invalid(path.Index(i), now, changesOnce))
			}
		}
		return faults
	}
	if len(now) == 0 {
		return field.ErrorList{field.Invalid(path.Index(0), now, "primary clusterIP can not be unset")}
	}
	if len(was) > 0 && now[0] != was[0] {
		faults = append(faults, field.Invalid(path.Index(0), now, changesOnce))
	}
	if len(was) > len(now) && !singleStack(s) {
		faults = append(faults, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	return faults
}

func singleStack(s *corev1.Service) bool {
	return s.Spec.IPFamilyPolicy != nil && *s.Spec.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}

// familiesStay is clusterIPsStay for families.
func familiesStay(s, old *corev1.Service) field.ErrorList {
	if s.Spec.Type == corev1.ServiceTypeExternalName || old.Spec.Type == corev1.ServiceTypeExternalName ||
		validation.IsHeadless(s) || validation.IsHeadless(old) {
		return nil
	}
	path := field.NewPath("spec", "ipFamilies").Index(0)
	now, was := s.Spec.IPFamilies, old.Spec.IPFamilies
	var faults field.ErrorList
	if len(now) == len(was) {
		for i := range was {
			if now[i] != was[i] {
				faults = append(faults, field.Invalid(path, now, changesOnce))
			}
		}
		return faults
	}
	if len(was) > len(now) && len(s.Spec.ClusterIPs) == 0 { // of the addresses, as upstream has it
		faults = append(faults, field.Invalid(path, now, "primary ipFamily can not be unset"))
	}
	if len(was) > 0 && len(now) > 0 && now[0] != was[0] {
		faults = append(faults, field.Invalid(path, s.Spec.ClusterIPs, changesOnce))
	}
	if len(was) > 1 && len(now) == 1 && !singleStack(s) {
		faults = append(faults, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.Spec.IPFamilyPolicy,
			"must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
	return faults
}
