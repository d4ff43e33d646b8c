package core

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// shownEndpoints is how many addresses a row holds.
const shownEndpoints = 3

// Endpoints declares endpoints, which EndpointSlices have replaced.
func Endpoints() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Endpoints]{
		Kind:       corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Plural:     "endpoints",
		ShortNames: []string{"ep"},
		Deprecated: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
		Prefix:     "services/endpoints",
		Default: func(e *corev1.Endpoints) {
			for i := range e.Subsets {
				for j := range e.Subsets[i].Ports {
					e.Subsets[i].Ports[j].Protocol = cmp.Or(e.Subsets[i].Ports[j].Protocol, corev1.ProtocolTCP)
				}
			}
		},
		CreateOnUpdate: true,
		WholeUpdate:    true,
		Validate:       validateEndpoints,
		Warn:           warnEndpoints,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Endpoints", corev1.Endpoints{}.SwaggerDoc()["subsets"]),
			column.Age(),
		},
		Row: func(e *corev1.Endpoints) []any {
			return []any{e.Name, endpointsCell(e.Subsets), column.Since(e.CreationTimestamp)}
		},
	})
}

// validateEndpoints lets subsets stand as they were stored, whatever they are.
func validateEndpoints(_ context.Context, e, old *corev1.Endpoints) field.ErrorList {
	if old != nil && equality.Semantic.DeepEqual(e.Subsets, old.Subsets) {
		return nil
	}
	var faults field.ErrorList
	for i := range e.Subsets {
		subset, path := &e.Subsets[i], field.NewPath("subsets").Index(i)
		if len(subset.Addresses) == 0 && len(subset.NotReadyAddresses) == 0 {
			faults = append(faults, field.Required(path, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j := range subset.Addresses {
			faults = append(faults, validateEndpointAddress(path.Child("addresses").Index(j), &subset.Addresses[j])...)
		}
		for j := range subset.NotReadyAddresses {
			faults = append(faults, validateEndpointAddress(path.Child("notReadyAddresses").Index(j), &subset.NotReadyAddresses[j])...)
		}
		for j := range subset.Ports {
			faults = append(faults, validateEndpointPort(path.Child("ports").Index(j), &subset.Ports[j], len(subset.Ports) > 1)...)
		}
	}
	return faults
}

// warnEndpoints tells of addresses that are not spelled as they should be. The controller spells them well.
func warnEndpoints(_ context.Context, e, _ *corev1.Endpoints) []string {
	if e.Labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller" {
		return nil
	}
	var warnings []string
	for i := range e.Subsets {
		for _, part := range []struct {
			name string
			list []corev1.EndpointAddress
		}{{"addresses", e.Subsets[i].Addresses}, {"notReadyAddresses", e.Subsets[i].NotReadyAddresses}} {
			at := field.NewPath("subsets").Index(i).Child(part.name)
			for j, a := range part.list {
				warnings = append(warnings, utilvalidation.GetWarningsForIP(at.Index(j).Child("ip"), a.IP)...)
			}
		}
	}
	return warnings
}

func validateEndpointAddress(path *field.Path, a *corev1.EndpointAddress) field.ErrorList {
	faults := validation.Address(path.Child("ip"), a.IP)
	if a.Hostname != "" {
		faults = append(faults, validation.DNSLabel(path.Child("hostname"), a.Hostname)...)
	}
	if a.NodeName != nil {
		faults = append(faults, validation.Invalid(path.Child("nodeName"), *a.NodeName, apivalidation.NameIsDNSSubdomain(*a.NodeName, false))...)
	}
	return append(faults, validation.NotSpecialIP(path.Child("ip"), a.IP)...)
}

func validateEndpointPort(path *field.Path, p *corev1.EndpointPort, named bool) field.ErrorList {
	var faults field.ErrorList
	switch {
	case p.Name != "":
		faults = append(faults, validation.DNSLabel(path.Child("name"), p.Name)...)
	case named:
		faults = append(faults, field.Required(path.Child("name"), ""))
	}
	faults = append(faults, validation.PortNumber(path.Child("port"), p.Port)...)
	faults = append(faults, validateProtocol(path.Child("protocol"), p.Protocol)...)
	faults = append(faults, validation.WhereSet(path.Child("appProtocol"), p.AppProtocol, validation.QualifiedName)...)
	return faults
}

func validateProtocol(path *field.Path, p corev1.Protocol) field.ErrorList {
	return validation.OneOf(path, p, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)
}

// endpointsCell shows the first addresses that are ready, and how many more there are. It is empty where there are
// only some that are not.
func endpointsCell(subsets []corev1.EndpointSubset) string {
	if len(subsets) == 0 {
		return column.None
	}
	var all []string
	for _, s := range subsets {
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
		if len(s.Ports) == 0 {
			for _, a := range s.Addresses {
				all = append(all, a.IP)
			}
		}
	}
	if len(all) > shownEndpoints {
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:shownEndpoints], ","), len(all)-shownEndpoints)
	}
	return strings.Join(all, ",")
}
