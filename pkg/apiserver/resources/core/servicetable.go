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

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
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
func warnService(_ context.Context, s, old *corev1.Service) []string {
	var warnings []string
	if _, set := s.Annotations[corev1.DeprecatedAnnotationTopologyAwareHints]; set && (old == nil || !equalKey(s, old, corev1.DeprecatedAnnotationTopologyAwareHints)) {
		warnings = append(warnings, fmt.Sprintf("annotation %s is deprecated, please use %s instead",
			corev1.DeprecatedAnnotationTopologyAwareHints, corev1.AnnotationTopologyMode))
	}
	spec := field.NewPath("spec")
	if validation.IsHeadless(s) {
		if s.Spec.LoadBalancerIP != "" {
			warnings = append(warnings, "spec.loadBalancerIP is ignored when spec.clusterIP is \"None\"")
		}
		if len(s.Spec.ExternalIPs) > 0 {
			warnings = append(warnings, "spec.externalIPs is ignored when spec.clusterIP is \"None\"")
		}
		if s.Spec.SessionAffinity != corev1.ServiceAffinityNone {
			warnings = append(warnings, "spec.SessionAffinity is ignored for headless services")
		}
	} else if s.Spec.Type != corev1.ServiceTypeExternalName {
		for i, ip := range s.Spec.ClusterIPs {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("clusterIPs").Index(i), ip)...)
		}
	}
	for i, ip := range s.Spec.ExternalIPs {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("externalIPs").Index(i), ip)...)
	}
	if s.Spec.LoadBalancerIP != "" && len(validation.Address(spec, s.Spec.LoadBalancerIP)) == 0 {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(spec.Child("loadBalancerIP"), s.Spec.LoadBalancerIP)...)
	}
	for i, network := range s.Spec.LoadBalancerSourceRanges {
		warnings = append(warnings, utilvalidation.GetWarningsForCIDR(spec.Child("loadBalancerSourceRanges").Index(i), strings.TrimSpace(network))...)
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

func equalKey(a, b metav1.Object, key string) bool {
	one, inOne := a.GetAnnotations()[key]
	two, inTwo := b.GetAnnotations()[key]
	return inOne == inTwo && one == two
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
