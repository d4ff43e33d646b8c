package core

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestEndpointsShowTheFirstAddressesThatAreReady(t *testing.T) {
	ips := func(list ...string) []corev1.EndpointAddress {
		var out []corev1.EndpointAddress
		for _, ip := range list {
			out = append(out, corev1.EndpointAddress{IP: ip})
		}
		return out
	}
	ports := func(list ...int32) []corev1.EndpointPort {
		var out []corev1.EndpointPort
		for _, n := range list {
			out = append(out, corev1.EndpointPort{Port: n})
		}
		return out
	}
	for name, c := range map[string]struct {
		subsets []corev1.EndpointSubset
		want    string
	}{
		"no subset":     {nil, "<none>"},
		"none is ready": {[]corev1.EndpointSubset{{NotReadyAddresses: ips("10.0.0.1"), Ports: ports(80)}}, ""},
		"without ports": {[]corev1.EndpointSubset{{Addresses: ips("10.0.0.1", "10.0.0.2")}}, "10.0.0.1,10.0.0.2"},
		"three":         {[]corev1.EndpointSubset{{Addresses: ips("10.0.0.1", "10.0.0.2", "fd00::1"), Ports: ports(80)}}, "10.0.0.1:80,10.0.0.2:80,[fd00::1]:80"},
		"four":          {[]corev1.EndpointSubset{{Addresses: ips("10.0.0.1", "10.0.0.2"), Ports: ports(80, 443)}}, "10.0.0.1:80,10.0.0.2:80,10.0.0.1:443 + 1 more..."},
	} {
		if got := endpointsCell(c.subsets); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestEndpointsWarnOfSloppyAddresses(t *testing.T) {
	e := &corev1.Endpoints{Subsets: []corev1.EndpointSubset{{
		Addresses:         []corev1.EndpointAddress{{IP: "10.0.0.1"}, {IP: "2001:DB8::1"}},
		NotReadyAddresses: []corev1.EndpointAddress{{IP: "010.0.0.1"}},
	}}}
	want := []string{`subsets[0].addresses[1].ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")`,
		`subsets[0].notReadyAddresses[0].ip: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"`}
	for _, old := range []*corev1.Endpoints{nil, e} {
		if got := warnEndpoints(context.Background(), e, old); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	e.Labels = map[string]string{"endpoints.kubernetes.io/managed-by": "endpoint-controller"}
	if got := warnEndpoints(context.Background(), e, nil); got != nil {
		t.Errorf("of the controller's: %q", got)
	}
}
