package iptables

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

func TestChainMasqueradesWhatMustComeBack(t *testing.T) {
	pod := netip.MustParseAddr("10.244.0.5")
	s := model.Port{Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080, Any: []model.Backend{{Address: pod, Port: 80, Local: true}}}
	o := Options{ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}}
	nodes := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	for name, c := range map[string]struct {
		local bool
		all   bool
		want  []string
	}{
		"usual": {false, false, []string{
			"-A KUBE-IPVS-MASQ -s 10.244.0.5 -d 10.244.0.5 -j MASQUERADE",
			"-A KUBE-IPVS-MASQ -m ipvs --vaddr 192.0.2.1 --vport 30080 --vproto tcp --vdir ORIGINAL -j MASQUERADE",
			"-A KUBE-IPVS-MASQ -s 10.244.0.0/16 -j RETURN",
			"-A KUBE-IPVS-MASQ -m ipvs --ipvs --vdir ORIGINAL -j MASQUERADE",
		}},
		"external policy Local": {true, false, []string{
			"-A KUBE-IPVS-MASQ -s 10.244.0.5 -d 10.244.0.5 -j MASQUERADE",
			"-A KUBE-IPVS-MASQ -m ipvs --vaddr 192.0.2.1 --vport 30080 --vproto tcp --vdir ORIGINAL -j RETURN",
			"-A KUBE-IPVS-MASQ -s 10.244.0.0/16 -j RETURN",
			"-A KUBE-IPVS-MASQ -m ipvs --ipvs --vdir ORIGINAL -j MASQUERADE",
		}},
		"everything": {false, true, []string{
			"-A KUBE-IPVS-MASQ -s 10.244.0.5 -d 10.244.0.5 -j MASQUERADE",
			"-A KUBE-IPVS-MASQ -m ipvs --vaddr 192.0.2.1 --vport 30080 --vproto tcp --vdir ORIGINAL -j MASQUERADE",
			"-A KUBE-IPVS-MASQ -m ipvs --ipvs --vdir ORIGINAL -j MASQUERADE",
		}},
	} {
		s, o := s, o
		s.ExternalLocal, o.MasqueradeAll = c.local, c.all
		if got := chain(model.Rules{Ports: []model.Port{s}}, nodes, o); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
