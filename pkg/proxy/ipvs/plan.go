// Package ipvs puts the proxy's rules into the kernel's virtual server: one virtual service for each
// address and port of a service, one real server for each backend.
package ipvs

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Key names a virtual service.
type Key struct {
	Address  netip.Addr
	Port     uint16
	Protocol corev1.Protocol
}

// Virtual is what the kernel must hold for a key.
type Virtual struct {
	Affinity uint32 // seconds; 0 for none
	Backends map[netip.AddrPort]bool
}

// Plan is everything that the kernel must hold: virtual services, and the addresses (of services, not of
// the node) that this node must take packets for.
type Plan struct {
	Virtual   map[Key]Virtual
	Addresses map[netip.Addr]bool
}

// NewPlan turns rules into virtual services. nodes are the node's own addresses, at which node ports are
// served. A virtual service without backends refuses connections.
func NewPlan(r model.Rules, nodes []netip.Addr) Plan {
	p := Plan{Virtual: map[Key]Virtual{}, Addresses: map[netip.Addr]bool{}}
	for i := range r.Ports {
		s := &r.Ports[i]
		add := func(a netip.Addr, port uint16, backends []model.Backend) {
			v := Virtual{Affinity: uint32(s.Affinity.Seconds()), Backends: map[netip.AddrPort]bool{}}
			for _, b := range backends {
				v.Backends[netip.AddrPortFrom(b.Address, b.Port)] = true
			}
			p.Virtual[Key{a, port, s.Protocol}] = v
		}
		add(s.ClusterIP, s.Port, s.Internal)
		p.Addresses[s.ClusterIP] = true
		for _, a := range s.External {
			add(a, s.Port, s.Outside)
			p.Addresses[a] = true
		}
		if s.NodePort != 0 {
			for _, a := range nodes {
				add(a, s.NodePort, s.Outside)
			}
		}
	}
	for _, a := range nodes {
		delete(p.Addresses, a) // an external IP that the node has itself needs no second home
	}
	return p
}
