// Package iptables masquerades for the IPVS path on kernels that have no nftables. It makes one chain in
// the nat table; the match "ipvs" tells which packets IPVS forwards.
package iptables

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Chain is the chain that this package makes in the nat table.
const Chain = "KUBE-IPVS-MASQ"

// Options are what the rules depend on beside services.
type Options struct {
	V6            bool
	ClusterCIDRs  []netip.Prefix
	MasqueradeAll bool
}

// Masquerade gives forwarded connections this node's address where the answers must pass it again.
type Masquerade struct {
	command string // iptables-legacy or ip6tables-legacy
	options Options
	applied string
}

// New finds the command. It fails where it is missing or the kernel has no nat table of this kind.
func New(o Options) (*Masquerade, error) {
	m := &Masquerade{command: "iptables-legacy", options: o}
	if o.V6 {
		m.command = "ip6tables-legacy"
	}
	if err := m.run(context.Background(), "-w", "-t", "nat", "-S", "POSTROUTING"); err != nil {
		return nil, fmt.Errorf("iptables cannot be used for masquerading: %w", err)
	}
	return m, nil
}

// Sync makes the chain masquerade for these rules. nodes are the addresses at which node ports are served.
func (m *Masquerade) Sync(ctx context.Context, r model.Rules, nodes []netip.Addr) error {
	want := "*nat\n:" + Chain + " - [0:0]\n" + strings.Join(chain(r, nodes, m.options), "\n") + "\nCOMMIT\n"
	if want == m.applied {
		return nil
	}
	m.applied = ""
	if err := m.restore(ctx, want); err != nil {
		return err
	}
	if m.run(ctx, "-w", "-t", "nat", "-C", "POSTROUTING", "-j", Chain) != nil {
		if err := m.run(ctx, "-w", "-t", "nat", "-A", "POSTROUTING", "-j", Chain); err != nil {
			return err
		}
	}
	m.applied = want
	return nil
}

// Cleanup removes the chain. That it was not there is no error.
func (m *Masquerade) Cleanup(ctx context.Context) error {
	m.applied = ""
	if m.run(ctx, "-w", "-t", "nat", "-S", Chain) != nil {
		return nil
	}
	var errs []error
	if m.run(ctx, "-w", "-t", "nat", "-C", "POSTROUTING", "-j", Chain) == nil {
		errs = append(errs, m.run(ctx, "-w", "-t", "nat", "-D", "POSTROUTING", "-j", Chain))
	}
	errs = append(errs, m.run(ctx, "-w", "-t", "nat", "-F", Chain), m.run(ctx, "-w", "-t", "nat", "-X", Chain))
	return errors.Join(errs...)
}

func (m *Masquerade) restore(ctx context.Context, rules string) error {
	cmd := exec.CommandContext(ctx, m.command+"-restore", "-w", "--noflush")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s-restore: %w: %s", m.command, err, bytes.TrimSpace(out))
	}
	return nil
}

func (m *Masquerade) run(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, m.command, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", m.command, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// chain words the rules; the first that matches decides.
func chain(r model.Rules, nodes []netip.Addr, o Options) []string {
	add := "-A " + Chain + " "
	var seen, out []string
	for i := range r.Ports {
		s := &r.Ports[i]
		for _, b := range s.Any {
			if b.Local {
				seen = append(seen, add+fmt.Sprintf("-s %s -d %s -j MASQUERADE", b.Address, b.Address))
			}
		}
		verdict := "MASQUERADE"
		if s.ExternalLocal {
			verdict = "RETURN" // the client's address is to be seen
		}
		door := func(a netip.Addr, port uint16) {
			seen = append(seen, add+fmt.Sprintf("-m ipvs --vaddr %s --vport %d --vproto %s --vdir ORIGINAL -j %s",
				a, port, strings.ToLower(string(s.Protocol)), verdict))
		}
		for _, a := range s.External {
			door(a, s.Port)
		}
		for _, a := range nodes {
			if s.NodePort != 0 {
				door(a, s.NodePort)
			}
		}
	}
	once := map[string]bool{}
	for _, rule := range seen {
		if !once[rule] {
			once[rule] = true
			out = append(out, rule)
		}
	}
	inside := 0
	for _, c := range o.ClusterCIDRs {
		if c.Addr().Is6() == o.V6 && !o.MasqueradeAll {
			inside++
			out = append(out, add+"-s "+c.Masked().String()+" -j RETURN")
		}
	}
	if inside > 0 || o.MasqueradeAll {
		out = append(out, add+"-m ipvs --ipvs --vdir ORIGINAL -j MASQUERADE")
	}
	return out
}
