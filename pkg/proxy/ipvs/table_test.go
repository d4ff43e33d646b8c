package ipvs

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

var (
	vip   = Key{netip.MustParseAddr("10.96.0.9"), 80, corev1.ProtocolTCP}
	node  = Key{netip.MustParseAddr("192.0.2.1"), 30080, corev1.ProtocolTCP}
	one   = netip.MustParseAddrPort("10.244.0.1:8080")
	other = netip.MustParseAddrPort("10.244.0.2:8080")
)

func rules(backends ...netip.AddrPort) model.Rules {
	p := model.Port{Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080, ClusterIP: vip.Address}
	for _, b := range backends {
		p.Any = append(p.Any, model.Backend{Address: b.Addr(), Port: b.Port()})
	}
	p.Internal, p.Outside = p.Any, p.Any
	return model.Rules{Ports: []model.Port{p}}
}

func sync(t *testing.T, table *Table, r model.Rules) int {
	t.Helper()
	n, err := table.Sync(NewPlan(r, []netip.Addr{node.Address}))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTableHoldsThePlan(t *testing.T) {
	f := NewFake()
	table := NewTable(f, "")
	sync(t, table, rules(one, other))
	for _, k := range []Key{vip, node} {
		if l := f.Services[k]; len(l.Backends) != 2 || l.Scheduler != "rr" {
			t.Errorf("%v: %+v", k, l)
		}
	}
	if !f.Held[vip.Address] || f.Held[node.Address] {
		t.Errorf("addresses: %v", f.Held)
	}
	sync(t, table, model.Rules{})
	if len(f.Services) != 0 || len(f.Held) != 0 {
		t.Errorf("left behind: %+v", f)
	}
}

func TestRemovedBackendFinishesItsConnections(t *testing.T) {
	f := NewFake()
	table := NewTable(f, "")
	sync(t, table, rules(one, other))
	f.Services[vip].Backends[other] = LiveBackend{Weight: 1, Connections: 3}
	if n := sync(t, table, rules(one)); n != 1 {
		t.Errorf("%d drain, want 1", n)
	}
	if b, ok := f.Services[vip].Backends[other]; !ok || b.Weight != 0 {
		t.Errorf("got %+v, %v", b, ok)
	}
	f.Services[vip].Backends[other] = LiveBackend{}
	if n := sync(t, table, rules(one)); n != 0 || len(f.Services[vip].Backends) != 1 {
		t.Errorf("%d drain; %+v", n, f.Services[vip])
	}
}

func TestReturningBackendTakesConnectionsAgain(t *testing.T) {
	f := NewFake()
	table := NewTable(f, "")
	sync(t, table, rules(one, other))
	f.Services[vip].Backends[other] = LiveBackend{Weight: 0, Connections: 3}
	sync(t, table, rules(one, other))
	if b := f.Services[vip].Backends[other]; b.Weight != 1 {
		t.Errorf("got %+v", b)
	}
}
