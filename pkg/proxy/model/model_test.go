package model

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var web = types.NamespacedName{Namespace: "ns", Name: "web"}

func service(change ...func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.9", ClusterIPs: []string{"10.96.0.9"},
		Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}},
	}}
	for _, c := range change {
		c(s)
	}
	return s
}

type ep struct {
	ip, node                   string
	ready, serving, terminates bool
}

func sliceOf(eps ...ep) *Slice {
	name, port, protocol := "http", int32(8080), corev1.ProtocolTCP
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &protocol}}}
	for _, e := range eps {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{e.ip}, NodeName: &e.node,
			Conditions: discoveryv1.EndpointConditions{Ready: &e.ready, Serving: &e.serving, Terminating: &e.terminates},
		})
	}
	return NewSlice(s, "here")
}

func rules(svc *corev1.Service, slices ...*Slice) []Port {
	st := NewState("here")
	st.Services[web] = svc
	st.Slices[web] = map[string]*Slice{}
	for i, s := range slices {
		st.Slices[web][string(rune('a'+i))] = s
	}
	return st.Rules(false).Ports
}

func addresses(bs []Backend) (out []string) {
	for _, b := range bs {
		out = append(out, b.Address.String())
	}
	return out
}

func TestBackends(t *testing.T) {
	up := func(ip, node string) ep { return ep{ip, node, true, true, false} }
	draining := ep{"10.0.0.7", "here", false, true, true}
	dead := ep{"10.0.0.8", "here", false, false, true}
	localInside := func(s *corev1.Service) {
		p := corev1.ServiceInternalTrafficPolicyLocal
		s.Spec.InternalTrafficPolicy = &p
	}
	localOutside := func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeNodePort, corev1.ServiceExternalTrafficPolicyLocal
	}
	for name, c := range map[string]struct {
		svc                    *corev1.Service
		slices                 []*Slice
		internal, outside, any []string
	}{
		"ready ones only": {service(), []*Slice{sliceOf(up("10.0.0.1", "here"), draining, dead)},
			[]string{"10.0.0.1"}, []string{"10.0.0.1"}, []string{"10.0.0.1"}},
		"draining ones when none is ready": {service(), []*Slice{sliceOf(draining, dead)},
			[]string{"10.0.0.7"}, []string{"10.0.0.7"}, []string{"10.0.0.7"}},
		"none": {service(), []*Slice{sliceOf(dead)}, nil, nil, nil},
		"an address in two slices counts once": {service(), []*Slice{sliceOf(up("10.0.0.1", "here")), sliceOf(up("10.0.0.1", "here"))},
			[]string{"10.0.0.1"}, []string{"10.0.0.1"}, []string{"10.0.0.1"}},
		"internal policy Local": {service(localInside), []*Slice{sliceOf(up("10.0.0.1", "here"), up("10.0.0.2", "there"))},
			[]string{"10.0.0.1"}, []string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}},
		"external policy Local": {service(localOutside), []*Slice{sliceOf(up("10.0.0.1", "here"), up("10.0.0.2", "there"))},
			[]string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.1"}, []string{"10.0.0.1", "10.0.0.2"}},
		"loopback and link-local are refused": {service(), []*Slice{sliceOf(up("127.0.0.1", "here"), up("169.254.169.254", "here"))}, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ports := rules(c.svc, c.slices...)
			if len(ports) != 1 {
				t.Fatalf("got %d ports", len(ports))
			}
			p := ports[0]
			got := [][]string{addresses(p.Internal), addresses(p.Outside), addresses(p.Any)}
			if diff := cmp.Diff([][]string{c.internal, c.outside, c.any}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestServicesWithoutAnAddressHaveNoRules(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"headless":      func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"} },
		"external name": func(s *corev1.Service) { s.Spec.Type, s.Spec.ClusterIP = corev1.ServiceTypeExternalName, "" },
		"another proxy": func(s *corev1.Service) {
			s.Labels = map[string]string{"service.kubernetes.io/service-proxy-name": "x"}
		},
		"the other family": func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "fd00::1", []string{"fd00::1"} },
	} {
		if got := rules(service(change)); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAffinityAndExternalAddresses(t *testing.T) {
	seconds := int32(60)
	p := rules(service(func(s *corev1.Service) {
		s.Spec.Type, s.Spec.SessionAffinity = corev1.ServiceTypeLoadBalancer, corev1.ServiceAffinityClientIP
		s.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		s.Spec.ExternalIPs = []string{"192.0.2.1", "2001:db8::1"}
		s.Spec.LoadBalancerSourceRanges = []string{"198.51.100.7/24"}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.2"}}
	}))[0]
	if p.Affinity != time.Minute {
		t.Error(p.Affinity)
	}
	if len(p.External) != 2 || p.LoadBalancer[0] != netip.MustParseAddr("192.0.2.2") || p.Sources[0].String() != "198.51.100.0/24" {
		t.Errorf("%+v", p)
	}
}

func TestStaleUDPNamesWhatLeadsNowhere(t *testing.T) {
	udp := func(backends ...string) Rules {
		p := Port{Service: web, Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053, ClusterIP: netip.MustParseAddr("10.96.0.9")}
		for _, b := range backends {
			p.Any = append(p.Any, Backend{Address: netip.MustParseAddr(b), Port: 53})
		}
		return Rules{Ports: []Port{p}}
	}
	door := func(backend string) []Stale {
		b := netip.Addr{}
		if backend != "" {
			b = netip.MustParseAddr(backend)
		}
		return []Stale{{netip.MustParseAddr("10.96.0.9"), 53, b}, {netip.Addr{}, 30053, b}}
	}
	for name, c := range map[string]struct {
		before, after Rules
		want          []Stale
	}{
		"a backend that went":     {udp("10.0.0.1", "10.0.0.2"), udp("10.0.0.2"), door("10.0.0.1")},
		"a service that went":     {udp("10.0.0.1"), Rules{}, door("10.0.0.1")},
		"the first backend":       {udp(), udp("10.0.0.1"), door("")},
		"one more backend":        {udp("10.0.0.1"), udp("10.0.0.1", "10.0.0.2"), nil},
		"nothing changed":         {udp("10.0.0.1"), udp("10.0.0.1"), nil},
		"a service that is new":   {Rules{}, udp("10.0.0.1"), door("")},
		"new, and still no one":   {Rules{}, udp(), nil},
		"gone, and had never one": {udp(), Rules{}, nil},
	} {
		if diff := cmp.Diff(c.want, StaleUDP(c.before, c.after), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
