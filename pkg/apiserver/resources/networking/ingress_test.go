package networking

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func places(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, strings.TrimPrefix(f.Field, "spec."))
	}
	return strings.Join(list, " ")
}

func service(name string, port networkingv1.ServiceBackendPort) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: port}}
}

var eighty = networkingv1.ServiceBackendPort{Number: 80}

// ingress has one rule.
func ingress(host string, kind networkingv1.PathType, path string, b networkingv1.IngressBackend) *networkingv1.Ingress {
	i := &networkingv1.Ingress{}
	i.Spec.Rules = []networkingv1.IngressRule{{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &kind, Backend: b}}}}}}
	return i
}

func TestIngressesAreJudged(t *testing.T) {
	const exact, prefix, own = networkingv1.PathTypeExact, networkingv1.PathTypePrefix, networkingv1.PathTypeImplementationSpecific
	good := service("s", eighty)
	both := good
	both.Resource = &corev1.TypedLocalObjectReference{Kind: "K", Name: "n"}
	wild := ingress("*.a.io", exact, "relative", good)
	classes := func(annotation, class string) *networkingv1.Ingress {
		i := ingress("", own, "", good)
		i.Annotations, i.Spec.IngressClassName = map[string]string{classAnnotation: annotation}, &class
		return i
	}
	secret := func(name string) *networkingv1.Ingress {
		i := ingress("", own, "", good)
		i.Spec.TLS = []networkingv1.IngressTLS{{SecretName: name}}
		return i
	}
	const at = "rules[0].http.paths[0]."
	for name, c := range map[string]struct {
		obj, old *networkingv1.Ingress
		want     string
	}{
		"good":                      {ingress("a.io", prefix, "/", good), nil, ""},
		"nothing":                   {&networkingv1.Ingress{}, nil, "spec"},
		"an address":                {ingress("192.0.2.1", prefix, "/", good), nil, "rules[0].host"},
		"no wildcard":               {ingress("a.*.io", prefix, "/", good), nil, "rules[0].host"},
		"relative":                  {ingress("", exact, "x", good), nil, at + "path"},
		"nothing exact":             {ingress("", exact, "", good), nil, at + "path"},
		"nothing of one's own":      {ingress("", own, "", good), nil, ""},
		"up":                        {ingress("", exact, "/a/..", good), nil, at + "path"},
		"up inside":                 {ingress("", prefix, "/a/../b", good), nil, at + "path"},
		"up in one's own":           {ingress("", own, "/a/../b", good), nil, ""},
		"an unknown kind":           {ingress("", "Odd", "/", good), nil, at + "pathType"},
		"a service and a resource":  {ingress("", own, "", both), nil, at + "backend"},
		"neither":                   {ingress("", own, "", networkingv1.IngressBackend{}), nil, at + "backend"},
		"no port":                   {ingress("", own, "", service("s", networkingv1.ServiceBackendPort{})), nil, at + "backend"},
		"two ports":                 {ingress("", own, "", service("s", networkingv1.ServiceBackendPort{Name: "p", Number: 1})), nil, at + "backend"},
		"highest port":              {ingress("", own, "", service("s", networkingv1.ServiceBackendPort{Number: 65535})), nil, ""},
		"too high a port":           {ingress("", own, "", service("s", networkingv1.ServiceBackendPort{Number: 65536})), nil, at + "backend.service.port.number"},
		"a wildcard's path":         {wild, nil, at + "path"},
		"a wildcard's path, before": {wild, wild, ""},
		"one class twice":           {classes("a", "a"), nil, ""},
		"two classes":               {classes("a", "b"), nil, "annotations.kubernetes.io/ingress.class"},
		"two classes, before":       {classes("a", "b"), classes("a", "b"), ""},
		"no secret's name":          {secret("A"), nil, "tls[0].secretName"},
		"no secret's name, before":  {secret("A"), secret("B"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := places(validateIngress(context.Background(), c.obj, c.old)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

func TestResourcesBehindIngressesHaveAKindAndAName(t *testing.T) {
	list := backend(field.NewPath("b"), &networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{}})
	if len(list) != 2 || list[0].Error() != "b.resource.kind: Required value" || list[1].Error() != "b.resource.name: Required value" {
		t.Errorf("said: %v", list)
	}
}

func TestHostsAreShownShort(t *testing.T) {
	for want, hosts := range map[string][]string{
		"*": {""}, "a,b,c": {"a", "b", "c"}, "a,b,c + 2 more...": {"a", "b", "c", "d", "e"}, "a": {"", "a", ""},
	} {
		var rules []networkingv1.IngressRule
		for _, h := range hosts {
			rules = append(rules, networkingv1.IngressRule{Host: h})
		}
		if got := hostsText(rules); got != want {
			t.Errorf("%v: %q, want %q", hosts, got, want)
		}
	}
}

func TestClassesAreJudged(t *testing.T) {
	class := func(controller string, p *networkingv1.IngressClassParametersReference) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{Spec: networkingv1.IngressClassSpec{Controller: controller, Parameters: p}}
	}
	in := func(scope string, namespace *string) *networkingv1.IngressClassParametersReference {
		return &networkingv1.IngressClassParametersReference{Kind: "K", Name: "n", Scope: &scope, Namespace: namespace}
	}
	long := "a.io/" + strings.Repeat("b", longestController-5)
	for name, c := range map[string]struct {
		obj, old *networkingv1.IngressClass
		want     string
	}{
		"good":              {class("a.io/b", in("Cluster", nil)), nil, ""},
		"longest":           {class(long, nil), nil, ""},
		"long":              {class(long+"b", nil), nil, "controller"},
		"another":           {class("a.io/c", nil), class("a.io/b", nil), "controller"},
		"in a namespace":    {class("a.io/b", in("Namespace", new("n"))), nil, ""},
		"in none":           {class("a.io/b", in("Namespace", nil)), nil, "parameters.namespace"},
		"in all and in one": {class("a.io/b", in("Cluster", new("n"))), nil, "parameters.namespace"},
		"anywhere":          {class("a.io/b", in("Any", nil)), nil, "parameters.scope"},
	} {
		if got := places(validateIngressClass(context.Background(), c.obj, c.old)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestPoliciesAreJudged(t *testing.T) {
	policy := func(port networkingv1.NetworkPolicyPort, peer networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
		p := &networkingv1.NetworkPolicy{}
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{port}, From: []networkingv1.NetworkPolicyPeer{peer}}}
		defaultNetworkPolicy(p)
		return p
	}
	all := networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{}}
	net := func(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
	}
	ports := func(from intstr.IntOrString, to *int32) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{Port: &from, EndPort: to}
	}
	both := net("10.0.0.0/8")
	both.PodSelector = &metav1.LabelSelector{}
	var none networkingv1.NetworkPolicyPort
	sloppy := policy(none, net("010.0.0.0/8"))
	const port, peer = "ingress[0].ports[0].", "ingress[0].from[0]"
	for name, c := range map[string]struct {
		obj, old *networkingv1.NetworkPolicy
		want     string
	}{
		"all":               {policy(none, all), nil, ""},
		"a port":            {policy(ports(intstr.FromInt32(65535), nil), all), nil, ""},
		"no port":           {policy(ports(intstr.FromInt32(65536), nil), all), nil, port + "port"},
		"ports":             {policy(ports(intstr.FromInt32(80), ptr.To[int32](80)), all), nil, ""},
		"ports in reverse":  {policy(ports(intstr.FromInt32(80), ptr.To[int32](79)), all), nil, port + "endPort"},
		"from a name on":    {policy(ports(intstr.FromString("http"), ptr.To[int32](80)), all), nil, port + "endPort"},
		"from nothing on":   {policy(networkingv1.NetworkPolicyPort{EndPort: ptr.To[int32](80)}, all), nil, port + "endPort"},
		"nobody":            {policy(none, networkingv1.NetworkPolicyPeer{}), nil, peer},
		"pods in a network": {policy(none, both), nil, peer},
		"a part":            {policy(none, net("10.0.0.0/8", "10.0.0.0/9")), nil, ""},
		"the whole":         {policy(none, net("10.0.0.0/8", "10.0.0.0/8")), nil, peer + ".ipBlock.except[0]"},
		"another part":      {policy(none, net("10.0.0.0/8", "11.0.0.0/9")), nil, peer + ".ipBlock.except[0]"},
		"sloppy":            {sloppy, nil, peer + ".ipBlock.cidr"},
		"sloppy, as before": {sloppy, sloppy, ""},
		"no network":        {policy(none, net("")), nil, peer + ".ipBlock.cidr"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := places(validateNetworkPolicy(context.Background(), c.obj, c.old)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPolicyIsForWhatItSpeaksOf(t *testing.T) {
	p := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{}}}}}}
	defaultNetworkPolicy(p)
	if len(p.Spec.PolicyTypes) != 2 || *p.Spec.Egress[0].Ports[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("got %+v", p.Spec)
	}
	p = &networkingv1.NetworkPolicy{}
	defaultNetworkPolicy(p)
	if len(p.Spec.PolicyTypes) != 1 || p.Spec.PolicyTypes[0] != networkingv1.PolicyTypeIngress {
		t.Errorf("got %+v", p.Spec)
	}
}
