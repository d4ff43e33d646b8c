package allocation

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestFamiliesAreSettled(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	single, prefer, require := corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack
	one, two, six := []corev1.IPFamily{v4}, []corev1.IPFamily{v4, v6}, []corev1.IPFamily{v6, v4}
	spec := func(policy corev1.IPFamilyPolicy, families []corev1.IPFamily, ips ...string) *corev1.Service {
		s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, IPFamilies: families, ClusterIPs: ips, Selector: map[string]string{"a": "b"}}}
		if policy != "" {
			s.Spec.IPFamilyPolicy = &policy
		}
		if len(ips) > 0 {
			s.Spec.ClusterIP = ips[0]
		}
		return s
	}
	bare := func(s *corev1.Service) *corev1.Service {
		s.Spec.Selector = nil
		return s
	}
	onNodes := func(s *corev1.Service) *corev1.Service {
		s.Spec.Type = corev1.ServiceTypeNodePort
		return s
	}
	for _, test := range []struct {
		name     string
		now, was *corev1.Service
		cluster  []corev1.IPFamily
		policy   corev1.IPFamilyPolicy
		families []corev1.IPFamily
		fault    string
	}{
		{name: "nothing said", now: spec("", nil), cluster: two, policy: single, families: one},
		{name: "nothing said where IPv6 is first", now: spec("", nil), cluster: six, policy: single, families: []corev1.IPFamily{v6}},
		{name: "preferring two of two", now: spec(prefer, nil), cluster: two, policy: prefer, families: two},
		{name: "preferring two of one", now: spec(prefer, nil), cluster: one, policy: prefer, families: one},
		{name: "requiring two of one", now: spec(require, nil), cluster: one, fault: "this cluster is not configured for dual-stack services"},
		{name: "the second first", now: spec(require, []corev1.IPFamily{v6}), cluster: two, policy: require, families: six},
		{name: "a family that is not there", now: spec("", []corev1.IPFamily{v6}), cluster: one, fault: "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"},
		{name: "an address of a family that is not there", now: spec("", nil, "fd00::1"), cluster: one, fault: "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster"},
		{name: "an address of the second family", now: spec("", nil, "fd00::1"), cluster: two, policy: single, families: []corev1.IPFamily{v6}},
		{name: "two families for one", now: spec(single, two), cluster: two, fault: "when multiple IP families are specified"},
		{name: "two addresses for one", now: spec(single, nil, "10.0.0.1", "fd00::1"), cluster: two, fault: "when multiple cluster IPs are specified"},
		{name: "headless", now: spec("", nil, "None"), cluster: one, policy: single, families: one},
		{name: "headless without selector", now: bare(spec("", nil, "None")), cluster: one, policy: require, families: two},
		{name: "headless without selector, of IPv6", now: bare(spec(single, []corev1.IPFamily{v6}, "None")), cluster: one, policy: single, families: []corev1.IPFamily{v6}},
		{name: "nothing said on update", now: spec("", two, "10.0.0.1", "fd00::1"), was: spec(require, two, "10.0.0.1", "fd00::1"), cluster: two, policy: require, families: two},
		{name: "narrowed", now: spec(single, two, "10.0.0.1", "fd00::1"), was: spec(require, two, "10.0.0.1", "fd00::1"), cluster: two, policy: single, families: one},
		{name: "narrowed without saying so", now: spec(require, two, "10.0.0.1"), was: spec(require, two, "10.0.0.1", "fd00::1"), cluster: two, fault: "must be 'SingleStack' to release the secondary cluster IP"},
		{name: "a preference outlives the second family", now: spec(prefer, two, "10.0.0.1", "fd00::1"), was: spec(prefer, two, "10.0.0.1", "fd00::1"), cluster: one, policy: prefer, families: two},
		{name: "a preference does not grow", now: spec(prefer, one, "10.0.0.1"), was: spec(prefer, one, "10.0.0.1"), cluster: two, policy: prefer, families: one},
		{name: "a preference grows with another type", now: onNodes(spec(prefer, one, "10.0.0.1")), was: spec(prefer, one, "10.0.0.1"), cluster: two, policy: prefer, families: two},
	} {
		t.Run(test.name, func(t *testing.T) {
			faults := settleFamilies(test.now, test.was, test.cluster)
			if test.fault != "" {
				if len(faults) != 1 || !strings.Contains(faults.ToAggregate().Error(), test.fault) {
					t.Errorf("got %v", faults)
				}
				return
			}
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			if *test.now.Spec.IPFamilyPolicy != test.policy || !slices.Equal(test.now.Spec.IPFamilies, test.families) {
				t.Errorf("%s %v, want %s %v", *test.now.Spec.IPFamilyPolicy, test.now.Spec.IPFamilies, test.policy, test.families)
			}
		})
	}
}

func TestWritersNeedNotRepeatWhatTheServerGave(t *testing.T) {
	was := service("NodePort", port("TCP", 80, 30001), port("UDP", 80, 30002))
	was.Spec.ClusterIP, was.Spec.ClusterIPs = "10.0.0.1", []string{"10.0.0.1"}
	now := service("NodePort", port("TCP", 80, 30002), port("UDP", 80, 0), port("SCTP", 80, 0))
	keepAllocated(now, was)
	if now.Spec.ClusterIP != "10.0.0.1" || !slices.Equal(now.Spec.ClusterIPs, was.Spec.ClusterIPs) {
		t.Errorf("address %s %v", now.Spec.ClusterIP, now.Spec.ClusterIPs)
	}
	if got := now.Spec.Ports; got[1].NodePort != 0 || got[2].NodePort != 0 {
		t.Errorf("the node port that was moved to another port is not given twice: %v", got)
	}
}
