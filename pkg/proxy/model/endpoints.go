package model

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Slice is what the rules need of an EndpointSlice.
type Slice struct {
	Ports     []slicePort
	Endpoints []endpoint
	V6        bool
}

type slicePort struct {
	name     string
	protocol corev1.Protocol
	port     uint16
}

type endpoint struct {
	address            netip.Addr
	node               string
	ready, serving     bool
	terminating, local bool
}

// ServiceOf names the service that a slice belongs to; false where it belongs to none.
func ServiceOf(s *discoveryv1.EndpointSlice) (types.NamespacedName, bool) {
	name := s.Labels[discoveryv1.LabelServiceName]
	return types.NamespacedName{Namespace: s.Namespace, Name: name}, name != ""
}

// NewSlice takes from an EndpointSlice what the rules need. Endpoints at loopback and link-local addresses
// are left out: a service must not lead to the node's own private ports (CVE-2021-25737).
func NewSlice(s *discoveryv1.EndpointSlice, node string) *Slice {
	out := &Slice{V6: s.AddressType == discoveryv1.AddressTypeIPv6}
	for _, p := range s.Ports {
		if p.Port == nil {
			continue
		}
		sp := slicePort{port: uint16(*p.Port), protocol: corev1.ProtocolTCP}
		if p.Name != nil {
			sp.name = *p.Name
		}
		if p.Protocol != nil {
			sp.protocol = *p.Protocol
		}
		out.Ports = append(out.Ports, sp)
	}
	if s.AddressType == discoveryv1.AddressTypeFQDN {
		return out
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue
		}
		a, err := netip.ParseAddr(e.Addresses[0])
		if err != nil || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
			continue
		}
		on := ptr.Deref(e.NodeName, "")
		c := e.Conditions
		ready := c.Ready == nil || *c.Ready
		out.Endpoints = append(out.Endpoints, endpoint{
			address: a, node: on, local: on != "" && on == node, ready: ready,
			serving:     c.Serving != nil && *c.Serving || c.Serving == nil && ready,
			terminating: c.Terminating != nil && *c.Terminating,
		})
	}
	return out
}

// resolved is an endpoint at one port.
type resolved struct {
	Backend
	ready, draining bool // draining: terminating and still serving
}

// endpoints gathers a port's endpoints from all slices of the service, each address once.
func (s *State) endpoints(service types.NamespacedName, port string, protocol corev1.Protocol, v6 bool) []resolved {
	best := map[Backend]resolved{}
	for _, slice := range s.Slices[service] {
		if slice.V6 != v6 {
			continue
		}
		for _, sp := range slice.Ports {
			if sp.name != port || sp.protocol != protocol {
				continue
			}
			for _, e := range slice.Endpoints {
				b := Backend{Address: e.address, Port: sp.port, Local: e.local}
				r := resolved{Backend: b, ready: e.ready, draining: e.serving && e.terminating}
				// The same address may stand in two slices while it moves from one to the other.
				if had, ok := best[b]; ok {
					r.ready, r.draining = r.ready || had.ready, r.draining || had.draining
				}
				best[b] = r
			}
		}
	}
	out := make([]resolved, 0, len(best))
	for _, r := range best {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b resolved) int { return a.compare(b.Backend) })
	return out
}

func local(all []resolved) []resolved {
	var out []resolved
	for _, r := range all {
		if r.Local {
			out = append(out, r)
		}
	}
	return out
}

// usable are the ready endpoints; where there is none, those that are terminating but still serve, so
// that the last pods of a service go on answering while they end.
func usable(all []resolved) []Backend {
	var ready, draining []Backend
	for _, r := range all {
		switch {
		case r.ready:
			ready = append(ready, r.Backend)
		case r.draining:
			draining = append(draining, r.Backend)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return draining
}
