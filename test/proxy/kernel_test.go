package proxy

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/proxy"
	"github.com/sampan-project/sampan/pkg/proxy/conntrack"
	"github.com/sampan-project/sampan/pkg/proxy/model"
	"github.com/sampan-project/sampan/pkg/proxy/nftables"
)

const (
	clusterIP = "10.96.0.9"
	nodePort  = 30080
)

// rig is a node with a client outside of the pods' network (host 0) and three backends (hosts 1 to 3).
type rig struct {
	t      *testing.T
	kernel proxy.Kernel
	hosts  []*host
	before model.Rules
}

func newRig(t *testing.T, mode proxy.Mode) *rig {
	r := &rig{t: t, hosts: network(t, 4)}
	for _, h := range r.hosts[1:] {
		h.serve(8080)
	}
	o := nftables.Options{MasqueradeBit: 14, ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("10.244.2.0/23")}}
	var err error
	in(t, node, func() { r.kernel, err = proxy.OpenKernel(mode, o, "", logr.Discard()) })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// apply makes the kernel hold ports.
func (r *rig) apply(ports ...model.Port) {
	r.t.Helper()
	rules := model.Rules{Ports: ports}
	var err error
	in(r.t, node, func() {
		if _, err = r.kernel.Sync(context.Background(), [2]model.Rules{rules}); err == nil {
			err = conntrack.Drop(model.StaleUDP(r.before, rules), false)
		}
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.before = rules
}

// service is one with backends at some of the hosts.
func (r *rig) service(protocol corev1.Protocol, backends ...int) model.Port {
	p := model.Port{
		Service: types.NamespacedName{Namespace: "ns", Name: "web"}, Protocol: protocol, Port: 80, NodePort: nodePort,
		ClusterIP: netip.MustParseAddr(clusterIP),
	}
	for _, b := range backends {
		p.Any = append(p.Any, model.Backend{Address: r.hosts[b].ip, Port: 8080, Local: true})
	}
	p.Internal, p.Outside = p.Any, p.Any
	return p
}

func (r *rig) expect(got map[string]int, hosts ...int) {
	r.t.Helper()
	for _, h := range hosts {
		if got[r.hosts[h].name] == 0 {
			r.t.Errorf("host %d was never chosen: %v", h, got)
		}
	}
	if len(got) != len(hosts) {
		r.t.Errorf("answers from %v, want hosts %v", got, hosts)
	}
}

// left prints what a proxy might leave behind: tables, chains, the device, virtual services.
const left = `nft list ruleset 2>/dev/null
for c in iptables-legacy ip6tables-legacy; do $c -t nat -S 2>/dev/null | grep KUBE; done
ip -o link show | grep kube-ipvs0
tail -n +4 /proc/net/ip_vs 2>/dev/null
exit 0`

// TestNFTables runs on this kernel.
func TestNFTables(t *testing.T) { testKernel(t, proxy.NFTables) }

// testKernel is the contract that both kernel paths keep.
func testKernel(t *testing.T, mode proxy.Mode) {
	r := newRig(t, mode)
	client, vip, door := r.hosts[0].name, clusterIP+":80", "10.244.0.1:30080"
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		network := strings.ToLower(string(protocol)) + "4"
		t.Run("all backends serve "+network, func(t *testing.T) {
			r.apply(r.service(protocol, 1, 2, 3))
			r.expect(answers(t, client, network, vip, 30), 1, 2, 3)
			r.expect(answers(t, client, network, door, 30), 1, 2, 3)
			r.expect(answers(t, node, network, vip, 30), 1, 2, 3)
			r.expect(answers(t, r.hosts[1].name, network, vip, 30), 1, 2, 3) // itself among them
		})
		t.Run("a removed backend gets nothing "+network, func(t *testing.T) {
			r.apply(r.service(protocol, 1, 3))
			r.expect(answers(t, client, network, vip, 20), 1, 3)
		})
		t.Run("affinity "+network, func(t *testing.T) {
			s := r.service(protocol, 1, 2, 3)
			s.Affinity = time.Minute
			r.apply(s)
			if got := answers(t, client, network, vip, 10); len(got) != 1 {
				t.Errorf("one client was served by %v", got)
			}
			r.apply(r.service(protocol))
		})
	}
	t.Run("no backends refuses", func(t *testing.T) {
		r.apply(r.service(corev1.ProtocolTCP))
		for _, address := range []string{vip, door} {
			start := time.Now()
			if _, _, err := ask(t, client, "tcp4", address); err == nil || time.Since(start) > 2*time.Second {
				t.Errorf("%s: %v after %v", address, err, time.Since(start))
			}
		}
	})
	t.Run("the client outside is masqueraded, pods are not", func(t *testing.T) {
		r.apply(r.service(corev1.ProtocolTCP, 2))
		if _, seen, err := ask(t, client, "tcp4", vip); err != nil || seen != "10.244.2.1" {
			t.Errorf("from outside the backend saw %q, %v", seen, err)
		}
		if _, seen, err := ask(t, r.hosts[1].name, "tcp4", vip); err != nil || seen != r.hosts[1].ip.String() {
			t.Errorf("from a pod the backend saw %q, %v", seen, err)
		}
	})
	t.Run("external policy Local keeps the client's address", func(t *testing.T) {
		s := r.service(corev1.ProtocolTCP, 2)
		s.ExternalLocal = true
		r.apply(s)
		if _, seen, err := ask(t, client, "tcp4", door); err != nil || seen != r.hosts[0].ip.String() {
			t.Errorf("the backend saw %q, %v", seen, err)
		}
	})
	t.Run("external addresses", func(t *testing.T) {
		s := r.service(corev1.ProtocolTCP, 1, 2)
		s.External = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
		r.apply(s)
		r.expect(answers(t, client, "tcp4", "192.0.2.7:80", 20), 1, 2)
	})
	t.Run("cleanup leaves nothing", func(t *testing.T) {
		var err error
		in(t, node, func() { err = r.kernel.Cleanup(context.Background()) })
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		in(t, node, func() {
			out, err = exec.Command("sh", "-c", left).CombinedOutput()
		})
		if got := strings.TrimSpace(string(out)); got != "" {
			t.Errorf("left behind: %s", got)
		}
		if _, _, err := ask(t, client, "tcp4", vip); err == nil {
			t.Error("the service still answers")
		}
	})
}
