package plugins

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// ingressClassAnnotation named an ingress's class before there was a field.
const ingressClassAnnotation = "kubernetes.io/ingress.class"

// defaultIngressClass gives an ingress without a class the default one: of several, the newest.
func defaultIngressClass(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(ctx context.Context, a *admission.Attributes) error {
		ingress, ok := a.Object.(*networkingv1.Ingress)
		if !ok || !a.Is(networkingv1.GroupName, "ingresses", "") {
			return nil
		}
		if _, named := ingress.Annotations[ingressClassAnnotation]; named || ingress.Spec.IngressClassName != nil {
			return nil
		}
		all, err := list[*networkingv1.IngressClass](ctx, cfg.Access, schema.GroupResource{Group: networkingv1.GroupName, Resource: "ingressclasses"}, "")
		if err != nil {
			return admission.Forbidden(a, err)
		}
		var best *networkingv1.IngressClass
		for _, c := range all {
			if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" && (best == nil || newer(c, best)) {
				best = c
			}
		}
		if best != nil {
			ingress.Spec.IngressClassName = &best.Name
		}
		return nil
	}}
}

// denyServiceExternalIPs refuses new external addresses of services, which draw traffic that is not theirs.
func denyServiceExternalIPs(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Validate: func(_ context.Context, a *admission.Attributes) error {
		service, ok := a.Object.(*corev1.Service)
		if !ok || !a.Is("", "services", "") {
			return nil
		}
		var before []string
		if old, ok := a.OldObject.(*corev1.Service); ok {
			before = old.Spec.ExternalIPs
		}
		for _, ip := range service.Spec.ExternalIPs {
			if !slices.Contains(before, ip) {
				return admission.Forbidden(a, errors.New("Use of external IPs is denied by admission control")) //nolint:staticcheck // upstream's words
			}
		}
		return nil
	}}
}

// topologyLabels are those of a node that its pods may read about themselves.
var topologyLabels = []string{corev1.LabelTopologyZone, corev1.LabelTopologyRegion}

// podTopologyLabels copies where a node is onto the pods that are bound to it.
func podTopologyLabels(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(ctx context.Context, a *admission.Attributes) error {
		if a.Resource.Group != "" {
			return nil
		}
		switch o := a.Object.(type) {
		case *corev1.Binding:
			if o.Target.Kind == "" || o.Target.Kind == "Node" {
				o.Labels = copyTopology(ctx, cfg, o.Target.Name, o.Labels)
			}
		case *corev1.Pod:
			if a.Subresource == "" && o.Spec.NodeName != "" {
				o.Labels = copyTopology(ctx, cfg, o.Spec.NodeName, o.Labels)
			}
		}
		return nil
	}}
}

// copyTopology answers labels with those of the node's place, as far as the cache knows the node: nobody is to wait
// for etcd here. An unknown node has none: the binding says so itself.
func copyTopology(ctx context.Context, cfg *Config, node string, labels map[string]string) map[string]string {
	o, err := cfg.Access.Get(ctx, schema.GroupResource{Resource: "nodes"}, "", node)
	n, is := o.(*corev1.Node)
	if err != nil || !is {
		return labels
	}
	for _, key := range topologyLabels {
		v, ok := n.Labels[key]
		if !ok {
			continue
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = v
	}
	return labels
}
