package model

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Stale is a set of connection tracking entries that lead to a backend that is gone, or that were made
// while a port had no backend. UDP has no end of connection: without their removal a client goes on
// sending to where nobody listens.
type Stale struct {
	Destination netip.Addr // the service's address; invalid for a node port
	Port        uint16     // the service's port or node port
	Backend     netip.Addr // invalid: entries that lead to no backend
}

// StaleUDP compares two sets of rules and names the entries to drop.
func StaleUDP(before, after Rules) []Stale {
	now := map[string]*Port{}
	for i := range after.Ports {
		now[after.Ports[i].ID()] = &after.Ports[i]
	}
	was := map[string]bool{}
	var out []Stale
	for i := range before.Ports {
		p := &before.Ports[i]
		was[p.ID()] = len(p.Any) > 0
		if p.Protocol != corev1.ProtocolUDP {
			continue
		}
		for _, b := range p.Any {
			next := now[p.ID()]
			if next != nil && next.ClusterIP == p.ClusterIP && slices.ContainsFunc(next.Any, func(n Backend) bool { return n.Address == b.Address }) {
				continue
			}
			for _, to := range p.doors() {
				to.Backend = b.Address
				out = append(out, to)
			}
		}
	}
	for i := range after.Ports {
		p := &after.Ports[i]
		if p.Protocol == corev1.ProtocolUDP && len(p.Any) > 0 && !was[p.ID()] {
			out = append(out, p.doors()...)
		}
	}
	return out
}

// doors are the destinations at which a port is reached.
func (p *Port) doors() []Stale {
	out := []Stale{{Destination: p.ClusterIP, Port: p.Port}}
	for _, e := range p.External {
		out = append(out, Stale{Destination: e, Port: p.Port})
	}
	if p.NodePort != 0 {
		out = append(out, Stale{Port: p.NodePort})
	}
	return out
}
