// Package nftables puts the proxy's rules into the kernel's packet filter. Each change is one transaction
// that holds only what differs from before.
package nftables

import (
	"context"
	"fmt"
	"reflect"
	"sort"

	"sigs.k8s.io/knftables"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// TableName is the table of this proxy in each family.
const TableName = "kube-proxy"

// Table holds the rules of one IP family. It is not safe for use by several goroutines.
type Table struct {
	nft     knftables.Interface
	options Options
	applied *plan // nil: unknown; the next Sync replaces the whole table
}

// New reaches the kernel's tables of a family. It fails where nft is missing or too old.
func New(o Options) (*Table, error) {
	family := knftables.IPv4Family
	if o.V6 {
		family = knftables.IPv6Family
	}
	nft, err := knftables.New(family, TableName)
	if err != nil {
		return nil, fmt.Errorf("nftables cannot be used (is the package nftables installed?): %w", err)
	}
	return NewOn(nft, o), nil
}

// NewOn uses nft, which may be a fake.
func NewOn(nft knftables.Interface, o Options) *Table { return &Table{nft: nft, options: o} }

// Sync makes the kernel hold exactly these rules. After an error it is not known what the kernel holds,
// and the next call writes the table anew.
func (t *Table) Sync(ctx context.Context, r model.Rules) error {
	want := makePlan(r, t.options)
	tx := t.nft.NewTransaction()
	before := t.applied
	if before == nil {
		tx.Add(&knftables.Table{})
		tx.Delete(&knftables.Table{})
		tx.Add(&knftables.Table{Comment: new("rules of kube-proxy")})
		before = &plan{}
	}
	want.difference(before, tx)
	if tx.NumOperations() == 0 {
		return nil
	}
	t.applied = nil
	if err := t.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("writing nftables rules: %w", err)
	}
	t.applied = want
	return nil
}

// Forget lets the next Sync write the whole table, in case another program changed it.
func (t *Table) Forget() { t.applied = nil }

// Cleanup removes the table. That it was not there is no error.
func (t *Table) Cleanup(ctx context.Context) error {
	t.applied = nil
	tx := t.nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if err := t.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("removing the nftables table %s: %w", TableName, err)
	}
	return nil
}

// difference adds to tx what turns before into p. The order matters: a thing is made before it is named
// and no longer named before it is removed.
func (p *plan) difference(before *plan, tx *knftables.Transaction) {
	for _, name := range sorted(p.sets) {
		if !reflect.DeepEqual(p.sets[name], before.sets[name]) {
			tx.Add(p.sets[name])
		}
	}
	for _, name := range sorted(p.maps) {
		if before.maps[name] == nil {
			tx.Add(p.maps[name])
		}
	}
	for _, name := range sorted(p.chains) {
		if _, had := before.chains[name]; !had {
			c := p.chains[name].base
			if c == nil {
				c = &knftables.Chain{Name: name}
			}
			tx.Add(c)
		}
	}
	for _, name := range sorted(p.chains) {
		old, had := before.chains[name]
		if had && reflect.DeepEqual(old.rules, p.chains[name].rules) {
			continue
		}
		if had {
			tx.Flush(&knftables.Chain{Name: name})
		}
		for _, r := range p.chains[name].rules {
			tx.Add(&knftables.Rule{Chain: name, Rule: r})
		}
	}
	for _, key := range sorted(before.elements) {
		if e := p.elements[key]; e == nil || !reflect.DeepEqual(e.Value, before.elements[key].Value) {
			tx.Delete(before.elements[key])
		}
	}
	for _, key := range sorted(p.elements) {
		if e := before.elements[key]; e == nil || !reflect.DeepEqual(e.Value, p.elements[key].Value) {
			tx.Add(p.elements[key])
		}
	}
	p.remove(before, tx)
}

// remove takes away what before had and p has not.
func (p *plan) remove(before *plan, tx *knftables.Transaction) {
	var gone []string
	for _, name := range sorted(before.chains) {
		if _, kept := p.chains[name]; !kept {
			gone = append(gone, name)
			tx.Flush(&knftables.Chain{Name: name})
		}
	}
	for _, name := range gone {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range sorted(before.sets) {
		if p.sets[name] == nil {
			tx.Delete(before.sets[name])
		}
	}
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
