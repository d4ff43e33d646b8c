package endpointslice

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller/endpoints"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// families are the address types in which a service has endpoints.
func families(s *corev1.Service) []discoveryv1.AddressType {
	var list []discoveryv1.AddressType
	for _, f := range s.Spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			list = append(list, discoveryv1.AddressTypeIPv6)
		} else {
			list = append(list, discoveryv1.AddressTypeIPv4)
		}
	}
	switch {
	case len(list) > 0:
		return list
	case endpoints.IsIPv6(s.Spec.ClusterIP):
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv6}
	case s.Spec.ClusterIP != "" && !endpoints.Headless(s):
		return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4}
	}
	return []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}
}

// desired groups the endpoints of a service. zones gives a node's zone; false: the node is not known. The
// second answer tells that a pod was left out because of that.
func desired(s *corev1.Service, list []*corev1.Pod, zones func(node string) (string, bool)) ([]*endpoints.Group, bool) {
	var groups []*endpoints.Group
	skipped := false
	for _, p := range list {
		if !endpoints.Belongs(p, true) {
			continue
		}
		zone, known := "", true
		if p.Spec.NodeName != "" {
			zone, known = zones(p.Spec.NodeName)
		}
		if !known && !s.Spec.PublishNotReadyAddresses {
			skipped = true
			continue
		}
		ports := portsOf(s, p)
		for _, t := range families(s) {
			for _, address := range endpoints.Addresses(p, t == discoveryv1.AddressTypeIPv6) {
				groups = endpoints.GroupBy(groups, t, ports, endpoint(s, p, address, zone))
			}
		}
	}
	for _, g := range groups {
		hint(s, g)
	}
	return groups, skipped
}

func portsOf(s *corev1.Service, p *corev1.Pod) []discoveryv1.EndpointPort {
	ports := []discoveryv1.EndpointPort{}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if n, ok := endpoints.Port(p, port); ok {
			ports = append(ports, discoveryv1.EndpointPort{Name: new(port.Name), Port: new(n), Protocol: new(port.Protocol), AppProtocol: port.AppProtocol})
		}
	}
	return ports
}

func endpoint(s *corev1.Service, p *corev1.Pod, address, zone string) discoveryv1.Endpoint {
	serving, terminating := pods.Ready(p), p.DeletionTimestamp != nil
	e := discoveryv1.Endpoint{
		Addresses: []string{address},
		Conditions: discoveryv1.EndpointConditions{
			Ready:   new(s.Spec.PublishNotReadyAddresses || serving && !terminating),
			Serving: new(serving), Terminating: new(terminating),
		},
		TargetRef: endpoints.TargetRef(p),
	}
	if p.Spec.NodeName != "" {
		e.NodeName = new(p.Spec.NodeName)
	}
	if zone != "" {
		e.Zone = new(zone)
	}
	if h := endpoints.Hostname(p, s); h != "" {
		e.Hostname = new(h)
	}
	return e
}

// hint tells proxies, where the service asks for near endpoints, for which zones and nodes each is meant.
// One ready endpoint without a zone makes hints useless for all.
func hint(s *corev1.Service, g *endpoints.Group) {
	want := ptr.Deref(s.Spec.TrafficDistribution, "")
	near := want == corev1.ServiceTrafficDistributionPreferClose || want == corev1.ServiceTrafficDistributionPreferSameZone
	node := want == corev1.ServiceTrafficDistributionPreferSameNode
	if !near && !node {
		return
	}
	for i := range g.Endpoints {
		e := &g.Endpoints[i]
		if !ptr.Deref(e.Conditions.Ready, false) {
			continue
		}
		if e.Zone == nil && near {
			for j := range g.Endpoints {
				g.Endpoints[j].Hints = nil
			}
			return
		}
		e.Hints = &discoveryv1.EndpointHints{}
		if e.Zone != nil {
			e.Hints.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
		}
		if node && e.NodeName != nil {
			e.Hints.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
		}
	}
}

// labelsOf are the labels of a service's slices: its own, but for those that the controller sets.
func labelsOf(s *corev1.Service) map[string]string {
	labels := maps.Clone(s.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.DeleteFunc(labels, func(k, _ string) bool { return reserved(k) })
	labels[discoveryv1.LabelServiceName] = s.Name
	labels[discoveryv1.LabelManagedBy] = managedBy
	if endpoints.Headless(s) {
		labels[corev1.IsHeadlessService] = ""
	}
	return labels
}

func reserved(label string) bool {
	return label == discoveryv1.LabelServiceName || label == discoveryv1.LabelManagedBy || label == corev1.IsHeadlessService
}

// annotationsOf are the annotations of a service's slices: its own, but for those of kubectl and endpoints.
func annotationsOf(s *corev1.Service) map[string]string {
	annotations := maps.Clone(s.Annotations)
	maps.DeleteFunc(annotations, func(k, _ string) bool {
		return k == corev1.LastAppliedConfigAnnotation || strings.HasPrefix(k, "endpoints.kubernetes.io/") ||
			k == corev1.DeprecatedAnnotationTopologyAwareHints || k == corev1.AnnotationTopologyMode
	})
	return annotations
}
