// Package model turns Services and EndpointSlices into the rules that a node's kernel must hold. It is
// pure: the same objects give the same rules, and it knows no kernel.
package model

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Backend is one address that a service sends connections to.
type Backend struct {
	Address netip.Addr
	Port    uint16
	Local   bool // on this node
}

func (b Backend) compare(o Backend) int {
	return cmp.Or(b.Address.Compare(o.Address), cmp.Compare(b.Port, o.Port))
}

// Port is one port of one Service, in one IP family.
type Port struct {
	Service  types.NamespacedName
	Name     string // of the port; empty where there is only one
	Protocol corev1.Protocol
	Port     uint16

	ClusterIP netip.Addr
	// External are the addresses at which the port is reached from outside: external IPs and those of load
	// balancers. NodePort is 0 for none.
	External []netip.Addr
	NodePort uint16
	// Sources, where not empty, are the only networks that may use load balancer addresses.
	Sources []netip.Prefix
	// LoadBalancer are those of External to which Sources apply.
	LoadBalancer []netip.Addr

	// Affinity keeps a client at one backend for this long after its last connection; 0 for none.
	Affinity time.Duration
	// Internal serves connections to the cluster IP, Outside those to external addresses and node ports.
	// InternalLocal and ExternalLocal say that only backends on this node may serve; then connections are
	// dropped, not refused, where there are none here but some elsewhere.
	Internal      []Backend
	Outside       []Backend
	InternalLocal bool
	ExternalLocal bool
	// Any are the backends on all nodes, whatever the policies: what pods and the node itself use to
	// reach external addresses under ExternalLocal.
	Any []Backend
	// HealthPort is where load balancers ask whether this node has backends; 0 for none.
	HealthPort uint16
}

// ID names the port uniquely: "ns/name:port/tcp".
func (p *Port) ID() string {
	return p.Service.String() + ":" + p.Name + "/" + strings.ToLower(string(p.Protocol))
}

// Rules are everything that the kernel must hold for one IP family, in a fixed order.
type Rules struct {
	Ports []Port
}

// State is what was last seen of the cluster.
type State struct {
	Services map[types.NamespacedName]*corev1.Service
	Slices   map[types.NamespacedName]map[string]*Slice // by service, by name of the slice
	Node     string
}

// NewState is an empty cluster as seen from a node.
func NewState(node string) *State {
	return &State{
		Services: map[types.NamespacedName]*corev1.Service{},
		Slices:   map[types.NamespacedName]map[string]*Slice{}, Node: node,
	}
}

// Rules gives the rules of a family.
func (s *State) Rules(v6 bool) Rules {
	var r Rules
	for name, svc := range s.Services {
		if !proxied(svc) {
			continue
		}
		cluster, ok := clusterIP(svc, v6)
		if !ok {
			continue
		}
		for i := range svc.Spec.Ports {
			r.Ports = append(r.Ports, s.port(name, svc, &svc.Spec.Ports[i], cluster))
		}
	}
	slices.SortFunc(r.Ports, func(a, b Port) int { return cmp.Compare(a.ID(), b.ID()) })
	return r
}

// proxied says whether a service is this proxy's business: headless ones and external names have no
// address, and a label may name another proxy.
func proxied(svc *corev1.Service) bool {
	if svc.Spec.ClusterIP == corev1.ClusterIPNone || svc.Spec.ClusterIP == "" || svc.Spec.Type == corev1.ServiceTypeExternalName {
		return false
	}
	_, other := svc.Labels["service.kubernetes.io/service-proxy-name"]
	return !other
}

func clusterIP(svc *corev1.Service, v6 bool) (netip.Addr, bool) {
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 {
		ips = []string{svc.Spec.ClusterIP}
	}
	for _, ip := range ips {
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() == v6 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (s *State) port(name types.NamespacedName, svc *corev1.Service, sp *corev1.ServicePort, cluster netip.Addr) Port {
	p := Port{
		Service: name, Name: sp.Name, Protocol: sp.Protocol, Port: uint16(sp.Port), ClusterIP: cluster,
		NodePort: uint16(sp.NodePort), HealthPort: uint16(svc.Spec.HealthCheckNodePort),
		InternalLocal: svc.Spec.InternalTrafficPolicy != nil && *svc.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal,
		ExternalLocal: svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal,
	}
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		p.Affinity = time.Duration(corev1.DefaultClientIPServiceAffinitySeconds) * time.Second
		if c := svc.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			p.Affinity = time.Duration(*c.ClientIP.TimeoutSeconds) * time.Second
		}
	}
	p.addExternal(svc, cluster.Is6())
	all := s.endpoints(name, sp.Name, sp.Protocol, cluster.Is6())
	p.Any = usable(all)
	p.Internal, p.Outside = p.Any, p.Any
	if p.InternalLocal {
		p.Internal = usable(local(all))
	}
	if p.ExternalLocal {
		p.Outside = usable(local(all))
	}
	return p
}

func (p *Port) addExternal(svc *corev1.Service, v6 bool) {
	for _, ip := range svc.Spec.ExternalIPs {
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() == v6 {
			p.External = append(p.External, a)
		}
	}
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return
	}
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if in.IPMode != nil && *in.IPMode == corev1.LoadBalancerIPModeProxy {
			continue // the balancer hands connections over at the node port
		}
		if a, err := netip.ParseAddr(in.IP); err == nil && a.Is6() == v6 {
			p.External = append(p.External, a)
			p.LoadBalancer = append(p.LoadBalancer, a)
		}
	}
	for _, r := range svc.Spec.LoadBalancerSourceRanges {
		if n, err := netip.ParsePrefix(strings.TrimSpace(r)); err == nil && n.Addr().Is6() == v6 {
			p.Sources = append(p.Sources, n.Masked())
		}
	}
}
