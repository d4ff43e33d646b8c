package allocation

import (
	"net/netip"
	"slices"
	"testing"
)

func first(uint64) uint64  { return 0 }
func last(n uint64) uint64 { return n - 1 }

func TestBandsOfNetworks(t *testing.T) {
	for _, test := range []struct {
		network    string
		size, band uint64
	}{
		{"10.0.0.0/31", 0, 0},
		{"10.0.0.0/30", 2, 0},
		{"10.0.0.0/28", 14, 0},
		{"10.0.0.0/27", 30, 16},
		{"10.0.0.0/24", 254, 16},
		{"10.0.0.0/23", 510, 32},
		{"10.96.0.0/20", 4094, 256},
		{"10.96.0.0/12", 1<<20 - 2, 256},
		{"2001:db8::/112", 1<<16 - 1, 256},
		{"2001:db8::/64", 1<<64 - 1, 256},
	} {
		b := newBlock(netip.MustParsePrefix(test.network))
		if b.size != test.size || b.band != test.band {
			t.Errorf("%s: %d addresses, %d of them kept; want %d and %d", test.network, b.size, b.band, test.size, test.band)
		}
	}
}

func TestBlockHoldsNeitherNetworkNorBroadcast(t *testing.T) {
	for _, test := range []struct {
		network, address string
		want             bool
	}{
		{"10.96.0.0/24", "10.96.0.0", false},
		{"10.96.0.0/24", "10.96.0.1", true},
		{"10.96.0.0/24", "10.96.0.254", true},
		{"10.96.0.0/24", "10.96.0.255", false},
		{"10.96.0.0/24", "10.95.255.255", false},
		{"10.96.0.0/24", "10.96.1.0", false},
		{"10.96.0.0/31", "10.96.0.1", false},
		{"2001:db8::/112", "2001:db8::", false},
		{"2001:db8::/112", "2001:db8::1", true},
		{"2001:db8::/112", "2001:db8::ffff", true},
		{"2001:db8::/112", "2001:db8::1:0", false},
		{"2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"10.96.0.0/24", "::ffff:10.96.0.1", false},
	} {
		if got := newBlock(netip.MustParsePrefix(test.network)).contains(netip.MustParseAddr(test.address)); got != test.want {
			t.Errorf("%s in %s: %v", test.address, test.network, got)
		}
	}
}

func TestCandidatesAreAllAddressesTheBandLast(t *testing.T) {
	for _, random := range []func(uint64) uint64{first, last} {
		b := newBlock(netip.MustParsePrefix("10.0.0.0/27"))
		got := slices.Collect(b.candidates(random))
		seen := map[netip.Addr]bool{}
		for i, a := range got {
			if !b.contains(a) || seen[a] {
				t.Errorf("candidate %d is %s", i, a)
			}
			seen[a] = true
			if inBand := a.Less(netip.MustParseAddr("10.0.0.17")); inBand != (i >= 14) {
				t.Errorf("candidate %d is %s: the band comes last", i, a)
			}
		}
		if len(got) != 30 {
			t.Errorf("%d candidates, want 30", len(got))
		}
	}
}
