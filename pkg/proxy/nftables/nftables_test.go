package nftables

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/knftables"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

func port(backends ...string) model.Port {
	p := model.Port{
		Service: types.NamespacedName{Namespace: "ns", Name: "web"}, Name: "http", Protocol: corev1.ProtocolTCP,
		Port: 80, ClusterIP: netip.MustParseAddr("10.96.0.9"),
	}
	for _, b := range backends {
		p.Any = append(p.Any, model.Backend{Address: netip.MustParseAddr(b), Port: 8080})
	}
	p.Internal, p.Outside = p.Any, p.Any
	return p
}

var options = Options{MasqueradeBit: 14, ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}

func rulesOf(p *plan, prefix string) []string {
	for name, c := range p.chains {
		if strings.HasPrefix(name, prefix) {
			return c.rules
		}
	}
	return nil
}

func TestServiceChainChoosesAmongItsBackends(t *testing.T) {
	got := rulesOf(makePlan(model.Rules{Ports: []model.Port{port("10.244.0.1", "10.244.0.2")}}, options), "service-")
	want := []string{
		"ip saddr != { 10.244.0.0/16 } jump mark-for-masquerade",
		"meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.0.1 . 8080, 1 : 10.244.0.2 . 8080 }",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestServiceWithoutBackendsIsRefused(t *testing.T) {
	p := makePlan(model.Rules{Ports: []model.Port{port()}}, options)
	if e := p.elements[noBackends+"|10.96.0.9|tcp|80"]; e == nil || e.Value[0] != "goto "+rejecting {
		t.Errorf("got %v", e)
	}
}

func TestInternalPolicyLocalWithoutLocalBackendsDrops(t *testing.T) {
	s := port("10.244.1.1")
	s.Internal, s.InternalLocal = nil, true
	p := makePlan(model.Rules{Ports: []model.Port{s}}, options)
	if e := p.elements[noBackends+"|10.96.0.9|tcp|80"]; e == nil || e.Value[0] != "drop" {
		t.Errorf("got %v", e)
	}
}

func TestExternalPolicyLocalKeepsTheClientsAddress(t *testing.T) {
	s := port("10.244.1.1", "10.244.0.2")
	s.NodePort, s.ExternalLocal, s.Outside = 30080, true, s.Any[1:]
	p := makePlan(model.Rules{Ports: []model.Port{s}}, options)
	got := rulesOf(p, "external-")
	if slices.Contains(got, "jump "+mark) || got[len(got)-1] != "meta l4proto tcp dnat ip to 10.244.0.2:8080" {
		t.Errorf("got %q", got)
	}
	if near := rulesOf(p, "near-"); near[0] != "jump "+mark {
		t.Errorf("got %q", near)
	}
}

// TestTransactionsAreMinimal also shows that knftables accepts them: the fake checks names and references.
func TestTransactionsAreMinimal(t *testing.T) {
	fake := knftables.NewFake(knftables.IPv4Family, TableName)
	table := NewOn(fake, options)
	sync := func(ports ...model.Port) {
		t.Helper()
		if err := table.Sync(context.Background(), model.Rules{Ports: ports}); err != nil {
			t.Fatal(err)
		}
	}
	sticky := port("10.244.0.1")
	sticky.Affinity = time.Minute
	sync(port("10.244.0.1"))
	sync(sticky)
	full := fake.Dump()
	if !strings.Contains(full, "affinity-") {
		t.Errorf("no affinity in\n%s", full)
	}
	before := fake.LastTransaction
	sync(sticky)
	if fake.LastTransaction != before {
		t.Errorf("nothing changed, and yet: %s", fake.LastTransaction)
	}
	sync(port("10.244.0.1", "10.244.0.2"))
	if n := fake.LastTransaction.NumOperations(); n > 10 {
		t.Errorf("one more backend costs %d operations: %s", n, fake.LastTransaction)
	}
	sync()
	if dump := fake.Dump(); strings.Contains(dump, "web") || strings.Contains(dump, "10.96.0.9") {
		t.Errorf("left behind:\n%s", dump)
	}
	if err := table.Cleanup(context.Background()); err != nil || fake.Table != nil {
		t.Errorf("after Cleanup: %v, %v", err, fake.Table)
	}
}
