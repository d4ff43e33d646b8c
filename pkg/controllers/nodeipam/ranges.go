package nodeipam

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"sync"
)

var errExhausted = errors.New("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")

// ranges gives out equal parts of a range. It is safe for use by several.
type ranges struct {
	all  netip.Prefix
	bits int // prefix length of a part

	mu   sync.Mutex
	used map[netip.Prefix]bool
	next netip.Addr
}

func newRanges(all netip.Prefix, bits int) (*ranges, error) {
	all = all.Masked()
	if bits < all.Bits() || bits > all.Addr().BitLen() {
		return nil, fmt.Errorf("a node's part of %s cannot have a prefix length of %d: give --node-cidr-mask-size between %d and %d", all, bits, all.Bits(), all.Addr().BitLen())
	}
	if all.Addr().Is4() && bits-all.Bits() > 16 || bits-all.Bits() > 24 {
		return nil, fmt.Errorf("%s has too many parts of prefix length %d: lengthen it or shorten the parts", all, bits)
	}
	return &ranges{all: all, bits: bits, used: map[netip.Prefix]bool{}, next: all.Addr()}, nil
}

// take gives a part that is free, the one after the last that was given first.
func (r *ranges) take() (netip.Prefix, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	start := r.next
	for {
		p := netip.PrefixFrom(r.next, r.bits)
		r.next = r.after(p)
		if !r.used[p] {
			r.used[p] = true
			return p, nil
		}
		if r.next == start {
			return netip.Prefix{}, errExhausted
		}
	}
}

// after is where the part after p begins, going round at the end.
func (r *ranges) after(p netip.Prefix) netip.Addr {
	n := new(big.Int).SetBytes(p.Addr().AsSlice())
	n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits())))
	raw := n.Bytes()
	size := p.Addr().BitLen() / 8
	if len(raw) > size {
		return r.all.Addr()
	}
	padded := make([]byte, size)
	copy(padded[size-len(raw):], raw)
	a, ok := netip.AddrFromSlice(padded)
	if !ok || !r.all.Contains(a) {
		return r.all.Addr()
	}
	return a
}

// occupy marks every part that overlaps p as given.
func (r *ranges) occupy(p netip.Prefix) {
	if !r.all.Overlaps(p) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p = p.Masked()
	if p.Bits() >= r.bits {
		part, err := p.Addr().Prefix(r.bits)
		if err == nil {
			r.used[part] = true
		}
		return
	}
	if p.Bits() < r.all.Bits() {
		p = r.all
	}
	for a := p.Addr(); ; {
		part := netip.PrefixFrom(a, r.bits)
		r.used[part] = true
		if a = r.after(part); a == r.all.Addr() || !p.Contains(a) {
			return
		}
	}
}

// release gives a part back.
func (r *ranges) release(p netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.used, p.Masked())
}
