package nftables

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Masquerade is the part of the IPVS path that IPVS cannot do: give connections that come from outside, or
// from a backend to itself, this node's address, so that the answers pass this node again.
type Masquerade struct {
	nft     knftables.Interface
	options Options
	applied *plan
}

// NewMasquerade reaches the kernel's tables of a family.
func NewMasquerade(o Options) (*Masquerade, error) {
	family := knftables.IPv4Family
	if o.V6 {
		family = knftables.IPv6Family
	}
	nft, err := knftables.New(family, TableName+"-ipvs")
	if err != nil {
		return nil, fmt.Errorf("nftables, which the IPVS path needs for masquerading, cannot be used: %w", err)
	}
	return &Masquerade{nft: nft, options: o}, nil
}

// Sync makes the kernel masquerade for these rules. nodes are the addresses at which node ports are served.
func (m *Masquerade) Sync(ctx context.Context, r model.Rules, nodes []netip.Addr) error {
	want := masqueradePlan(r, nodes, m.options)
	tx := m.nft.NewTransaction()
	before := m.applied
	if before == nil {
		tx.Add(&knftables.Table{})
		tx.Delete(&knftables.Table{})
		tx.Add(&knftables.Table{})
		before = &plan{}
	}
	want.difference(before, tx)
	if tx.NumOperations() == 0 {
		return nil
	}
	m.applied = nil
	if err := m.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("writing the masquerading rules: %w", err)
	}
	m.applied = want
	return nil
}

// Cleanup removes the table.
func (m *Masquerade) Cleanup(ctx context.Context) error {
	m.applied = nil
	tx := m.nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if err := m.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("removing the nftables table %s-ipvs: %w", TableName, err)
	}
	return nil
}

// masqueradePlan marks packets before IPVS sees them and masquerades them after.
func masqueradePlan(r model.Rules, nodes []netip.Addr, o Options) *plan {
	f := words(o.V6)
	bit := fmt.Sprintf("%#x", 1<<o.MasqueradeBit)
	p := &plan{
		chains: map[string]chain{}, sets: map[string]*knftables.Set{}, maps: map[string]*knftables.Map{},
		elements: map[string]*knftables.Element{},
	}
	key := f.ip + " daddr . meta l4proto . th dport"
	setMark := "meta mark set meta mark or " + bit
	rules := []string{key + " @always " + setMark}
	switch own := fromOutside(f, o); {
	case o.MasqueradeAll:
		rules = append(rules, key+" @"+serviceIPs+" "+setMark)
	case len(own) > 0:
		rules = append(rules, key+" @"+serviceIPs+" "+strings.TrimSuffix(own[0], "jump "+mark)+setMark)
	}
	base := func(name string, t knftables.BaseChainType, hook knftables.BaseChainHook, priority knftables.BaseChainPriority, rules []string) {
		p.chains[name] = chain{&knftables.Chain{Name: name, Type: &t, Hook: &hook, Priority: &priority}, rules}
	}
	base("prerouting", knftables.FilterType, knftables.PreroutingHook, knftables.ManglePriority, rules)
	base("output", knftables.FilterType, knftables.OutputHook, knftables.ManglePriority, rules)
	base("postrouting", knftables.NATType, knftables.PostroutingHook, knftables.SNATPriority, []string{
		"meta mark and " + bit + " == " + bit + " meta mark set meta mark xor " + bit + " masquerade fully-random",
		f.ip + " saddr . " + f.ip + " daddr @" + hairpin + " masquerade fully-random",
	})
	for _, name := range []string{"always", serviceIPs} {
		p.sets[name] = &knftables.Set{Name: name, Type: f.addr + " . inet_proto . inet_service"}
	}
	p.sets[hairpin] = &knftables.Set{Name: hairpin, Type: f.addr + " . " + f.addr}
	for i := range r.Ports {
		s := &r.Ports[i]
		add := func(set string, a netip.Addr, port uint16) {
			p.element(&knftables.Element{Set: set, Key: []string{a.String(), strings.ToLower(string(s.Protocol)), strconv.Itoa(int(port))}})
		}
		add(serviceIPs, s.ClusterIP, s.Port)
		for _, b := range s.Any {
			if b.Local {
				p.element(&knftables.Element{Set: hairpin, Key: []string{b.Address.String(), b.Address.String()}})
			}
		}
		if s.ExternalLocal {
			continue // the client's address is to be seen
		}
		for _, a := range s.External {
			add("always", a, s.Port)
		}
		for _, a := range nodes {
			if s.NodePort != 0 {
				add("always", a, s.NodePort)
			}
		}
	}
	return p
}
