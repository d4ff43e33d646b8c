package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/proxy/conntrack"
	"github.com/sampan-project/sampan/pkg/proxy/iptables"
	"github.com/sampan-project/sampan/pkg/proxy/ipvs"
	"github.com/sampan-project/sampan/pkg/proxy/model"
	"github.com/sampan-project/sampan/pkg/proxy/nftables"
)

// Kernel is one way to make the kernel follow the rules, for both IP families.
type Kernel interface {
	// Sync makes the kernel hold exactly these rules. again asks for another Sync soon though nothing
	// changed: connections of removed backends are still open.
	Sync(ctx context.Context, rules [2]model.Rules) (again bool, err error)
	// Cleanup removes everything that Sync made.
	Cleanup(ctx context.Context) error
}

// Index of the families in arrays of two.
const (
	v4 = iota
	v6
)

// Mode names a kernel path.
type Mode string

// The modes. Auto takes IPVS where the kernel has it, else nftables.
const (
	Auto     Mode = "auto"
	IPVS     Mode = "ipvs"
	NFTables Mode = "nftables"
)

// OpenKernel gives the path that mode names.
func OpenKernel(mode Mode, o nftables.Options, scheduler string, log logr.Logger) (Kernel, error) {
	switch mode {
	case NFTables:
		return openNFTables(o)
	case IPVS:
		return openIPVS(o, scheduler)
	case Auto, "":
		k, err := openIPVS(o, scheduler)
		if err == nil {
			log.Info("This kernel has IPVS; it is used")
			return k, nil
		}
		log.Info("nftables is used", "becauseIPVS", err.Error())
		return openNFTables(o)
	}
	return nil, fmt.Errorf(`--proxy-mode is %q: use "auto", "ipvs" or "nftables"`, mode)
}

// Cleanup removes what either path may have left with this configuration. A path that this kernel does not
// have left nothing.
func Cleanup(ctx context.Context, cfg *Config) error {
	o, err := cfg.options()
	if err != nil {
		return err
	}
	var errs []error
	if k, err := openIPVS(o, ""); err == nil {
		errs = append(errs, k.Cleanup(ctx))
	}
	if k, err := openNFTables(o); err == nil {
		errs = append(errs, k.Cleanup(ctx))
	}
	return errors.Join(errs...)
}

// families calls make for IPv4 and, where the kernel speaks it, IPv6.
func families[T any](o nftables.Options, make func(nftables.Options) (T, error)) (out []T, err error) {
	for _, six := range []bool{false, true} {
		if six && !hasIPv6() {
			break
		}
		o.V6 = six
		t, err := make(o)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}

// viaNFTables is the nftables path.
type viaNFTables struct{ tables []*nftables.Table }

func openNFTables(o nftables.Options) (Kernel, error) {
	tables, err := families(o, nftables.New)
	if err != nil {
		return nil, err
	}
	return &viaNFTables{tables}, nil
}

func (k *viaNFTables) Sync(ctx context.Context, rules [2]model.Rules) (bool, error) {
	var errs []error
	for i, t := range k.tables {
		errs = append(errs, t.Sync(ctx, rules[i]))
	}
	return false, errors.Join(errs...)
}

func (k *viaNFTables) Cleanup(ctx context.Context) error {
	var errs []error
	for _, t := range k.tables {
		errs = append(errs, t.Cleanup(ctx))
	}
	return errors.Join(errs...)
}

// viaIPVS is the IPVS path: virtual services, and the packet filter for masquerading.
type viaIPVS struct {
	table      *ipvs.Table
	masquerade []masquerader
	options    nftables.Options
}

// masquerader does what IPVS cannot: give connections this node's address where answers must pass it again.
type masquerader interface {
	Sync(ctx context.Context, r model.Rules, nodes []netip.Addr) error
	Cleanup(ctx context.Context) error
}

// openMasquerade takes nftables, or iptables on a kernel that has IPVS but no nftables.
func openMasquerade(o nftables.Options) (masquerader, error) {
	m, err := nftables.NewMasquerade(o)
	if err == nil {
		return m, nil
	}
	old, second := iptables.New(iptables.Options{V6: o.V6, ClusterCIDRs: o.ClusterCIDRs, MasqueradeAll: o.MasqueradeAll})
	if second != nil {
		return nil, errors.Join(err, second)
	}
	return old, nil
}

func openIPVS(o nftables.Options, scheduler string) (Kernel, error) {
	server, err := ipvs.NewKernel()
	if err != nil {
		return nil, err
	}
	masquerade, err := families(o, openMasquerade)
	if err != nil {
		return nil, err
	}
	return &viaIPVS{ipvs.NewTable(server, scheduler), masquerade, o}, nil
}

func (k *viaIPVS) Sync(ctx context.Context, rules [2]model.Rules) (bool, error) {
	if err := ipvsSettings(); err != nil {
		return false, err
	}
	nodes, err := nodeAddresses(k.options.NodePortAddresses)
	if err != nil {
		return false, err
	}
	plan := ipvs.Plan{Virtual: map[ipvs.Key]ipvs.Virtual{}, Addresses: map[netip.Addr]bool{}}
	for i := range k.masquerade {
		part := ipvs.NewPlan(rules[i], nodes[i])
		maps.Copy(plan.Virtual, part.Virtual)
		for a := range part.Addresses {
			plan.Addresses[a] = true
		}
	}
	draining, err := k.table.Sync(plan)
	errs := []error{err}
	for i, m := range k.masquerade {
		errs = append(errs, m.Sync(ctx, rules[i], nodes[i]))
	}
	return draining > 0, errors.Join(errs...)
}

func (k *viaIPVS) Cleanup(ctx context.Context) error {
	errs := []error{k.table.Cleanup()}
	for _, m := range k.masquerade {
		errs = append(errs, m.Cleanup(ctx))
	}
	return errors.Join(errs...)
}

// ipvsSettings are the kernel settings without which IPVS and masquerading do not work together: its
// connections must be tracked, and a client that comes again from the same port must not wait for an old
// entry to end.
func ipvsSettings() error {
	for name, value := range map[string]string{
		"net/ipv4/vs/conntrack": "1", "net/ipv4/vs/conn_reuse_mode": "0",
		"net/ipv4/vs/expire_nodest_conn": "1", "net/ipv4/vs/expire_quiescent_template": "1", "net/ipv4/ip_forward": "1",
	} {
		if err := setting(name, value); err != nil {
			return err
		}
	}
	return nil
}

// setting writes a kernel setting where it differs.
func setting(name, value string) error {
	path := "/proc/sys/" + name
	if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting %s to %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	return nil
}

// nodeAddresses lists this node's own addresses by family, without those of services, of loopback, and,
// where networks are given, those outside of them.
func nodeAddresses(within []netip.Prefix) ([2][]netip.Addr, error) {
	var out [2][]netip.Addr
	devices, err := net.Interfaces()
	if err != nil {
		return out, fmt.Errorf("listing this node's network devices: %w", err)
	}
	for _, d := range devices {
		if d.Name == ipvs.Interface {
			continue
		}
		addresses, err := d.Addrs()
		if err != nil {
			return out, fmt.Errorf("listing the addresses of %s: %w", d.Name, err)
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() || !inside(p.Addr(), within) {
				continue
			}
			i := v4
			if p.Addr().Is6() {
				i = v6
			}
			out[i] = append(out[i], p.Addr())
		}
	}
	return out, nil
}

func inside(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return len(networks) == 0
}

// dropStale ends the UDP flows that changed rules leave behind.
func dropStale(before, after [2]model.Rules) error {
	return errors.Join(
		conntrack.Drop(model.StaleUDP(before[v4], after[v4]), false),
		conntrack.Drop(model.StaleUDP(before[v6], after[v6]), true))
}
