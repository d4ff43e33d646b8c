package environment

import (
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// serviceVariables are the variables by which a container finds services without DNS: always those of
// default/kubernetes, and with links those of the pod's namespace, which hide default's.
func serviceVariables(services []*corev1.Service, namespace string, links bool) []*cri.KeyValue {
	chosen := map[string]*corev1.Service{}
	for _, s := range services {
		if s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		switch master := s.Namespace == corev1.NamespaceDefault && s.Name == "kubernetes"; {
		case master && chosen[s.Name] == nil, !master && s.Namespace == namespace && links:
			chosen[s.Name] = s
		}
	}
	var names []string
	for name := range chosen {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []*cri.KeyValue
	for _, name := range names {
		all = append(all, variablesOf(chosen[name])...)
	}
	return all
}

func variablesOf(s *corev1.Service) []*cri.KeyValue {
	var all []*cri.KeyValue
	set := func(name, value string) { all = append(all, &cri.KeyValue{Key: name, Value: []byte(value)}) }
	prefix, ip := variableName(s.Name), s.Spec.ClusterIP
	set(prefix+"_SERVICE_HOST", ip)
	if len(s.Spec.Ports) > 0 {
		set(prefix+"_SERVICE_PORT", strconv.Itoa(int(s.Spec.Ports[0].Port)))
	}
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			set(prefix+"_SERVICE_PORT_"+variableName(p.Name), strconv.Itoa(int(p.Port)))
		}
	}
	for i, p := range s.Spec.Ports {
		protocol, port := "tcp", strconv.Itoa(int(p.Port))
		if p.Protocol != "" {
			protocol = strings.ToLower(string(p.Protocol))
		}
		url := protocol + "://" + net.JoinHostPort(ip, port)
		if i == 0 {
			set(prefix+"_PORT", url)
		}
		link := prefix + "_PORT_" + port + "_" + strings.ToUpper(protocol)
		set(link, url)
		set(link+"_PROTO", protocol)
		set(link+"_PORT", port)
		set(link+"_ADDR", ip)
	}
	return all
}

func variableName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
