package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Links names this machine's network interfaces.
func Links() ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Attrs().Name)
	}
	slices.Sort(names)
	return names, nil
}

// podBridge is the bridge that pods are attached to.
const podBridge = "cni0"

// podLinks are interfaces that pod networks and proxies make.
var podLinks = []string{podBridge, "flannel.1", "flannel-v6.1", "kube-bridge", "kube-ipvs0"}

// PodLinks are the interfaces of the pod network: its bridge and what is attached to it, its tunnels. Those
// named in before are left out.
func PodLinks(before []string) ([]string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	bridge := 0
	for _, l := range links {
		if l.Attrs().Name == podBridge {
			bridge = l.Attrs().Index
		}
	}
	var names []string
	for _, l := range links {
		a := l.Attrs()
		ours := slices.Contains(podLinks, a.Name) || bridge != 0 && a.MasterIndex == bridge
		if ours && !slices.Contains(before, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names, nil
}

// RemoveLink removes a network interface; one that is gone already is no error.
func RemoveLink(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		if _, gone := err.(netlink.LinkNotFoundError); gone {
			return nil
		}
		return fmt.Errorf("finding the interface %s: %w", name, err)
	}
	if err := netlink.LinkDel(l); err != nil {
		return fmt.Errorf("removing the interface %s: %w", name, err)
	}
	return nil
}

// Routes lists the routes to parts of a network, as text.
func Routes(cidr string) ([]string, error) {
	routes, err := routesWithin(cidr)
	var out []string
	for _, r := range routes {
		out = append(out, fmt.Sprintf("route to %s via %s", r.Dst, r.Gw))
	}
	return out, err
}

// RemoveRoutes removes the routes to parts of a network, which host-gw makes towards other nodes.
func RemoveRoutes(cidr string) (removed []string, err error) {
	routes, err := routesWithin(cidr)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if err := netlink.RouteDel(&r); err != nil {
			return removed, fmt.Errorf("removing the route to %s: %w", r.Dst, err)
		}
		removed = append(removed, fmt.Sprintf("route to %s", r.Dst))
	}
	return removed, nil
}

func routesWithin(cidrs string) (out []netlink.Route, err error) {
	for cidr := range strings.SplitSeq(cidrs, ",") {
		within, err := netip.ParsePrefix(cidr)
		if err != nil {
			continue // none is known
		}
		family := netlink.FAMILY_V4
		if within.Addr().Is6() {
			family = netlink.FAMILY_V6
		}
		routes, err := netlink.RouteList(nil, family)
		if err != nil {
			return nil, fmt.Errorf("listing routes: %w", err)
		}
		for _, r := range routes {
			if r.Dst == nil || r.Gw == nil {
				continue
			}
			if a, ok := netip.AddrFromSlice(r.Dst.IP); ok && within.Contains(a.Unmap()) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// Listening tells whether something listens at a TCP port of this machine, by trying to take it.
func Listening(address string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return true
	}
	_ = l.Close()
	return false
}
