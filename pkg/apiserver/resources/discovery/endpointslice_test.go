package discovery

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func faultsOf(s, old *discoveryv1.EndpointSlice) []string {
	defaultEndpointSlice(s)
	var list []string
	for _, f := range validateEndpointSlice(context.Background(), s, old) {
		list = append(list, f.Field+": "+string(f.Type))
	}
	return list
}

func addresses(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)
	}
	return list
}

func TestSlicesHoldSoMuch(t *testing.T) {
	slice := func(e ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: e}
	}
	endpoints := func(n int) []discoveryv1.Endpoint {
		return slices.Repeat([]discoveryv1.Endpoint{{Addresses: addresses(1)}}, n)
	}
	zones := func(n int) *discoveryv1.EndpointHints {
		h := &discoveryv1.EndpointHints{}
		for i := range n {
			h.ForZones = append(h.ForZones, discoveryv1.ForZone{Name: fmt.Sprint("z", i)})
		}
		return h
	}
	for _, test := range []struct {
		name  string
		slice *discoveryv1.EndpointSlice
		want  []string
	}{
		{"no address", slice(discoveryv1.Endpoint{}), []string{"endpoints[0].addresses: FieldValueRequired"}},
		{"100 addresses", slice(discoveryv1.Endpoint{Addresses: addresses(100)}), nil},
		{"101 addresses", slice(discoveryv1.Endpoint{Addresses: addresses(101)}), []string{"endpoints[0].addresses: FieldValueTooMany"}},
		{"1000 endpoints", slice(endpoints(1000)...), nil},
		{"1001 endpoints", slice(endpoints(1001)...), []string{"endpoints: FieldValueTooMany"}},
		{"of the other family, and of the host", slice(discoveryv1.Endpoint{Addresses: []string{"::1"}}),
			[]string{"endpoints[0].addresses: FieldValueInvalid", "endpoints[0].addresses[0]: FieldValueInvalid"}},
		{"an IPv4 address within IPv6", slice(discoveryv1.Endpoint{Addresses: []string{"::ffff:10.0.0.1"}}), []string{"endpoints[0].addresses[0]: FieldValueInvalid"}},
		{"of the other family, spelled oddly", slice(discoveryv1.Endpoint{Addresses: []string{"FD00::1"}}), []string{"endpoints[0].addresses: FieldValueInvalid"}},
		{"no protocol", &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Protocol: new(corev1.Protocol(""))}}},
			[]string{"ports[0].protocol: FieldValueNotSupported"}},
		{"8 zones", slice(discoveryv1.Endpoint{Addresses: addresses(1), Hints: zones(8)}), nil},
		{"9 zones", slice(discoveryv1.Endpoint{Addresses: addresses(1), Hints: zones(9)}), []string{"endpoints[0].hints.forZones: FieldValueTooMany"}},
	} {
		if got := faultsOf(test.slice, nil); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	was := slice(discoveryv1.Endpoint{Addresses: addresses(1)})
	now := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeFQDN, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"a.example"}}}}
	if got := faultsOf(now, was); !slices.Equal(got, []string{"addressType: FieldValueInvalid"}) {
		t.Errorf("another type of address: %v", got)
	}
}

func TestSloppyAddressesStayAsTheyStand(t *testing.T) {
	slice := func(list ...string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: list}}}
	}
	was := slice("010.0.0.1")
	if got := faultsOf(slice("010.0.0.1"), was); len(got) > 0 {
		t.Errorf("as before: %v", got)
	}
	if got := faultsOf(slice("010.0.0.1", "10.0.0.2"), was); !slices.Equal(got, []string{"endpoints[0].addresses[0]: FieldValueInvalid"}) {
		t.Errorf("with another: %v", got)
	}
}

func TestSlicesWarnOfSloppyAddresses(t *testing.T) {
	s := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1", "010.0.0.1"}}}}
	want := []string{`endpoints[0].addresses[1]: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1"`}
	if got := warnEndpointSlice(context.Background(), s, s); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	s.Labels = map[string]string{discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io"}
	if got := warnEndpointSlice(context.Background(), s, s); got != nil {
		t.Errorf("of the controller's: %q", got)
	}
	s = &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeFQDN, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"a.example"}}}}
	if got := warnEndpointSlice(context.Background(), s, nil); !slices.Equal(got, []string{"spec.addressType: FQDN endpoints are deprecated"}) {
		t.Errorf("of names: %q", got)
	}
	if got := warnEndpointSlice(context.Background(), s, s); got != nil {
		t.Errorf("of names that stood: %q", got)
	}
	s.Endpoints[0].Addresses[0] = "10.0.0.01"
	if got := warnEndpointSlice(context.Background(), s, s); len(got) != 1 {
		t.Errorf("of names that look like addresses: %q", got)
	}
}

func TestTopologyThatIsDroppedCounts(t *testing.T) {
	old := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: addresses(1)}}}
	s := old.DeepCopy()
	if prepareEndpointSlice(t.Context(), s, old); s.Generation != 0 {
		t.Errorf("nothing counts: %d", s.Generation)
	}
	s.Endpoints[0].DeprecatedTopology = map[string]string{"a": "b"}
	if prepareEndpointSlice(t.Context(), s, old); s.Generation != 1 || s.Endpoints[0].DeprecatedTopology != nil {
		t.Errorf("generation %d, topology %v", s.Generation, s.Endpoints[0].DeprecatedTopology)
	}
}

func TestCells(t *testing.T) {
	for n, want := range map[int]string{0: "<unset>", 3: "10.0.0.1,10.0.0.2,10.0.0.3", 5: "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."} {
		if got := endpointsCell([]discoveryv1.Endpoint{{Addresses: addresses(n)}}); got != want {
			t.Errorf("%d addresses: %s", n, got)
		}
	}
}
