package node

import (
	"context"
	"errors"
	"net"
)

// DetectIPs finds the node's address where none is configured: the one that the machine's name stands for,
// or the one that it would reach the world from, or the first that is no loopback.
func DetectIPs(ctx context.Context, hostname string) ([]net.IP, error) {
	local, err := localIPs()
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(hostname); ip != nil {
		return []net.IP{ip}, nil
	}
	if found, err := net.DefaultResolver.LookupIP(ctx, "ip", hostname); err == nil {
		if ip := choose(found, local); ip != nil {
			return []net.IP{ip}, nil
		}
	}
	// No packet is sent: a UDP socket only asks the routing table. The addresses are for documentation.
	for _, target := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", target)
		if err != nil {
			continue
		}
		ip := conn.LocalAddr().(*net.UDPAddr).IP
		_ = conn.Close()
		if usable(ip) {
			return []net.IP{ip}, nil
		}
	}
	if ip := choose(local, local); ip != nil {
		return []net.IP{ip}, nil
	}
	return nil, errors.New("this machine has no address that others could reach; name one with --node-ip")
}

func usable(ip net.IP) bool { return ip.IsGlobalUnicast() && !ip.IsLinkLocalUnicast() }

// choose takes the first usable address of found that the machine has, IPv4 before IPv6.
func choose(found, local []net.IP) net.IP {
	var other net.IP
	for _, ip := range found {
		for _, own := range local {
			if !own.Equal(ip) || !usable(ip) {
				continue
			}
			if ip.To4() != nil {
				return ip
			}
			if other == nil {
				other = ip
			}
		}
	}
	return other
}

func localIPs() ([]net.IP, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var ips []net.IP
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			ips = append(ips, n.IP)
		}
	}
	return ips, nil
}
