package networking

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/apiserver/workload"
)

// NetworkPolicy declares network policies.
func NetworkPolicy() *resource.Resource {
	return resource.Define(resource.Definition[*networkingv1.NetworkPolicy]{
		Kind:               networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"),
		Plural:             "networkpolicies",
		ShortNames:         []string{"netpol"},
		Default:            defaultNetworkPolicy,
		Spec:               func(p *networkingv1.NetworkPolicy) any { return &p.Spec },
		DistinguishesEmpty: true,
		Validate:           validateNetworkPolicy,
		Warn: func(_ context.Context, p, _ *networkingv1.NetworkPolicy) []string {
			var said []string
			eachPeer(&p.Spec, func(at *field.Path, peer *networkingv1.NetworkPolicyPeer) {
				if peer.IPBlock == nil {
					return
				}
				if peer.IPBlock.CIDR != "" {
					said = append(said, utilvalidation.GetWarningsForCIDR(at.Child("ipBlock", "cidr"), peer.IPBlock.CIDR)...)
				}
				for i, except := range peer.IPBlock.Except {
					said = append(said, utilvalidation.GetWarningsForCIDR(at.Child("ipBlock", "except").Index(i), except)...)
				}
			})
			return said
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Pod-Selector", networkingv1.NetworkPolicySpec{}.SwaggerDoc()["podSelector"]),
			column.Age(),
		},
		Row: func(p *networkingv1.NetworkPolicy) []any {
			return []any{p.Name, workload.SelectorText(&p.Spec.PodSelector), column.Since(p.CreationTimestamp)}
		},
	})
}

func defaultNetworkPolicy(p *networkingv1.NetworkPolicy) {
	s := &p.Spec
	defaultPorts := func(ports []networkingv1.NetworkPolicyPort) {
		for i := range ports {
			if ports[i].Protocol == nil {
				tcp := corev1.ProtocolTCP
				ports[i].Protocol = &tcp
			}
		}
	}
	for i := range s.Ingress {
		defaultPorts(s.Ingress[i].Ports)
	}
	for i := range s.Egress {
		defaultPorts(s.Egress[i].Ports)
	}
	if len(s.PolicyTypes) > 0 {
		return
	}
	// Policies of old knew only traffic that comes in.
	s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
	if len(s.Egress) > 0 {
		s.PolicyTypes = append(s.PolicyTypes, networkingv1.PolicyTypeEgress)
	}
}

// eachPeer visits all that traffic may come from or go to.
func eachPeer(s *networkingv1.NetworkPolicySpec, visit func(at *field.Path, peer *networkingv1.NetworkPolicyPeer)) {
	spec := field.NewPath("spec")
	for i := range s.Ingress {
		for j := range s.Ingress[i].From {
			visit(spec.Child("ingress").Index(i).Child("from").Index(j), &s.Ingress[i].From[j])
		}
	}
	for i := range s.Egress {
		for j := range s.Egress[i].To {
			visit(spec.Child("egress").Index(i).Child("to").Index(j), &s.Egress[i].To[j])
		}
	}
}

// policyRules judges policies; what an old one was stored with may stay.
type policyRules struct {
	badSelectors bool
	cidrs        []string
}

func validateNetworkPolicy(_ context.Context, p, old *networkingv1.NetworkPolicy) field.ErrorList {
	at, s := field.NewPath("spec"), &p.Spec
	var rules policyRules
	if old != nil {
		rules.badSelectors = len(validation.LabelSelector(at, &old.Spec.PodSelector, false)) > 0
		eachPeer(&old.Spec, func(_ *field.Path, peer *networkingv1.NetworkPolicyPeer) {
			if peer.IPBlock != nil {
				rules.cidrs = append(append(rules.cidrs, peer.IPBlock.CIDR), peer.IPBlock.Except...)
			}
		})
	}
	faults := validation.LabelSelector(at.Child("podSelector"), &s.PodSelector, rules.badSelectors)
	for i, in := range s.Ingress {
		rule := at.Child("ingress").Index(i)
		faults = append(faults, policyPorts(rule.Child("ports"), in.Ports)...)
		faults = append(faults, rules.peers(rule.Child("from"), in.From)...)
	}
	for i, out := range s.Egress {
		rule := at.Child("egress").Index(i)
		faults = append(faults, policyPorts(rule.Child("ports"), out.Ports)...)
		faults = append(faults, rules.peers(rule.Child("to"), out.To)...)
	}
	return append(faults, policyTypes(at.Child("policyTypes"), s.PolicyTypes)...)
}

func policyTypes(at *field.Path, types []networkingv1.PolicyType) field.ErrorList {
	known := []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	if len(types) > len(known) {
		return field.ErrorList{field.Invalid(at, types, "may not specify more than two policyTypes")}
	}
	var faults field.ErrorList
	for i, t := range types {
		if !slices.Contains(known, t) {
			faults = append(faults, field.NotSupported(at.Index(i), t, known))
		}
	}
	return faults
}

func policyPorts(at *field.Path, ports []networkingv1.NetworkPolicyPort) field.ErrorList {
	var faults field.ErrorList
	protocols := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	for i, p := range ports {
		if p.Protocol != nil && !slices.Contains(protocols, *p.Protocol) {
			faults = append(faults, field.NotSupported(at.Index(i).Child("protocol"), *p.Protocol, protocols))
		}
		faults = append(faults, policyPort(at.Index(i), &p)...)
	}
	return faults
}

func policyPort(at *field.Path, p *networkingv1.NetworkPolicyPort) field.ErrorList {
	var faults field.ErrorList
	end := at.Child("endPort")
	switch {
	case p.Port == nil:
		if p.EndPort != nil {
			faults = append(faults, field.Invalid(end, *p.EndPort, "may not be specified when `port` is not specified"))
		}
	case p.Port.Type == intstr.Int:
		faults = append(faults, validation.PortNumber(at.Child("port"), p.Port.IntVal)...)
		if p.EndPort == nil {
			return faults
		}
		if *p.EndPort < p.Port.IntVal {
			faults = append(faults, field.Invalid(end, p.Port.IntVal, "must be greater than or equal to `port`"))
		}
		faults = append(faults, validation.PortNumber(end, *p.EndPort)...)
	default:
		if p.EndPort != nil {
			faults = append(faults, field.Invalid(end, *p.EndPort, "may not be specified when `port` is non-numeric"))
		}
		faults = append(faults, validation.Invalid(at.Child("port"), p.Port.StrVal, utilvalidation.IsValidPortName(p.Port.StrVal))...)
	}
	return faults
}

func (r policyRules) peers(at *field.Path, peers []networkingv1.NetworkPolicyPeer) field.ErrorList {
	var faults field.ErrorList
	for i, p := range peers {
		peer := at.Index(i)
		if p.PodSelector != nil {
			faults = append(faults, validation.LabelSelector(peer.Child("podSelector"), p.PodSelector, r.badSelectors)...)
		}
		if p.NamespaceSelector != nil {
			faults = append(faults, validation.LabelSelector(peer.Child("namespaceSelector"), p.NamespaceSelector, r.badSelectors)...)
		}
		if p.IPBlock != nil {
			faults = append(faults, r.block(peer.Child("ipBlock"), p.IPBlock)...)
		}
		switch selects := p.PodSelector != nil || p.NamespaceSelector != nil; {
		case !selects && p.IPBlock == nil:
			faults = append(faults, field.Required(peer, "must specify a peer"))
		case selects && p.IPBlock != nil:
			faults = append(faults, field.Forbidden(peer, "may not specify both ipBlock and another peer"))
		}
	}
	return faults
}

// block judges a network and the smaller ones in it that are left out.
func (r policyRules) block(at *field.Path, b *networkingv1.IPBlock) field.ErrorList {
	if b.CIDR == "" {
		return field.ErrorList{field.Required(at.Child("cidr"), "")}
	}
	faults := validation.Network(at.Child("cidr"), b.CIDR, r.cidrs...)
	_, whole, err := netutils.ParseCIDRSloppy(b.CIDR)
	if err != nil {
		return faults // which say so
	}
	for i, text := range b.Except {
		except := at.Child("except").Index(i)
		faults = append(faults, validation.Network(except, text, r.cidrs...)...)
		_, part, err := netutils.ParseCIDRSloppy(text)
		if err != nil {
			continue
		}
		wholeBits, _ := whole.Mask.Size()
		partBits, _ := part.Mask.Size()
		if !whole.Contains(part.IP) || wholeBits >= partBits {
			faults = append(faults, field.Invalid(except, text, "must be a strict subset of `cidr`"))
		}
	}
	return faults
}
