package core

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// affinitySeconds is how long a client stays with one endpoint where nothing else is said.
const affinitySeconds = 3 * 60 * 60

// ServiceDeps is what services need beside their own key.
type ServiceDeps struct {
	// Allocate takes addresses and ports, Deleted gives them back; see resource.Definition.
	Allocate func(ctx context.Context, s, old *corev1.Service, dryRun bool) (undo, release func(), err error)
	Deleted  func(ctx context.Context, s *corev1.Service)
	// Streams are the subresources that reach what the service leads to: proxy.
	Streams []resource.Subresource[*corev1.Service]
}

// Service declares services.
func Service(d ServiceDeps) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Service]{
		Kind:         corev1.SchemeGroupVersion.WithKind("Service"),
		Plural:       "services",
		ShortNames:   []string{"svc"},
		Categories:   []string{"all"},
		Prefix:       "services/specs",
		ValidateName: apivalidation.NameIsDNSLabel,
		Default:      defaultService,
		Allocate:     d.Allocate,
		Deleted:      d.Deleted,
		Prepare:      prepareService,
		Validate:     validateService,
		Complete: func(s *corev1.Service) {
			if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 { // the list is what new clients read
				s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
			}
		},
		Warn:           warnService,
		Reset:          []string{"status"},
		CreateOnUpdate: true,
		ReturnDeleted:  true,
		Columns:        serviceColumns(),
		Row:            serviceRow,
		Fields: func(s *corev1.Service) map[string]string {
			return map[string]string{"spec.clusterIP": s.Spec.ClusterIP, "spec.type": string(s.Spec.Type)}
		},
		FieldNames: []string{"spec.clusterIP", "spec.type"},
		Subresources: append([]resource.Subresource[*corev1.Service]{resource.Status(corev1.SchemeGroupVersion.WithKind("Service"), resource.UpdatePart[*corev1.Service]{
			Prepare:  func(_ context.Context, s, old *corev1.Service) { s.Spec = *old.Spec.DeepCopy() },
			Validate: validateServiceStatus,
			Warn: func(_ context.Context, s, _ *corev1.Service) []string {
				return warnIngress(s.Status.LoadBalancer.Ingress)
			},
		})}, d.Streams...),
	})
}

func defaultService(s *corev1.Service) {
	spec := &s.Spec
	spec.SessionAffinity = cmp.Or(spec.SessionAffinity, corev1.ServiceAffinityNone)
	defaultAffinity(spec)
	spec.Type = cmp.Or(spec.Type, corev1.ServiceTypeClusterIP)
	for i := range spec.Ports {
		p := &spec.Ports[i]
		p.Protocol = cmp.Or(p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if ReachableFromOutside(s) && spec.ExternalTrafficPolicy == "" {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	if spec.InternalTrafficPolicy == nil && (spec.Type == corev1.ServiceTypeClusterIP || hasNodePorts(spec.Type)) {
		policy := corev1.ServiceInternalTrafficPolicyCluster
		spec.InternalTrafficPolicy = &policy
	}
	if spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	if spec.AllocateLoadBalancerNodePorts == nil {
		yes := true
		spec.AllocateLoadBalancerNodePorts = &yes
	}
	for i := range s.Status.LoadBalancer.Ingress {
		if in := &s.Status.LoadBalancer.Ingress[i]; in.IP != "" && in.IPMode == nil {
			mode := corev1.LoadBalancerIPModeVIP
			in.IPMode = &mode
		}
	}
}

func defaultAffinity(spec *corev1.ServiceSpec) {
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		if c := spec.SessionAffinityConfig; c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil {
			seconds := int32(affinitySeconds)
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		}
	}
}

func hasNodePorts(t corev1.ServiceType) bool {
	return t == corev1.ServiceTypeNodePort || t == corev1.ServiceTypeLoadBalancer
}

// ReachableFromOutside says whether traffic may come to a service from outside of the cluster.
func ReachableFromOutside(s *corev1.Service) bool {
	return hasNodePorts(s.Spec.Type) || s.Spec.Type == corev1.ServiceTypeClusterIP && len(s.Spec.ExternalIPs) > 0
}

// NeedsHealthCheck says whether load balancers must ask each node whether it has endpoints of the service.
func NeedsHealthCheck(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

func prepareService(_ context.Context, s, old *corev1.Service) {
	if old == nil {
		s.Status = corev1.ServiceStatus{}
		return
	}
	s.Status = *old.Status.DeepCopy()
	dropByType(s, old)
}

// dropByType clears fields that a service of another type had, where the change of type leaves them without
// sense and the client did not change them as well.
func dropByType(s, old *corev1.Service) {
	now, was := &s.Spec, &old.Spec
	if was.Type != corev1.ServiceTypeExternalName && now.Type == corev1.ServiceTypeExternalName {
		if now.ClusterIP == was.ClusterIP && slices.Equal(now.ClusterIPs, was.ClusterIPs) {
			now.ClusterIP, now.ClusterIPs = "", nil
		}
		if slices.Equal(now.IPFamilies, was.IPFamilies) {
			now.IPFamilies = nil
		}
		if equal(now.IPFamilyPolicy, was.IPFamilyPolicy) {
			now.IPFamilyPolicy = nil
		}
	}
	if hasNodePorts(was.Type) && !hasNodePorts(now.Type) && !bringsNodePorts(now, was) {
		for i := range now.Ports {
			now.Ports[i].NodePort = 0
		}
	}
	if NeedsHealthCheck(old) && !NeedsHealthCheck(s) && now.HealthCheckNodePort == was.HealthCheckNodePort {
		now.HealthCheckNodePort = 0
	}
	if was.Type == corev1.ServiceTypeLoadBalancer && now.Type != corev1.ServiceTypeLoadBalancer {
		if equal(now.AllocateLoadBalancerNodePorts, was.AllocateLoadBalancerNodePorts) {
			now.AllocateLoadBalancerNodePorts = nil
		}
		if equal(now.LoadBalancerClass, was.LoadBalancerClass) {
			now.LoadBalancerClass = nil
		}
	}
	if ReachableFromOutside(old) && !ReachableFromOutside(s) && now.ExternalTrafficPolicy == was.ExternalTrafficPolicy {
		now.ExternalTrafficPolicy = ""
	}
	if was.Type != corev1.ServiceTypeExternalName && now.Type == corev1.ServiceTypeExternalName && equal(now.InternalTrafficPolicy, was.InternalTrafficPolicy) {
		now.InternalTrafficPolicy = nil
	}
	if now.Type != corev1.ServiceTypeLoadBalancer {
		s.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	}
}

// bringsNodePorts says whether a node port is asked for that was not there before.
func bringsNodePorts(now, was *corev1.ServiceSpec) bool {
	return slices.ContainsFunc(now.Ports, func(p corev1.ServicePort) bool {
		return p.NodePort != 0 && !slices.ContainsFunc(was.Ports, func(w corev1.ServicePort) bool { return w.NodePort == p.NodePort })
	})
}

// equal compares what two pointers point at; nil is equal only to nil.
func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func validateServiceStatus(_ context.Context, s, old *corev1.Service) field.ErrorList {
	path := field.NewPath("status", "loadBalancer", "ingress")
	ingress := s.Status.LoadBalancer.Ingress
	if s.Spec.Type != corev1.ServiceTypeLoadBalancer {
		if len(ingress) > 0 {
			return field.ErrorList{field.Forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")}
		}
		return nil
	}
	var before []string
	for _, in := range old.Status.LoadBalancer.Ingress {
		before = append(before, in.IP)
	}
	var faults field.ErrorList
	for i := range ingress {
		faults = append(faults, validateIngress(path.Index(i), &ingress[i], before)...)
	}
	return faults
}

func validateIngress(path *field.Path, in *corev1.LoadBalancerIngress, before []string) field.ErrorList {
	var faults field.ErrorList
	if in.IP != "" {
		faults = append(faults, validation.Address(path.Child("ip"), in.IP, before...)...)
	}
	mode := path.Child("ipMode")
	switch {
	case in.IP == "" && in.IPMode != nil:
		faults = append(faults, field.Forbidden(mode, "may not be specified when `ip` is not set"))
	case in.IP != "" && in.IPMode == nil:
		faults = append(faults, field.Required(mode, "must be specified when `ip` is set"))
	case in.IPMode != nil:
		faults = append(faults, validation.OneOf(mode, *in.IPMode, corev1.LoadBalancerIPModeProxy, corev1.LoadBalancerIPModeVIP)...)
	}
	if in.Hostname == "" {
		return faults
	}
	faults = append(faults, validation.DNSSubdomain(path.Child("hostname"), in.Hostname)...)
	if netutils.ParseIPSloppy(in.Hostname) != nil {
		faults = append(faults, field.Invalid(path.Child("hostname"), in.Hostname, "must be a DNS name, not an IP address"))
	}
	return faults
}
