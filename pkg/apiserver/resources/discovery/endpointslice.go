// Package discovery declares the resources of the group discovery.k8s.io.
package discovery

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// What a slice may hold.
const (
	maxAddresses = 100
	maxEndpoints = 1000
	maxPorts     = 20000
	maxHints     = 8
	shown        = 3 // in a row
)

// EndpointSlice declares endpoint slices.
func EndpointSlice() *resource.Resource {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	return resource.Define(resource.Definition[*discoveryv1.EndpointSlice]{
		Kind:        discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
		Plural:      "endpointslices",
		WholeUpdate: true,
		Default:     defaultEndpointSlice,
		Prepare:     prepareEndpointSlice,
		Validate:    validateEndpointSlice,
		Warn:        warnEndpointSlice,
		Spec:        counted,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("AddressType", doc["addressType"]),
			column.Text("Ports", doc["ports"]),
			column.Text("Endpoints", doc["endpoints"]),
			column.Age(),
		},
		Row: func(s *discoveryv1.EndpointSlice) []any {
			return []any{s.Name, string(s.AddressType), portsCell(s.Ports), endpointsCell(s.Endpoints), column.Since(s.CreationTimestamp)}
		},
	})
}

// counted is what raises the generation: all that a slice says, and its labels, by which it belongs to a
// service.
func counted(s *discoveryv1.EndpointSlice) any {
	c := &discoveryv1.EndpointSlice{AddressType: s.AddressType}
	if len(s.Labels) > 0 {
		c.Labels = s.Labels
	}
	if len(s.Endpoints) > 0 {
		c.Endpoints = s.Endpoints
	}
	if len(s.Ports) > 0 {
		c.Ports = s.Ports
	}
	return c
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Name == nil {
			p.Name = new(string)
		}
		if p.Protocol == nil {
			tcp := corev1.ProtocolTCP
			p.Protocol = &tcp
		}
	}
}

// prepareEndpointSlice drops the topology of former versions, but where nothing changes.
func prepareEndpointSlice(_ context.Context, s, old *discoveryv1.EndpointSlice) {
	if len(s.Endpoints) == 0 {
		s.Endpoints = nil // as it comes back from etcd
	}
	if old != nil && !equality.Semantic.DeepEqual(counted(s), counted(old)) {
		s.Generation = old.Generation + 1 // also where nothing of the change is left
	}
	if old != nil && equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) {
		return
	}
	for i := range s.Endpoints {
		s.Endpoints[i].DeprecatedTopology = nil
	}
}

// warnEndpointSlice tells of addresses that stand from when they were taken in any form. The controllers spell them well.
func warnEndpointSlice(_ context.Context, s, old *discoveryv1.EndpointSlice) []string {
	var warnings []string
	if old == nil && s.AddressType == discoveryv1.AddressTypeFQDN {
		warnings = append(warnings, "spec.addressType: FQDN endpoints are deprecated")
	}
	switch s.Labels[discoveryv1.LabelManagedBy] {
	case "endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io":
		return warnings
	}
	for i, e := range s.Endpoints {
		for j, a := range e.Addresses {
			if netutils.ParseIPSloppy(a) == nil {
				continue // a domain name, of which the library would log an error
			}
			at := field.NewPath("endpoints").Index(i).Child("addresses").Index(j)
			warnings = append(warnings, utilvalidation.GetWarningsForIP(at, a)...)
		}
	}
	return warnings
}

func validateEndpointSlice(_ context.Context, s, old *discoveryv1.EndpointSlice) field.ErrorList {
	faults := validation.OneOf(field.NewPath("addressType"), s.AddressType,
		discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6)
	faults = append(faults, validatePorts(field.NewPath("ports"), s.Ports)...)
	if old == nil || !equality.Semantic.DeepEqual(s.Endpoints, old.Endpoints) { // addresses were once taken in any form
		faults = append(faults, validateEndpoints(field.NewPath("endpoints"), s.AddressType, s.Endpoints)...)
	}
	if old != nil {
		faults = append(faults, validation.Unchanged(field.NewPath("addressType"), s.AddressType, old.AddressType)...)
	}
	return faults
}

func validatePorts(path *field.Path, ports []discoveryv1.EndpointPort) field.ErrorList {
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	var faults field.ErrorList
	seen := map[string]bool{}
	for i := range ports {
		p, at := &ports[i], path.Index(i)
		if *p.Name != "" {
			faults = append(faults, validation.DNSLabel(at.Child("name"), *p.Name)...)
		}
		if seen[*p.Name] {
			faults = append(faults, field.Duplicate(at.Child("name"), *p.Name))
		}
		seen[*p.Name] = true
		faults = append(faults, validation.OneOfAny(at.Child("protocol"), *p.Protocol, corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)...)
		faults = append(faults, validation.WhereSet(at.Child("appProtocol"), p.AppProtocol, validation.QualifiedName)...)
	}
	return faults
}

func validateEndpoints(path *field.Path, kind discoveryv1.AddressType, list []discoveryv1.Endpoint) field.ErrorList {
	if len(list) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(list), maxEndpoints)}
	}
	var faults field.ErrorList
	for i := range list {
		e, at := &list[i], path.Index(i)
		faults = append(faults, validateAddresses(at.Child("addresses"), kind, e.Addresses)...)
		faults = append(faults, validation.WhereSet(at.Child("nodeName"), e.NodeName, validation.DNSSubdomain)...)
		faults = append(faults, validation.WhereSet(at.Child("hostname"), e.Hostname, validation.DNSLabel)...)
		if e.Hints != nil {
			faults = append(faults, validateHints(at.Child("hints"), e.Hints)...)
		}
	}
	return faults
}

func validateAddresses(path *field.Path, kind discoveryv1.AddressType, list []string) field.ErrorList {
	sloppy := func(at *field.Path, a string) field.ErrorList { return validation.Address(at, a) } // once taken in any form
	var faults field.ErrorList
	switch {
	case len(list) == 0:
		faults = append(faults, field.Required(path, "must contain at least 1 address"))
	case len(list) > maxAddresses:
		faults = append(faults, field.TooMany(path, len(list), maxAddresses))
	}
	for i, a := range list {
		switch kind {
		case discoveryv1.AddressTypeIPv4:
			faults = append(faults, validateIP(path, i, a, corev1.IPv4Protocol, sloppy)...)
		case discoveryv1.AddressTypeIPv6:
			faults = append(faults, validateIP(path, i, a, corev1.IPv6Protocol, utilvalidation.IsValidIP)...)
		case discoveryv1.AddressTypeFQDN:
			faults = append(faults, utilvalidation.IsFullyQualifiedDomainName(path.Index(i), a)...)
		}
	}
	return faults
}

// validateIP judges an address of a family in the form that judge asks for.
func validateIP(path *field.Path, i int, a string, family corev1.IPFamily, judge func(*field.Path, string) field.ErrorList) field.ErrorList {
	faults := judge(path.Index(i), a)
	if len(faults) > 0 {
		return faults
	}
	if validation.FamilyOf(a) != family {
		faults = append(faults, field.Invalid(path, a, fmt.Sprintf("must be an %s address", family)))
	}
	return append(faults, validation.NotSpecialIP(path.Index(i), a)...)
}

func validateHints(path *field.Path, h *discoveryv1.EndpointHints) field.ErrorList {
	zones, nodes := make([]string, len(h.ForZones)), make([]string, len(h.ForNodes))
	for i, z := range h.ForZones {
		zones[i] = z.Name
	}
	for i, n := range h.ForNodes {
		nodes[i] = n.Name
	}
	faults := validateHintNames(path.Child("forZones"), zones, utilvalidation.IsValidLabelValue)
	return append(faults, validateHintNames(path.Child("forNodes"), nodes, utilvalidation.IsDNS1123Subdomain)...)
}

func validateHintNames(path *field.Path, list []string, judge func(string) []string) field.ErrorList {
	if len(list) > maxHints {
		return field.ErrorList{field.TooMany(path, len(list), maxHints)}
	}
	var faults field.ErrorList
	for i, name := range list {
		at := path.Index(i).Child("name")
		if slices.Contains(list[:i], name) {
			faults = append(faults, field.Duplicate(at, name))
		}
		faults = append(faults, validation.Invalid(at, name, judge(name))...)
	}
	return faults
}

func portsCell(ports []discoveryv1.EndpointPort) string {
	var list []string
	for _, p := range ports {
		switch {
		case p.Port != nil:
			list = append(list, strconv.Itoa(int(*p.Port)))
		case p.Name != nil:
			list = append(list, *p.Name)
		default:
			list = append(list, "*")
		}
	}
	return cell(list)
}

func endpointsCell(endpoints []discoveryv1.Endpoint) string {
	var list []string
	for _, e := range endpoints {
		list = append(list, e.Addresses...)
	}
	return cell(list)
}

// cell joins the first items and counts the others.
func cell(list []string) string {
	text := strings.Join(list[:min(len(list), shown)], ",")
	switch {
	case text == "":
		return "<unset>"
	case len(list) > shown:
		return fmt.Sprintf("%s + %d more...", text, len(list)-shown)
	}
	return text
}
