// Package conntrack drops the kernel's connection tracking entries of UDP flows that lead to backends
// that are gone.
package conntrack

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Drop removes the UDP entries of one IP family that match any of stale.
func Drop(stale []model.Stale, v6 bool) error {
	if len(stale) == 0 {
		return nil
	}
	family := netlink.InetFamily(unix.AF_INET)
	if v6 {
		family = unix.AF_INET6
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, newFilter(stale)); err != nil {
		return fmt.Errorf("dropping stale UDP connection tracking entries: %w", err)
	}
	return nil
}

// filter answers whether an entry is to go. It is asked about every entry of the kernel, so it looks
// destinations up.
type filter struct {
	doors map[door]map[netip.Addr]bool // backends, or the zero address for any entry
}

type door struct {
	address netip.Addr // invalid: any (a node port)
	port    uint16
}

func newFilter(stale []model.Stale) *filter {
	f := &filter{doors: map[door]map[netip.Addr]bool{}}
	for _, s := range stale {
		d := door{s.Destination, s.Port}
		if f.doors[d] == nil {
			f.doors[d] = map[netip.Addr]bool{}
		}
		f.doors[d][s.Backend] = true
	}
	return f
}

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f *filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	to, _ := netip.AddrFromSlice(flow.Forward.DstIP)
	answers, _ := netip.AddrFromSlice(flow.Reverse.SrcIP)
	to, answers = to.Unmap(), answers.Unmap()
	for _, d := range []door{{to, flow.Forward.DstPort}, {netip.Addr{}, flow.Forward.DstPort}} {
		backends := f.doors[d]
		// An entry that leads to no backend answers from the very address that it was sent to.
		if backends[answers] || backends[netip.Addr{}] && answers == to {
			return true
		}
	}
	return false
}
