package allocation

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Bounds of the band at the low end of a network that is kept for addresses that clients choose: a sixteenth
// of the network, but no less than 16 and no more than 256 addresses. Networks of 16 addresses have none.
const (
	addressBandShare = 16
	addressBandMin   = 16
	addressBandMax   = 256
)

// block is one network of service addresses.
type block struct {
	prefix netip.Prefix
	first  netip.Addr
	size   uint64 // how many addresses there are from first on
	band   uint64 // how many of them the server itself takes only when there is nothing else
}

func newBlock(p netip.Prefix) block {
	p = p.Masked()
	host := p.Addr().BitLen() - p.Bits()
	all, size := uint64(math.MaxUint64), uint64(math.MaxUint64) // as many as are counted of larger networks
	if host < 64 {
		all = 1 << host
		unusable := uint64(1) // the network's own address
		if p.Addr().Is4() {
			unusable = 2 // and that of broadcast
		}
		size = all - min(all, unusable)
	}
	b := block{prefix: p, first: p.Addr().Next(), size: size, band: band(all, addressBandShare, addressBandMin, addressBandMax)}
	b.band = min(b.band, b.size)
	return b
}

// band is the share of size, within bounds; what is no larger than the least bound has none.
func band(size, share, least, most uint64) uint64 {
	if size <= least {
		return 0
	}
	return min(max(size/share, least), most)
}

func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// contains says whether an address may be given to a service.
func (b block) contains(a netip.Addr) bool {
	if !b.prefix.Contains(a) || a.Less(b.first) {
		return false
	}
	return b.size > 0 && !b.at(b.size-1).Less(a)
}

// at is the address that stands n after the first.
func (b block) at(n uint64) netip.Addr {
	if b.first.Is4() {
		a := b.first.As4()
		binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n))
		return netip.AddrFrom4(a)
	}
	a := b.first.As16()
	low, carry := bits.Add64(binary.BigEndian.Uint64(a[8:]), n, 0)
	binary.BigEndian.PutUint64(a[8:], low)
	binary.BigEndian.PutUint64(a[:8], binary.BigEndian.Uint64(a[:8])+carry)
	return netip.AddrFrom16(a)
}

// candidates goes through all addresses: those above the band from a random one on, and then the band.
func (b block) candidates(random func(n uint64) uint64) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for n := range scan(b.band, b.size, random) {
			if !yield(b.at(n)) {
				return
			}
		}
		for n := range scan(0, b.band, random) {
			if !yield(b.at(n)) {
				return
			}
		}
	}
}

// scan goes once around the numbers from low up to high, beginning anywhere.
func scan(low, high uint64, random func(n uint64) uint64) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		if high <= low {
			return
		}
		size := high - low
		start := random(size)
		for i := range size {
			if !yield(low + (start+i)%size) {
				return
			}
		}
	}
}
