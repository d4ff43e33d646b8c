package networking

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	// classAnnotation named an ingress's class before there was a field.
	classAnnotation = "kubernetes.io/ingress.class"
	notAnIP         = "must be a DNS name, not an IP address"
	shownHosts      = 3
)

// Ingress declares ingresses.
func Ingress() *resource.Resource {
	kind := networkingv1.SchemeGroupVersion.WithKind("Ingress")
	return resource.Define(resource.Definition[*networkingv1.Ingress]{
		Kind:        kind,
		Plural:      "ingresses",
		Singular:    "ingress",
		ShortNames:  []string{"ing"},
		Prefix:      "ingress",
		Prepare:     resource.KeepStatus(func(i *networkingv1.Ingress) *networkingv1.IngressStatus { return &i.Status }),
		Validate:    validateIngress,
		WholeUpdate: true,
		Warn: func(_ context.Context, i, old *networkingv1.Ingress) []string {
			if _, named := i.Annotations[classAnnotation]; named && old == nil && i.Spec.IngressClassName == nil {
				return []string{fmt.Sprintf("annotation %q is deprecated, please use 'spec.ingressClassName' instead", classAnnotation)}
			}
			return nil
		},
		Spec:  func(i *networkingv1.Ingress) any { return &i.Spec },
		Reset: []string{"status"},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Class", "The name of the IngressClass resource that should be used for additional configuration"),
			column.Text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
			column.Text("Address", "Address is a list containing ingress points for the load-balancer"),
			column.Text("Ports", "Ports of TLS configurations that open"),
			column.Age(),
		},
		Row: ingressRow,
		Subresources: []resource.Subresource[*networkingv1.Ingress]{
			resource.Status(kind, resource.UpdatePart[*networkingv1.Ingress]{
				Prepare:  resource.Keep(func(i, old *networkingv1.Ingress) { i.Spec = old.Spec }),
				Validate: validateIngressStatus,
				Warn: func(_ context.Context, i, _ *networkingv1.Ingress) []string {
					var said []string
					for n, point := range i.Status.LoadBalancer.Ingress {
						if point.IP != "" {
							said = append(said, utilvalidation.GetWarningsForIP(entryPoint(n), point.IP)...)
						}
					}
					return said
				},
			}),
		},
	})
}

func ingressRow(i *networkingv1.Ingress) []any {
	class, ports := column.None, "80"
	if i.Spec.IngressClassName != nil {
		class = *i.Spec.IngressClassName
	}
	if len(i.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	addresses := sets.New[string]()
	for _, point := range i.Status.LoadBalancer.Ingress {
		if point.IP != "" {
			addresses.Insert(point.IP)
		} else if point.Hostname != "" {
			addresses.Insert(point.Hostname)
		}
	}
	return []any{i.Name, class, hostsText(i.Spec.Rules), column.Set(addresses), ports, column.Since(i.CreationTimestamp)}
}

func hostsText(rules []networkingv1.IngressRule) string {
	var hosts []string
	for _, r := range rules {
		if len(hosts) == shownHosts {
			return fmt.Sprintf("%s + %d more...", strings.Join(hosts, ","), len(rules)-shownHosts)
		}
		if r.Host != "" {
			hosts = append(hosts, r.Host)
		}
	}
	if len(hosts) == 0 {
		return "*"
	}
	return strings.Join(hosts, ",")
}

func entryPoint(n int) *field.Path {
	return field.NewPath("status", "loadBalancer", "ingress").Index(n)
}

func validateIngressStatus(_ context.Context, i, old *networkingv1.Ingress) field.ErrorList {
	var before []string
	for _, point := range old.Status.LoadBalancer.Ingress {
		before = append(before, point.IP)
	}
	var faults field.ErrorList
	for n, point := range i.Status.LoadBalancer.Ingress {
		at := entryPoint(n)
		if point.IP != "" {
			faults = append(faults, validation.Address(at.Child("ip"), point.IP, before...)...)
		}
		if point.Hostname != "" {
			faults = append(faults, validation.DNSSubdomain(at.Child("hostname"), point.Hostname)...)
			if netutils.ParseIPSloppy(point.Hostname) != nil {
				faults = append(faults, field.Invalid(at.Child("hostname"), point.Hostname, notAnIP))
			}
		}
	}
	return faults
}
