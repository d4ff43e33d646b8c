package networking

import (
	"context"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestServiceNetworksOnlyGrow(t *testing.T) {
	const four, otherFour, six, loose = "10.0.0.0/24", "10.0.1.0/24", "fd00::/64", "10.0.0.1/24"
	for _, test := range []struct {
		name     string
		was, now []string
		want     []string
	}{
		{"none", nil, nil, []string{"spec.cidrs: FieldValueRequired"}},
		{"one", nil, []string{four}, nil},
		{"two families", nil, []string{six, four}, nil},
		{"one family twice", nil, []string{four, otherFour}, []string{"spec.cidrs: FieldValueInvalid"}},
		{"three", nil, []string{four, six, otherFour}, []string{"spec.cidrs: FieldValueInvalid"}},
		{"an address", nil, []string{loose}, []string{"spec.cidrs[0]: FieldValueInvalid"}},
		{"one family twice, one of them an address", nil, []string{loose, otherFour}, []string{"spec.cidrs[0]: FieldValueInvalid", "spec.cidrs: FieldValueInvalid"}},
		{"as before", []string{four}, []string{four}, nil},
		{"grown", []string{four}, []string{four, six}, nil},
		{"grown by the same family", []string{four}, []string{four, otherFour}, []string{"spec.cidrs: FieldValueInvalid"}},
		{"changed", []string{four}, []string{otherFour}, []string{"spec.cidrs[0]: FieldValueInvalid"}},
		{"turned", []string{four, six}, []string{six, four}, []string{"spec.cidrs[0]: FieldValueInvalid", "spec.cidrs[1]: FieldValueInvalid"}},
		{"shrunk", []string{four, six}, []string{four}, []string{"spec.cidrs: FieldValueInvalid"}},
	} {
		var old *networkingv1.ServiceCIDR
		if test.was != nil {
			old = &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: test.was}}
		}
		var got []string
		for _, f := range validateServiceCIDR(context.Background(), &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: test.now}}, old) {
			got = append(got, f.Field+": "+string(f.Type))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestAServiceNetworksStatusIsWrittenAlone: neither the networks nor labels and their like change with it.
func TestAServiceNetworksStatusIsWrittenAlone(t *testing.T) {
	old := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "n", Finalizers: []string{"a.b/c"}}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/24"}}}
	now := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"a": "b"}}}
	now.Status.Conditions = []metav1.Condition{{Type: "Ready"}}
	ServiceCIDR().Subresources[0].Update.Prepare(t.Context(), now, old)
	if len(now.Labels) > 0 || len(now.Finalizers) != 1 || len(now.Spec.CIDRs) != 1 || len(now.Status.Conditions) != 1 {
		t.Errorf("made %+v", now)
	}
}

func TestServiceNetworksAreRefusedInWords(t *testing.T) {
	for want, networks := range map[string][]string{
		`spec.cidrs: Invalid value: {"CIDRs":["a","b","c"]}: may only hold up to 2 values`:                                                                   {"a", "b", "c"},
		`spec.cidrs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64`: {"10.0.0.0/24", "10.0.1.0/24"},
	} {
		faults := validateServiceCIDR(context.Background(), &networkingv1.ServiceCIDR{Spec: networkingv1.ServiceCIDRSpec{CIDRs: networks}}, nil)
		if len(faults) != 1 || faults[0].Error() != want {
			t.Errorf("%v, want %s", faults, want)
		}
	}
}

func TestAddressesHaveOneName(t *testing.T) {
	for name, good := range map[string]bool{"10.0.0.1": true, "10.0.0.01": false, "2001:db8::1": true, "2001:DB8::1": false, "2001:db8:0::1": false, "::ffff:10.0.0.1": false, "a": false} {
		if got := len(addressName(name, false)) == 0; got != good {
			t.Errorf("%s: %v", name, got)
		}
	}
}
