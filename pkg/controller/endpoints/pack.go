package endpoints

import (
	"encoding/json"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Group are the endpoints of one address family that have the same ports.
type Group struct {
	Type      discoveryv1.AddressType
	Ports     []discoveryv1.EndpointPort
	Endpoints []discoveryv1.Endpoint
}

// Plan says what becomes of slices. Update holds copies, changed.
type Plan struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// key is what makes groups, and slices of the same group, equal.
func key(t discoveryv1.AddressType, ports []discoveryv1.EndpointPort) string {
	parts := make([]string, 0, len(ports)+1)
	for _, p := range ports {
		data, err := json.Marshal(p)
		if err != nil {
			panic(err) // API types always encode
		}
		parts = append(parts, string(data))
	}
	slices.Sort(parts)
	data, err := json.Marshal(append(parts, string(t)))
	if err != nil {
		panic(err)
	}
	return string(data)
}

// GroupBy puts an endpoint into the group of its family and ports, which is made where there is none.
func GroupBy(groups []*Group, t discoveryv1.AddressType, ports []discoveryv1.EndpointPort, e discoveryv1.Endpoint) []*Group {
	k := key(t, ports)
	for _, g := range groups {
		if key(g.Type, g.Ports) == k {
			g.Endpoints = append(g.Endpoints, e)
			return groups
		}
	}
	return append(groups, &Group{Type: t, Ports: ports, Endpoints: []discoveryv1.Endpoint{e}})
}

// Pack brings slices to hold the groups, at most size endpoints each, writing as few slices as it can:
// endpoints stay where they are; new ones go into slices that are written anyway, then into the fullest
// one that holds them all, and only then into new slices. For each family in types one slice is left even
// where there is no endpoint. fresh makes an empty slice of a family.
func Pack(existing []*discoveryv1.EndpointSlice, groups []*Group, types []discoveryv1.AddressType, size int, fresh func(discoveryv1.AddressType) *discoveryv1.EndpointSlice) Plan {
	byKey := map[string][]*discoveryv1.EndpointSlice{}
	for _, s := range existing {
		k := key(s.AddressType, s.Ports)
		byKey[k] = append(byKey[k], s)
	}
	var plan Plan
	kept := map[discoveryv1.AddressType]int{}
	for _, g := range groups {
		k := key(g.Type, g.Ports)
		p, n := packGroup(byKey[k], g, size, fresh)
		delete(byKey, k)
		plan.Create = append(plan.Create, p.Create...)
		plan.Update = append(plan.Update, p.Update...)
		plan.Delete = append(plan.Delete, p.Delete...)
		kept[g.Type] += n
	}
	for _, s := range existing { // in their own order, not the map's
		if _, left := byKey[key(s.AddressType, s.Ports)]; left {
			plan.Delete = append(plan.Delete, s)
		}
	}
	reuse(&plan)
	for _, t := range types {
		if kept[t] == 0 {
			placeholder(&plan, t, fresh)
		}
	}
	return plan
}

// packGroup packs one group into its slices, and answers how many slices it has then.
func packGroup(existing []*discoveryv1.EndpointSlice, g *Group, size int, fresh func(discoveryv1.AddressType) *discoveryv1.EndpointSlice) (Plan, int) {
	wanted := map[string]discoveryv1.Endpoint{}
	var order []string
	for _, e := range g.Endpoints {
		id := identity(&e)
		if _, ok := wanted[id]; !ok {
			order = append(order, id)
		}
		wanted[id] = e
	}
	var plan Plan
	var untouched []*discoveryv1.EndpointSlice
	for _, s := range existing {
		next, changed := s.DeepCopy(), false
		next.Endpoints = nil
		for _, e := range s.Endpoints {
			id := identity(&e)
			w, ok := wanted[id]
			if !ok || len(next.Endpoints) >= size {
				changed = true
				continue
			}
			changed = changed || !equality.Semantic.DeepEqual(e, w)
			next.Endpoints = append(next.Endpoints, w)
			delete(wanted, id)
		}
		switch {
		case changed:
			plan.Update = append(plan.Update, next)
		default:
			untouched = append(untouched, next)
		}
	}
	var rest []discoveryv1.Endpoint
	for _, id := range order {
		if e, ok := wanted[id]; ok {
			rest = append(rest, e)
		}
	}
	rest = fill(plan.Update, rest, size)
	if i := fullestThatHolds(untouched, len(rest), size); len(rest) > 0 && i >= 0 {
		untouched[i].Endpoints = append(untouched[i].Endpoints, rest...)
		plan.Update = append(plan.Update, untouched[i])
		untouched, rest = slices.Delete(untouched, i, i+1), nil
	}
	for len(rest) > 0 {
		n := min(size, len(rest))
		s := fresh(g.Type)
		s.Ports, s.Endpoints = g.Ports, rest[:n:n]
		plan.Create, rest = append(plan.Create, s), rest[n:]
	}
	dropEmpty(&plan, &untouched)
	return plan, len(plan.Create) + len(plan.Update) + len(untouched)
}

func fill(into []*discoveryv1.EndpointSlice, rest []discoveryv1.Endpoint, size int) []discoveryv1.Endpoint {
	into = slices.Clone(into)
	slices.SortStableFunc(into, func(a, b *discoveryv1.EndpointSlice) int { return len(b.Endpoints) - len(a.Endpoints) })
	for _, s := range into {
		n := min(size-len(s.Endpoints), len(rest))
		s.Endpoints, rest = append(s.Endpoints, rest[:n]...), rest[n:]
	}
	return rest
}

func fullestThatHolds(list []*discoveryv1.EndpointSlice, n, size int) int {
	best := -1
	for i, s := range list {
		if len(s.Endpoints)+n <= size && (best < 0 || len(s.Endpoints) > len(list[best].Endpoints)) {
			best = i
		}
	}
	return best
}

// dropEmpty moves slices that hold nothing any more to those to delete.
func dropEmpty(plan *Plan, untouched *[]*discoveryv1.EndpointSlice) {
	empty := func(s *discoveryv1.EndpointSlice) bool {
		if len(s.Endpoints) == 0 {
			plan.Delete = append(plan.Delete, s)
			return true
		}
		return false
	}
	plan.Update = slices.DeleteFunc(plan.Update, empty)
	*untouched = slices.DeleteFunc(*untouched, empty)
}

// reuse writes into slices that would be deleted instead of making new ones: one event for watchers, not two.
func reuse(plan *Plan) {
	plan.Create = slices.DeleteFunc(plan.Create, func(s *discoveryv1.EndpointSlice) bool {
		for i, old := range plan.Delete {
			if old.AddressType == s.AddressType {
				old = old.DeepCopy()
				old.Ports, old.Endpoints = s.Ports, s.Endpoints
				plan.Update = append(plan.Update, old)
				plan.Delete = slices.Delete(plan.Delete, i, i+1)
				return true
			}
		}
		return false
	})
}

// placeholder keeps or makes one empty slice, so that a service without endpoints is seen to have none.
func placeholder(plan *Plan, t discoveryv1.AddressType, fresh func(discoveryv1.AddressType) *discoveryv1.EndpointSlice) {
	for i, s := range plan.Delete {
		if s.AddressType != t {
			continue
		}
		plan.Delete = slices.Delete(plan.Delete, i, i+1)
		if len(s.Endpoints) > 0 || len(s.Ports) > 0 {
			s = s.DeepCopy()
			s.Endpoints, s.Ports = []discoveryv1.Endpoint{}, []discoveryv1.EndpointPort{}
		}
		// Written also where nothing changed: the caller leaves out what is equal.
		plan.Update = append(plan.Update, s)
		return
	}
	s := fresh(t)
	s.Endpoints, s.Ports = []discoveryv1.Endpoint{}, []discoveryv1.EndpointPort{}
	plan.Create = append(plan.Create, s)
}

// identity tells endpoints apart: what they stand for, and their first address.
func identity(e *discoveryv1.Endpoint) string {
	id := ""
	if len(e.Addresses) > 0 {
		id = e.Addresses[0]
	}
	if e.TargetRef != nil {
		id += "/" + string(e.TargetRef.UID) + "/" + e.TargetRef.Namespace + "/" + e.TargetRef.Name
	}
	return id
}
