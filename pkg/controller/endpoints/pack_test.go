package endpoints

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const v4 = discoveryv1.AddressTypeIPv4

var ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: ptr.To[int32](80)}}

func endpoint(n int) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", n)}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}
}

func group(from, to int) *Group {
	g := &Group{Type: v4, Ports: ports}
	for i := from; i < to; i++ {
		g.Endpoints = append(g.Endpoints, endpoint(i))
	}
	return g
}

func slice(name string, from, to int) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, AddressType: v4, Ports: ports, Endpoints: group(from, to).Endpoints}
}

func sizes(list []*discoveryv1.EndpointSlice) []string {
	got := []string{}
	for _, s := range list {
		got = append(got, fmt.Sprintf("%s:%d", s.Name, len(s.Endpoints)))
	}
	return got
}

func TestPackWritesAsFewSlicesAsItCan(t *testing.T) {
	for _, c := range []struct {
		name                   string
		existing               []*discoveryv1.EndpointSlice
		from, to               int
		create, update, delete []string
	}{
		{"first endpoints", nil, 0, 5, []string{":3", ":2"}, nil, nil},
		{"nothing changed", []*discoveryv1.EndpointSlice{slice("a", 0, 3), slice("b", 3, 5)}, 0, 5, nil, nil, nil},
		{"one more goes where there is room", []*discoveryv1.EndpointSlice{slice("a", 0, 3), slice("b", 3, 5)}, 0, 6, nil, []string{"b:3"}, nil},
		{"what leaves makes room in the slice that is written anyway", []*discoveryv1.EndpointSlice{slice("a", 0, 3), slice("b", 3, 5)}, 1, 6, nil, []string{"a:3"}, nil},
		{"a slice that empties goes", []*discoveryv1.EndpointSlice{slice("a", 0, 3), slice("b", 3, 5)}, 0, 3, nil, nil, []string{"b:0"}},
		{"the last stays as a placeholder", []*discoveryv1.EndpointSlice{slice("a", 0, 3)}, 0, 0, nil, []string{"a:0"}, nil},
		{"no endpoints at all make a placeholder", nil, 0, 0, []string{":0"}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var groups []*Group
			if c.from < c.to {
				groups = []*Group{group(c.from, c.to)}
			}
			plan := Pack(c.existing, groups, []discoveryv1.AddressType{v4}, 3, func(t discoveryv1.AddressType) *discoveryv1.EndpointSlice {
				return &discoveryv1.EndpointSlice{AddressType: t}
			})
			for _, part := range []struct {
				name string
				want []string
				got  []*discoveryv1.EndpointSlice
			}{{"create", c.create, plan.Create}, {"update", c.update, plan.Update}, {"delete", c.delete, plan.Delete}} {
				if part.want == nil {
					part.want = []string{}
				}
				if d := cmp.Diff(part.want, sizes(part.got)); d != "" {
					t.Errorf("%s: %s", part.name, d)
				}
			}
		})
	}
}

func TestChangedReadinessIsWritten(t *testing.T) {
	g := group(0, 2)
	g.Endpoints[1].Conditions.Ready = new(false)
	plan := Pack([]*discoveryv1.EndpointSlice{slice("a", 0, 2)}, []*Group{g}, nil, 3, nil)
	if len(plan.Update) != 1 || *plan.Update[0].Endpoints[1].Conditions.Ready {
		t.Errorf("updates are %v", plan.Update)
	}
}

func TestOtherPortsReuseTheSlice(t *testing.T) {
	g := group(0, 2)
	g.Ports = []discoveryv1.EndpointPort{{Name: new("http"), Port: ptr.To[int32](8080)}}
	plan := Pack([]*discoveryv1.EndpointSlice{slice("a", 0, 2)}, []*Group{g}, []discoveryv1.AddressType{v4}, 3, func(t discoveryv1.AddressType) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{AddressType: t}
	})
	if len(plan.Create)+len(plan.Delete) != 0 || len(plan.Update) != 1 || *plan.Update[0].Ports[0].Port != 8080 {
		t.Errorf("plan is %+v", plan)
	}
}
