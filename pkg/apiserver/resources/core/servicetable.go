package core

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

func serviceColumns() []metav1.TableColumnDefinition {
	doc := corev1.ServiceSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("Type", doc["type"]),
		column.Text("Cluster-IP", doc["clusterIP"]),
		column.Text("External-IP", doc["externalIPs"]),
		column.Text("Port(s)", doc["ports"]),
		column.Age(),
		column.Wide("Selector", doc["selector"]),
	}
}

func serviceRow(s *corev1.Service) []any {
	ip := column.None
	if len(s.Spec.ClusterIPs) > 0 {
		ip = s.Spec.ClusterIPs[0]
	}
	return []any{s.Name, string(s.Spec.Type), ip, outsideAddress(s), portsCell(s.Spec.Ports),
		column.Since(s.CreationTimestamp), labels.FormatLabels(s.Spec.Selector)}
}

func outsideAddress(s *corev1.Service) string {
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return column.Joined(s.Spec.ExternalIPs)
	case corev1.ServiceTypeLoadBalancer:
		given := sets.New[string]()
		for _, in := range s.Status.LoadBalancer.Ingress {
			if in.IP != "" {
				given.Insert(in.IP)
			} else if in.Hostname != "" {
				given.Insert(in.Hostname)
			}
		}
		if all := append(sets.List(given), s.Spec.ExternalIPs...); len(all) > 0 {
			return strings.Join(all, ",")
		}
		return "<pending>"
	default:
		return column.Unknown
	}
}

func portsCell(ports []corev1.ServicePort) string {
	list := make([]string, len(ports))
	for i, p := range ports {
		list[i] = strconv.Itoa(int(p.Port))
		if p.NodePort > 0 {
			list[i] = fmt.Sprintf("%d:%d", p.Port, p.NodePort)
		}
		list[i] += "/" + string(p.Protocol)
	}
	return column.Joined(list)
}

// warnService tells of what is out of date or has no effect.
func warnService(_ context.Context, s, _ *corev1.Service) []string {
	var warnings []string
	if _, set := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; set {
		warnings = append(warnings, fmt.Sprintf("annotation %s is deprecated, please use %s instead",
			corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	}
	spec := field.NewPath("spec")
	none := s.Spec.ClusterIP == corev1.ClusterIPNone
	if !none && s.Spec.Type != corev1.ServiceTypeExternalName {
		for i, ip := range s.Spec.ClusterIPs {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("clusterIPs").Index(i), ip)...)
		}
	}
	headless := none && s.Spec.Type == corev1.ServiceTypeClusterIP
	if headless {
		warnings = append(warnings, warnHeadless(&s.Spec)...)
	}
	for i, ip := range s.Spec.ExternalIPs {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("externalIPs").Index(i), ip)...)
	}
	if len(s.Spec.ExternalIPs) > 0 && !headless && s.Spec.Type != corev1.ServiceTypeExternalName {
		warnings = append(warnings, "spec.externalIPs is deprecated and may no longer be implemented in some clusters")
	}
	if netutils.ParseIPSloppy(s.Spec.LoadBalancerIP) != nil {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("loadBalancerIP"), s.Spec.LoadBalancerIP)...)
	}
	for i, network := range s.Spec.LoadBalancerSourceRanges {
		if strings.TrimSpace(network) == network { // spaces around are borne, and nothing is said of what they surround
			warnings = append(warnings, utilvalidation.GetWarningsForCIDR(spec.Child("loadBalancerSourceRanges").Index(i), network)...)
		}
	}
	if s.Spec.Type == corev1.ServiceTypeExternalName && len(s.Spec.ExternalIPs) > 0 {
		warnings = append(warnings, fmt.Sprintf("spec.externalIPs is ignored when spec.type is %q", corev1.ServiceTypeExternalName))
	}
	if s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ExternalName != "" {
		warnings = append(warnings, fmt.Sprintf("spec.externalName is ignored when spec.type is not %q", corev1.ServiceTypeExternalName))
	}
	if t := s.Spec.TrafficDistribution; t != nil && *t == corev1.ServiceTrafficDistributionPreferClose {
		warnings = append(warnings, fmt.Sprintf("spec.trafficDistribution: %q is deprecated; use %q",
			corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone))
	}
	return warnings
}

// warnHeadless tells what needs an address that the service has not.
func warnHeadless(spec *corev1.ServiceSpec) []string {
	var warnings []string
	if spec.LoadBalancerIP != "" {
		warnings = append(warnings, "spec.loadBalancerIP is ignored for headless services")
	}
	if len(spec.ExternalIPs) > 0 {
		warnings = append(warnings, "spec.externalIPs is ignored for headless services")
	}
	if spec.SessionAffinity != corev1.ServiceAffinityNone {
		warnings = append(warnings, "spec.SessionAffinity is ignored for headless services")
	}
	return warnings
}

func warnIngress(list []corev1.LoadBalancerIngress) []string {
	var warnings []string
	for i, in := range list {
		if in.IP != "" {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(field.NewPath("status", "loadBalancer", "ingress").Index(i), in.IP)...)
		}
	}
	return warnings
}
