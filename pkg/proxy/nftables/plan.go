package nftables

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/knftables"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Options are what the rules depend on beside services.
type Options struct {
	V6 bool
	// ClusterCIDRs are the networks of pods: what comes from elsewhere to a cluster IP is masqueraded, so
	// that the answer passes this node again. Empty: nothing is taken to come from elsewhere.
	ClusterCIDRs  []netip.Prefix
	MasqueradeAll bool
	MasqueradeBit int // of the packet mark
	// NodePortAddresses, where not empty, are the only networks of this node at which node ports are served.
	NodePortAddresses []netip.Prefix
}

// plan is a whole table by name: what the kernel must hold.
type plan struct {
	chains   map[string]chain
	sets     map[string]*knftables.Set
	maps     map[string]*knftables.Map
	elements map[string]*knftables.Element // by map or set and key
}

type chain struct {
	base  *knftables.Chain // nil for one that is only jumped to
	rules []string
}

// Names of the fixed objects.
const (
	services      = "services"
	refuse        = "refuse"
	mark          = "mark-for-masquerade"
	rejecting     = "reject-new"
	serviceIPs    = "service-ips"
	nodePorts     = "service-nodeports"
	noBackends    = "no-endpoint-services"
	noBackendNode = "no-endpoint-nodeports"
	clusterIPs    = "cluster-ips"
	hairpin       = "hairpin"
	nodeAddresses = "nodeport-ips"
)

// family holds the words that differ between IPv4 and IPv6.
type family struct{ ip, addr, loopback, host string }

func words(v6 bool) family {
	if v6 {
		return family{"ip6", "ipv6_addr", "::1", "/128"}
	}
	return family{"ip", "ipv4_addr", "127.0.0.0/8", "/32"}
}

// makePlan words the rules.
func makePlan(r model.Rules, o Options) *plan {
	p := &plan{
		chains: map[string]chain{}, sets: map[string]*knftables.Set{}, maps: map[string]*knftables.Map{},
		elements: map[string]*knftables.Element{},
	}
	f := words(o.V6)
	p.frame(f, o)
	for i := range r.Ports {
		p.port(&r.Ports[i], f, o)
	}
	return p
}

// frame is what stands without any service.
func (p *plan) frame(f family, o Options) {
	bit := fmt.Sprintf("%#x", 1<<o.MasqueradeBit)
	base := func(name string, t knftables.BaseChainType, hook knftables.BaseChainHook, priority knftables.BaseChainPriority, rules ...string) {
		p.chains[name] = chain{&knftables.Chain{Name: name, Type: &t, Hook: &hook, Priority: &priority}, rules}
	}
	base("nat-prerouting", knftables.NATType, knftables.PreroutingHook, knftables.DNATPriority, "jump "+services)
	base("nat-output", knftables.NATType, knftables.OutputHook, knftables.DNATPriority, "jump "+services)
	base("nat-postrouting", knftables.NATType, knftables.PostroutingHook, knftables.SNATPriority,
		"meta mark and "+bit+" == "+bit+" meta mark set meta mark xor "+bit+" masquerade fully-random",
		"ct status dnat "+f.ip+" saddr . "+f.ip+" daddr @"+hairpin+" masquerade fully-random")
	for name, hook := range map[string]knftables.BaseChainHook{"input": knftables.InputHook, "forward": knftables.ForwardHook, "output": knftables.OutputHook} {
		base("filter-"+name, knftables.FilterType, hook, knftables.FilterPriority, "ct state new jump "+refuse)
	}
	local := "fib daddr type local " + f.ip + " daddr != " + f.loopback
	if len(o.NodePortAddresses) > 0 {
		p.sets[nodeAddresses] = &knftables.Set{Name: nodeAddresses, Type: f.addr, Flags: []knftables.SetFlag{knftables.IntervalFlag}}
		for _, n := range o.NodePortAddresses {
			if n.Addr().Is6() == o.V6 {
				p.element(&knftables.Element{Set: nodeAddresses, Key: []string{n.Masked().String()}})
			}
		}
		local = "fib daddr type local " + f.ip + " daddr @" + nodeAddresses
	}
	key := f.ip + " daddr . meta l4proto . th dport"
	p.chains[services] = chain{nil, []string{
		key + " vmap @" + serviceIPs,
		local + " meta l4proto . th dport vmap @" + nodePorts,
	}}
	p.chains[refuse] = chain{nil, []string{
		key + " vmap @" + noBackends,
		local + " meta l4proto . th dport vmap @" + noBackendNode,
		f.ip + " daddr @" + clusterIPs + " goto " + rejecting,
	}}
	p.chains[mark] = chain{nil, []string{"meta mark set meta mark or " + bit}}
	p.chains[rejecting] = chain{nil, []string{"meta l4proto tcp reject with tcp reset", "reject"}}
	for _, name := range []string{serviceIPs, noBackends} {
		p.maps[name] = &knftables.Map{Name: name, Type: f.addr + " . inet_proto . inet_service : verdict"}
	}
	for _, name := range []string{nodePorts, noBackendNode} {
		p.maps[name] = &knftables.Map{Name: name, Type: "inet_proto . inet_service : verdict"}
	}
	p.sets[clusterIPs] = &knftables.Set{Name: clusterIPs, Type: f.addr}
	p.sets[hairpin] = &knftables.Set{Name: hairpin, Type: f.addr + " . " + f.addr}
}

func (p *plan) element(e *knftables.Element) {
	p.elements[e.Map+e.Set+"|"+strings.Join(e.Key, "|")] = e
}

// port adds one service port.
func (p *plan) port(s *model.Port, f family, o Options) {
	proto, port := strings.ToLower(string(s.Protocol)), strconv.Itoa(int(s.Port))
	id := chainID(s)
	p.element(&knftables.Element{Set: clusterIPs, Key: []string{s.ClusterIP.String()}})
	at := func(m string, a netip.Addr, verdict string) {
		p.element(&knftables.Element{Map: m, Key: []string{a.String(), proto, port}, Value: []string{verdict}})
	}
	atNode := func(m, verdict string) {
		if s.NodePort != 0 {
			p.element(&knftables.Element{Map: m, Key: []string{proto, strconv.Itoa(int(s.NodePort))}, Value: []string{verdict}})
		}
	}
	if len(s.Any) == 0 {
		at(noBackends, s.ClusterIP, "goto "+rejecting)
		for _, a := range s.External {
			at(noBackends, a, "goto "+rejecting)
		}
		atNode(noBackendNode, "goto "+rejecting)
		return
	}
	if len(s.Internal) == 0 {
		at(noBackends, s.ClusterIP, "drop") // served on other nodes, but the policy keeps traffic here
	} else {
		name := "service-" + id
		at(serviceIPs, s.ClusterIP, "goto "+name)
		p.chains[name] = chain{nil, append(fromOutside(f, o), p.backends(s, s.Internal, id, f)...)}
	}
	if len(s.External) == 0 && s.NodePort == 0 {
		return
	}
	name := "external-" + id
	for _, a := range s.External {
		at(serviceIPs, a, "goto "+name)
	}
	atNode(nodePorts, "goto "+name)
	p.chains[name] = chain{nil, p.external(s, id, f, o)}
	for _, b := range s.Any {
		if b.Local {
			p.element(&knftables.Element{Set: hairpin, Key: []string{b.Address.String(), b.Address.String()}})
		}
	}
}

// fromOutside marks what reaches a cluster IP from outside of the pods' networks. A backend on this node
// that reaches itself through its service is masqueraded too (hairpin).
func fromOutside(f family, o Options) (rules []string) {
	if o.MasqueradeAll {
		return []string{"jump " + mark}
	}
	var own []string
	for _, c := range o.ClusterCIDRs {
		if c.Addr().Is6() == o.V6 {
			own = append(own, c.Masked().String())
		}
	}
	if len(own) > 0 {
		rules = append(rules, f.ip+" saddr != { "+strings.Join(own, ", ")+" } jump "+mark)
	}
	return rules
}

// external are the rules of external addresses and node ports.
func (p *plan) external(s *model.Port, id string, f family, o Options) (rules []string) {
	if len(s.Sources) > 0 && len(s.LoadBalancer) > 0 {
		rules = append(rules, f.ip+" daddr { "+joined(s.LoadBalancer)+" } "+f.ip+" saddr != { "+joined(s.Sources)+" } drop")
	}
	if !s.ExternalLocal {
		return append(append(rules, "jump "+mark), p.backends(s, s.Any, id, f)...)
	}
	// The node itself and its pods are not outside: they may reach backends anywhere.
	near := "near-" + id
	p.chains[near] = chain{nil, append([]string{"jump " + mark}, p.backends(s, s.Any, id, f)...)}
	rules = append(rules, "fib saddr type local goto "+near)
	for _, c := range o.ClusterCIDRs {
		if c.Addr().Is6() == o.V6 {
			rules = append(rules, f.ip+" saddr "+c.Masked().String()+" goto "+near)
		}
	}
	if len(s.Outside) == 0 {
		return append(rules, "drop")
	}
	return append(rules, p.backends(s, s.Outside, id, f)...)
}

// backends chooses one of several at random, or the one that a client had before.
func (p *plan) backends(s *model.Port, list []model.Backend, id string, f family) []string {
	for _, b := range list {
		if b.Local {
			p.element(&knftables.Element{Set: hairpin, Key: []string{b.Address.String(), b.Address.String()}})
		}
	}
	proto := strings.ToLower(string(s.Protocol))
	to := "meta l4proto " + proto + " dnat " + f.ip + " to "
	if s.Affinity > 0 {
		return p.sticky(s, list, id, f, to)
	}
	if len(list) == 1 {
		return []string{to + netip.AddrPortFrom(list[0].Address, list[0].Port).String()}
	}
	choices := make([]string, len(list))
	for i, b := range list {
		choices[i] = fmt.Sprintf("%d : %s . %d", i, b.Address, b.Port)
	}
	return []string{fmt.Sprintf("%snumgen random mod %d map { %s }", to, len(list), strings.Join(choices, ", "))}
}

// sticky keeps clients in a set for each backend, whose members time out.
func (p *plan) sticky(s *model.Port, list []model.Backend, id string, f family, to string) (rules []string) {
	choices := make([]string, len(list))
	for i, b := range list {
		name := fmt.Sprintf("%s__%s-%d", id, strings.ReplaceAll(b.Address.String(), ":", "."), b.Port)
		timeout := s.Affinity
		p.sets["affinity-"+name] = &knftables.Set{
			Name: "affinity-" + name, Type: f.addr, Flags: []knftables.SetFlag{knftables.DynamicFlag, knftables.TimeoutFlag}, Timeout: &timeout,
		}
		p.chains["endpoint-"+name] = chain{nil, []string{
			"update @affinity-" + name + " { " + f.ip + " saddr }",
			to + netip.AddrPortFrom(b.Address, b.Port).String(),
		}}
		rules = append(rules, f.ip+" saddr @affinity-"+name+" goto endpoint-"+name)
		choices[i] = fmt.Sprintf("%d : goto endpoint-%s", i, name)
	}
	return append(rules, fmt.Sprintf("numgen random mod %d vmap { %s }", len(list), strings.Join(choices, ", ")))
}

// chainID is a name that says which port it is, and a hash of the whole, since names may be cut.
func chainID(s *model.Port) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s.ID()))
	name := fmt.Sprintf("%08x-%s/%s/%s/%s", h.Sum32(), s.Service.Namespace, s.Service.Name, strings.ToLower(string(s.Protocol)), s.Name)
	const longest = 70 // of the 127 that the kernel allows; endpoint chains add an address
	return strings.TrimRight(name[:min(len(name), longest)], "/-")
}

func joined[T fmt.Stringer](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}
