package core

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// aService is one that is complete, changed by edit.
func aService(edit func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"a": "b"}, ClusterIP: "10.96.0.9", ClusterIPs: []string{"10.96.0.9"},
		IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, Ports: []corev1.ServicePort{{Port: 80}},
	}}
	if edit != nil {
		edit(&s.Spec)
	}
	defaultService(s)
	return s
}

func faultsOf(s, old *corev1.Service) []string {
	var list []string
	for _, f := range validateService(context.Background(), s, old) {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

func TestServicesAreJudgedOnBothSidesOfEachBound(t *testing.T) {
	affine := func(seconds int32) func(*corev1.ServiceSpec) {
		return func(s *corev1.ServiceSpec) {
			s.SessionAffinity = corev1.ServiceAffinityClientIP
			s.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}
		}
	}
	ports := func(list ...corev1.ServicePort) func(*corev1.ServiceSpec) {
		return func(s *corev1.ServiceSpec) { s.Ports = list }
	}
	for _, test := range []struct {
		name string
		edit func(*corev1.ServiceSpec)
		want []string
	}{
		{"complete", nil, nil},
		{"affinity of no time", affine(0), []string{"spec.sessionAffinityConfig.clientIP.timeoutSeconds: FieldValueInvalid"}},
		{"affinity of a second", affine(1), nil},
		{"affinity of a day", affine(86400), nil},
		{"affinity of more", affine(86401), []string{"spec.sessionAffinityConfig.clientIP.timeoutSeconds: FieldValueInvalid"}},
		{"port 0", ports(corev1.ServicePort{Port: 0, TargetPort: intstr.FromInt32(1)}), []string{"spec.ports[0].port: FieldValueInvalid"}},
		{"port 1", ports(corev1.ServicePort{Port: 1}), nil},
		{"port 65535", ports(corev1.ServicePort{Port: 65535}), nil},
		{"port 65536", ports(corev1.ServicePort{Port: 65536, TargetPort: intstr.FromInt32(1)}), []string{"spec.ports[0].port: FieldValueInvalid"}},
		{"two ports need names", ports(corev1.ServicePort{Port: 1}, corev1.ServicePort{Name: "b", Port: 2}), []string{"spec.ports[0].name: FieldValueRequired"}},
		{"one port for two protocols", ports(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Name: "b", Port: 1, Protocol: corev1.ProtocolUDP}), nil},
		{"one port twice", ports(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Name: "b", Port: 1}), []string{"spec.ports[1]: FieldValueDuplicate"}},
		{"no ports", ports(), []string{"spec.ports: FieldValueRequired"}},
		{"headless without ports", func(s *corev1.ServiceSpec) { s.Ports, s.ClusterIP, s.ClusterIPs = nil, "None", []string{"None"} }, nil},
		{"a node port without the type", ports(corev1.ServicePort{Port: 1, NodePort: 30000}), []string{"spec.ports[0].nodePort: FieldValueForbidden"}},
		{"the kubelet's port, balanced", func(s *corev1.ServiceSpec) {
			s.Type, s.Ports = corev1.ServiceTypeLoadBalancer, []corev1.ServicePort{{Port: 10250}}
		}, nil},
		{"headless with node ports", func(s *corev1.ServiceSpec) {
			s.Type, s.ClusterIP, s.ClusterIPs = corev1.ServiceTypeNodePort, "None", []string{"None"}
		}, []string{"spec.clusterIPs[0]: FieldValueInvalid"}},
		{"the empty ways", func(s *corev1.ServiceSpec) {
			s.InternalTrafficPolicy, s.TrafficDistribution = new(corev1.ServiceInternalTrafficPolicy("")), new("")
		}, []string{"spec.internalTrafficPolicy: FieldValueNotSupported", "spec.trafficDistribution: FieldValueNotSupported"}},
		{"an outside policy within", func(s *corev1.ServiceSpec) { s.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal },
			[]string{"spec.externalTrafficPolicy: FieldValueInvalid"}},
		{"an outside policy with external addresses", func(s *corev1.ServiceSpec) {
			s.ExternalTrafficPolicy, s.ExternalIPs = corev1.ServiceExternalTrafficPolicyLocal, []string{"1.2.3.4"}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := faultsOf(aService(test.edit), nil); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestWhatServicesMayChange(t *testing.T) {
	two := func(s *corev1.ServiceSpec) {
		s.ClusterIPs, s.IPFamilies = []string{"10.96.0.9", "fd00::9"}, []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	}
	single := corev1.IPFamilyPolicySingleStack
	balanced := func(class string) func(*corev1.ServiceSpec) {
		return func(s *corev1.ServiceSpec) {
			s.Type = corev1.ServiceTypeLoadBalancer
			if class != "" {
				s.LoadBalancerClass = &class
			}
		}
	}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.ServiceSpec)
		want     []string
	}{
		{"its address", nil, func(s *corev1.ServiceSpec) { s.ClusterIP, s.ClusterIPs = "10.96.0.8", []string{"10.96.0.8"} }, []string{"spec.clusterIPs[0]: FieldValueInvalid"}},
		{"a second address", nil, two, nil},
		{"back to one, without a word", two, nil, []string{"spec.ipFamilyPolicy: FieldValueInvalid", "spec.ipFamilyPolicy: FieldValueInvalid"}},
		{"back to one", two, func(s *corev1.ServiceSpec) { s.IPFamilyPolicy = &single }, nil},
		{"no family, but an address", nil, func(s *corev1.ServiceSpec) { s.IPFamilies = nil }, nil},
		{"no family and no address", nil, func(s *corev1.ServiceSpec) { s.IPFamilies, s.ClusterIP, s.ClusterIPs = nil, "", nil },
			[]string{"spec.clusterIPs[0]: FieldValueInvalid", "spec.ipFamilies[0]: FieldValueInvalid"}},
		{"the class", balanced("x.io/a"), balanced("x.io/b"), []string{"spec.loadBalancerClass: FieldValueInvalid"}},
		{"the class, later", balanced(""), balanced("x.io/b"), []string{"spec.loadBalancerClass: FieldValueInvalid"}},
		{"the class with the type", nil, balanced("x.io/b"), nil},
		{"a class that is none", nil, balanced("b b"), []string{"spec.loadBalancerClass: FieldValueInvalid", "spec.loadBalancerClass: FieldValueInvalid"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := faultsOf(aService(test.now), aService(test.was)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestChangeOfTypeDropsWhatHasNoSense(t *testing.T) {
	was := aService(func(s *corev1.ServiceSpec) {
		s.Type, s.ExternalTrafficPolicy, s.HealthCheckNodePort = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal, 30009
		s.Ports[0].NodePort = 30001
	})
	was.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "1.2.3.4"}}
	now := was.DeepCopy()
	now.Spec.Type = corev1.ServiceTypeClusterIP
	prepareService(context.Background(), now, was)
	if s := now.Spec; s.Ports[0].NodePort != 0 || s.HealthCheckNodePort != 0 || s.ExternalTrafficPolicy != "" || s.AllocateLoadBalancerNodePorts != nil || len(now.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("left: %+v %+v", s, now.Status)
	}
	now = was.DeepCopy()
	now.Spec.Type, now.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 30002
	prepareService(context.Background(), now, was)
	if now.Spec.Ports[0].NodePort != 30002 {
		t.Error("a node port that the client changed is left, for validation to refuse")
	}
}

func TestServiceRows(t *testing.T) {
	for _, test := range []struct {
		edit           func(*corev1.ServiceSpec)
		outside, ports string
	}{
		{nil, "<none>", "80/TCP"},
		{func(s *corev1.ServiceSpec) { s.ExternalIPs = []string{"1.2.3.4", "2.3.4.5"} }, "1.2.3.4,2.3.4.5", "80/TCP"},
		{func(s *corev1.ServiceSpec) { s.Type, s.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, 30001 }, "<pending>", "80:30001/TCP"},
		{func(s *corev1.ServiceSpec) {
			s.Type, s.ExternalName, s.Ports = corev1.ServiceTypeExternalName, "x.example", nil
		}, "x.example", "<none>"},
	} {
		s := aService(test.edit)
		if outside, ports := outsideAddress(s), portsCell(s.Spec.Ports); outside != test.outside || ports != test.ports {
			t.Errorf("%s %s, want %s %s", outside, ports, test.outside, test.ports)
		}
	}
}

func TestServicesWarn(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*corev1.ServiceSpec)
		want []string
	}{
		{"complete", nil, nil},
		{"addresses from outside", func(s *corev1.ServiceSpec) { s.ExternalIPs = []string{"1.2.3.4"} },
			[]string{"spec.externalIPs is deprecated and may no longer be implemented in some clusters"}},
		{"networks", func(s *corev1.ServiceSpec) {
			s.Type, s.LoadBalancerSourceRanges = corev1.ServiceTypeLoadBalancer, []string{"FD00::/64", " FD00::/64"}
		}, []string{`spec.loadBalancerSourceRanges[0]: IPv6 CIDR value "FD00::/64" should be in RFC 5952 canonical format ("fd00::/64")`}},
		{"headless", func(s *corev1.ServiceSpec) {
			s.ClusterIP, s.ClusterIPs, s.SessionAffinity = "None", []string{"None"}, corev1.ServiceAffinityClientIP
			s.ExternalIPs, s.LoadBalancerIP = []string{"1.2.3.4"}, "1.2.3.4"
		}, []string{"spec.loadBalancerIP is ignored for headless services", "spec.externalIPs is ignored for headless services",
			"spec.SessionAffinity is ignored for headless services"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := warnService(context.Background(), aService(test.edit), nil); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
