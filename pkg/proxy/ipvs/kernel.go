package ipvs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
)

// Interface is the device that holds the services' addresses, under kube-proxy's name.
const Interface = "kube-ipvs0"

// Server is what a Table needs of the kernel. Real and Fake both pass the contract test.
type Server interface {
	// Virtual lists the virtual services with their backends and each backend's open connections. A
	// backend with weight 0 takes no new ones.
	Virtual() (map[Key]Live, error)
	SetVirtual(k Key, scheduler string, affinity uint32, isNew bool) error
	RemoveVirtual(k Key) error
	SetBackend(k Key, b netip.AddrPort, weight uint32, isNew bool) error
	RemoveBackend(k Key, b netip.AddrPort) error
	// Addresses lists what Interface holds.
	Addresses() (map[netip.Addr]bool, error)
	AddAddress(a netip.Addr) error
	RemoveAddress(a netip.Addr) error
	// RemoveInterface takes the device away; that it was not there is no error.
	RemoveInterface() error
}

// Live is a virtual service as the kernel has it.
type Live struct {
	Affinity  uint32
	Scheduler string
	Backends  map[netip.AddrPort]LiveBackend
}

// LiveBackend is a real server as the kernel has it.
type LiveBackend struct {
	Weight      uint32
	Connections uint32
}

// Kernel is the real Server.
type Kernel struct{ client ipvs.Client }

// NewKernel reaches IPVS. It fails where the kernel has none.
func NewKernel() (*Kernel, error) {
	client, err := ipvs.New()
	if err != nil {
		return nil, fmt.Errorf("this kernel has no IPVS (load the module ip_vs, or use --proxy-mode=nftables): %w", err)
	}
	if _, err := client.Info(); err != nil {
		return nil, fmt.Errorf("IPVS does not answer (load the module ip_vs, or use --proxy-mode=nftables): %w", err)
	}
	return &Kernel{client: client}, nil
}

func (k *Kernel) Virtual() (map[Key]Live, error) {
	services, err := k.client.Services()
	if err != nil && !errors.Is(err, os.ErrNotExist) { // which is how an empty list is answered
		return nil, fmt.Errorf("listing virtual services: %w", err)
	}
	out := map[Key]Live{}
	for _, s := range services {
		if s.FWMark != 0 {
			continue // not of this proxy's making
		}
		destinations, err := k.client.Destinations(s.Service)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("listing real servers: %w", err)
		}
		l := Live{Scheduler: s.Scheduler, Backends: map[netip.AddrPort]LiveBackend{}}
		if s.Flags&ipvs.ServicePersistent != 0 {
			l.Affinity = s.Timeout
		}
		for _, d := range destinations {
			l.Backends[netip.AddrPortFrom(d.Address, d.Port)] = LiveBackend{d.Weight, d.ActiveConnections + d.InactiveConnections}
		}
		out[Key{s.Address, s.Port, protocolName(s.Protocol)}] = l
	}
	return out, nil
}

func (k *Kernel) SetVirtual(key Key, scheduler string, affinity uint32, isNew bool) error {
	s := service(key)
	s.Scheduler = scheduler
	s.Flags = ipvs.ServiceHashed
	if affinity > 0 {
		s.Flags |= ipvs.ServicePersistent
		s.Timeout = affinity
	}
	if isNew {
		return k.client.CreateService(s)
	}
	return k.client.UpdateService(s)
}

func (k *Kernel) RemoveVirtual(key Key) error { return k.client.RemoveService(service(key)) }

func (k *Kernel) SetBackend(key Key, b netip.AddrPort, weight uint32, isNew bool) error {
	d := destination(b)
	d.Weight = weight
	if isNew {
		return k.client.CreateDestination(service(key), d)
	}
	return k.client.UpdateDestination(service(key), d)
}

func (k *Kernel) RemoveBackend(key Key, b netip.AddrPort) error {
	return k.client.RemoveDestination(service(key), destination(b))
}

func service(key Key) ipvs.Service {
	s := ipvs.Service{Address: key.Address, Port: key.Port, Protocol: protocols[key.Protocol], Family: ipvs.INET, Netmask: netmask.MaskFrom(32, 32)}
	if key.Address.Is6() {
		s.Family, s.Netmask = ipvs.INET6, netmask.MaskFrom(128, 128)
	}
	return s
}

func destination(b netip.AddrPort) ipvs.Destination {
	d := ipvs.Destination{Address: b.Addr(), Port: b.Port(), FwdMethod: ipvs.Masquerade, Family: ipvs.INET}
	if b.Addr().Is6() {
		d.Family = ipvs.INET6
	}
	return d
}

var protocols = map[corev1.Protocol]ipvs.Protocol{
	corev1.ProtocolTCP: ipvs.TCP, corev1.ProtocolUDP: ipvs.UDP, corev1.ProtocolSCTP: ipvs.SCTP,
}

func protocolName(p ipvs.Protocol) corev1.Protocol {
	for name, n := range protocols {
		if n == p {
			return name
		}
	}
	return ""
}

func (k *Kernel) Addresses() (map[netip.Addr]bool, error) {
	link, err := device()
	if err != nil {
		return nil, err
	}
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of %s: %w", Interface, err)
	}
	out := map[netip.Addr]bool{}
	for _, a := range list {
		if addr, ok := netip.AddrFromSlice(a.IP); ok && !addr.Unmap().IsLinkLocalUnicast() {
			out[addr.Unmap()] = true
		}
	}
	return out, nil
}

// device gives the device that holds the addresses, made where it is missing. It stays down: an address
// of a device that is down is the node's own all the same, and nothing answers for it on the wire.
func device() (netlink.Link, error) {
	link, err := netlink.LinkByName(Interface)
	if err == nil {
		return link, nil
	}
	if !errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("looking for %s: %w", Interface, err)
	}
	if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: Interface}}); err != nil {
		return nil, fmt.Errorf("making the device %s (is the module dummy there?): %w", Interface, err)
	}
	return netlink.LinkByName(Interface)
}

func (k *Kernel) AddAddress(a netip.Addr) error {
	link, err := device()
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, hostAddress(a)); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("giving %s the address %s: %w", Interface, a, err)
	}
	return nil
}

func (k *Kernel) RemoveAddress(a netip.Addr) error {
	link, err := device()
	if err != nil {
		return err
	}
	if err := netlink.AddrDel(link, hostAddress(a)); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
		return fmt.Errorf("taking the address %s from %s: %w", a, Interface, err)
	}
	return nil
}

func (k *Kernel) RemoveInterface() error {
	link, err := netlink.LinkByName(Interface)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for %s: %w", Interface, err)
	}
	return netlink.LinkDel(link)
}

func hostAddress(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
}
