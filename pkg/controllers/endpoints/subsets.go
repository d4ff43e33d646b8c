package endpoints

import (
	"cmp"
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/controller/endpoints"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// capacity is how many addresses an Endpoints object holds; beyond it is cut, and says so.
const capacity = 1000

// subsets are the addresses behind a service, those with the same ports together.
func subsets(s *corev1.Service, list []*corev1.Pod) []corev1.EndpointSubset {
	byPorts := map[string]*corev1.EndpointSubset{}
	var order []string
	for _, p := range list {
		if !endpoints.Belongs(p, s.Spec.PublishNotReadyAddresses) {
			continue
		}
		address, ok := addressOf(s, p)
		if !ok {
			continue
		}
		ports := portsOf(s, p)
		if len(ports) == 0 && !(endpoints.Headless(s) && len(s.Spec.Ports) == 0) {
			continue
		}
		key, err := json.Marshal(ports)
		if err != nil {
			panic(err) // API types always encode
		}
		sub := byPorts[string(key)]
		if sub == nil {
			sub = &corev1.EndpointSubset{Ports: ports}
			byPorts[string(key)], order = sub, append(order, string(key))
		}
		if s.Spec.PublishNotReadyAddresses || pods.Ready(p) {
			sub.Addresses = append(sub.Addresses, address)
		} else {
			sub.NotReadyAddresses = append(sub.NotReadyAddresses, address)
		}
	}
	slices.Sort(order)
	result := []corev1.EndpointSubset{}
	for _, key := range order {
		sub := byPorts[key]
		slices.SortFunc(sub.Addresses, byAddress)
		slices.SortFunc(sub.NotReadyAddresses, byAddress)
		result = append(result, *sub)
	}
	return result
}

func byAddress(a, b corev1.EndpointAddress) int {
	return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.TargetRef.UID, b.TargetRef.UID))
}

// addressOf is the pod's address in the service's first family.
func addressOf(s *corev1.Service, p *corev1.Pod) (corev1.EndpointAddress, bool) {
	ipv6 := endpoints.IsIPv6(s.Spec.ClusterIP)
	if len(s.Spec.IPFamilies) > 0 {
		ipv6 = s.Spec.IPFamilies[0] == corev1.IPv6Protocol
	}
	list := endpoints.Addresses(p, ipv6)
	if len(list) == 0 {
		return corev1.EndpointAddress{}, false
	}
	a := corev1.EndpointAddress{IP: list[0], TargetRef: endpoints.TargetRef(p), Hostname: endpoints.Hostname(p, s)}
	if p.Spec.NodeName != "" {
		a.NodeName = new(p.Spec.NodeName)
	}
	return a, true
}

func portsOf(s *corev1.Service, p *corev1.Pod) []corev1.EndpointPort {
	var ports []corev1.EndpointPort
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if n, ok := endpoints.Port(p, port); ok {
			ports = append(ports, corev1.EndpointPort{Name: port.Name, Port: n, Protocol: port.Protocol, AppProtocol: port.AppProtocol})
		}
	}
	slices.SortFunc(ports, func(a, b corev1.EndpointPort) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return ports
}

// truncate cuts to capacity, ready addresses kept before those that are not, and tells whether it did.
func truncate(list []corev1.EndpointSubset) bool {
	left, cut := capacity, false
	take := func(of *[]corev1.EndpointAddress) {
		if len(*of) > left {
			*of, cut = (*of)[:left], true
		}
		left -= len(*of)
	}
	for i := range list {
		take(&list[i].Addresses)
	}
	for i := range list {
		take(&list[i].NotReadyAddresses)
	}
	return cut
}
