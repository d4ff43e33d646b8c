package allocation

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestPortRangesAreRead(t *testing.T) {
	for text, want := range map[string]PortRange{
		"30000-32767": {30000, 2768},
		"30000+2767":  {30000, 2768},
		"80":          {80, 1},
		"1-65535":     {1, 65535},
		"0-10":        {},
		"10-9":        {},
		"1-65536":     {},
		"a-b":         {},
		"":            {},
	} {
		got, err := ParsePortRange(text)
		if got != want || (err != nil) != (want == PortRange{}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestPortsReadWhatUpstreamWrites(t *testing.T) {
	r := PortRange{30000, 2768}
	data := make([]byte, 326) // as kube-apiserver wrote it with 32607 taken
	data[0] = 0x80
	p := readPorts(r, data)
	if !p.has(32607) || p.has(32606) || p.has(32608) {
		t.Error("port 32607 alone is taken")
	}
	if diff := cmp.Diff(data, p.bytes()); diff != "" {
		t.Error(diff)
	}
}

func TestPortsOutsideOfTheRangeAndTakenOnesAreRefused(t *testing.T) {
	p := readPorts(PortRange{30000, 100}, nil)
	for port, want := range map[int]string{29999: "not in the valid range", 30100: "range of valid ports is 30000-30099", 30000: "", 30099: ""} {
		if err := p.take(port); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", port, err)
		}
	}
	if err := p.take(30000); err != errPortTaken {
		t.Errorf("a second time: %v", err)
	}
	p.free([]int{30000, 5})
	if err := p.take(30000); err != nil {
		t.Errorf("after it was freed: %v", err)
	}
}

func TestNextPortKeepsTheBandForLast(t *testing.T) {
	p := readPorts(PortRange{30000, 20}, nil)
	var got []int
	for {
		port, err := p.next(first)
		if err != nil {
			if err != errFull {
				t.Error(err)
			}
			break
		}
		got = append(got, port)
	}
	want := []int{30016, 30017, 30018, 30019}
	for port := 30000; port < 30016; port++ {
		want = append(want, port)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func service(kind corev1.ServiceType, ports ...corev1.ServicePort) *corev1.Service {
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, Ports: ports}}
	s.Namespace, s.Name = "ns", "s"
	return s
}

func port(protocol corev1.Protocol, number, node int32) corev1.ServicePort {
	return corev1.ServicePort{Name: string(protocol), Protocol: protocol, Port: number, NodePort: node}
}

func TestServicesGetNodePorts(t *testing.T) {
	no := false
	local := func(s *corev1.Service, health int32) *corev1.Service {
		s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, health
		return s
	}
	without := func(s *corev1.Service) *corev1.Service {
		s.Spec.AllocateLoadBalancerNodePorts = &no
		return s
	}
	for _, test := range []struct {
		name         string
		now, was     *corev1.Service
		taken, freed []int
		nodePorts    []int32
		fault        string
	}{
		{name: "none for an address", now: service("ClusterIP", port("TCP", 80, 0)), nodePorts: []int32{0}},
		{name: "any", now: service("NodePort", port("TCP", 80, 0)), taken: []int{30128}, nodePorts: []int32{30128}},
		{name: "the one asked for", now: service("NodePort", port("TCP", 80, 30005)), taken: []int{30005}, nodePorts: []int32{30005}},
		{name: "one for two protocols", now: service("NodePort", port("TCP", 80, 0), port("UDP", 80, 0)), taken: []int{30128}, nodePorts: []int32{30128, 30128}},
		{name: "one asked for by the second", now: service("NodePort", port("TCP", 80, 0), port("UDP", 80, 30005)), taken: []int{30005}, nodePorts: []int32{30005, 30005}},
		{name: "taken", now: service("NodePort", port("TCP", 80, 31000)), fault: "spec.ports[0].nodePort: Invalid value: 31000: provided port is already allocated"},
		{name: "out of range", now: service("NodePort", port("TCP", 80, 80)), fault: "The range of valid ports is 30000-34095"},
		{name: "none where unwanted", now: without(service("LoadBalancer", port("TCP", 80, 0))), nodePorts: []int32{0}},
		{name: "asked for though unwanted", now: without(service("LoadBalancer", port("TCP", 80, 30005))), taken: []int{30005}, nodePorts: []int32{30005}},
		{name: "for health", now: without(local(service("LoadBalancer", port("TCP", 80, 0)), 0)), taken: []int{30128}, nodePorts: []int32{0}},
		{name: "for health, taken", now: without(local(service("LoadBalancer", port("TCP", 80, 0)), 31000)), fault: "failed to allocate requested HealthCheck NodePort 31000"},
		{name: "health no longer asked for", was: local(service("LoadBalancer", port("TCP", 80, 30001)), 30002), now: service("LoadBalancer", port("TCP", 80, 30001)),
			freed: []int{30002}, nodePorts: []int32{30001}},
		{name: "kept", was: service("NodePort", port("TCP", 80, 31000)), now: service("LoadBalancer", port("TCP", 80, 31000)), nodePorts: []int32{31000}},
		{name: "changed", was: service("NodePort", port("TCP", 80, 31000)), now: service("NodePort", port("TCP", 80, 30005)), taken: []int{30005}, freed: []int{31000}, nodePorts: []int32{30005}},
		{name: "freed with the type", was: service("NodePort", port("TCP", 80, 31000)), now: service("ClusterIP", port("TCP", 80, 31000)), freed: []int{31000}, nodePorts: []int32{31000}},
		{name: "twice", was: service("NodePort", port("TCP", 80, 31000)), now: service("NodePort", port("TCP", 80, 31000), port("TCP", 81, 31000)), fault: "duplicate nodePort: {TCP 31000}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &plan{ports: readPorts(PortRange{30000, 4096}, nil), random: first}
			if err := p.ports.take(31000); err != nil {
				t.Fatal(err)
			}
			err := p.service(test.now, test.was)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []int32
			for _, p := range test.now.Spec.Ports {
				got = append(got, p.NodePort)
			}
			if !slices.Equal(p.taken, test.taken) || !slices.Equal(p.freed, test.freed) || !slices.Equal(got, test.nodePorts) {
				t.Errorf("took %v, freed %v, ports %v; want %v, %v, %v", p.taken, p.freed, got, test.taken, test.freed, test.nodePorts)
			}
		})
	}
}

func TestPortsOfNobodyAreFreedInTheThirdRound(t *testing.T) {
	var l leaks
	for round, want := range [][]int{nil, nil, {30001}} {
		var free []int
		l, free = l.note([]int{30001})
		if !slices.Equal(free, want) {
			t.Errorf("round %d frees %v", round, free)
		}
	}
	l, _ = leaks{30001: 2}.note(nil)
	if _, free := l.note([]int{30001}); free != nil {
		t.Error("a port that was held between begins anew")
	}
}
