package networking

import (
	"context"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// ServiceCIDR declares the networks that service addresses come from.
func ServiceCIDR() *resource.Resource {
	return resource.Define(resource.Definition[*networkingv1.ServiceCIDR]{
		Kind:          networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"),
		Plural:        "servicecidrs",
		ClusterScoped: true,
		Prepare:       resource.KeepStatus(func(c *networkingv1.ServiceCIDR) *networkingv1.ServiceCIDRStatus { return &c.Status }),
		Validate:      validateServiceCIDR,
		Reset:         []string{"status"},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("CIDRs", networkingv1.ServiceCIDRSpec{}.SwaggerDoc()["cidrs"]),
			column.Age(),
		},
		Row: func(c *networkingv1.ServiceCIDR) []any {
			return []any{c.Name, strings.Join(c.Spec.CIDRs, ","), column.Since(c.CreationTimestamp)}
		},
		Subresources: []resource.Subresource[*networkingv1.ServiceCIDR]{resource.Status(networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR"), resource.UpdatePart[*networkingv1.ServiceCIDR]{
			Prepare: func(_ context.Context, c, old *networkingv1.ServiceCIDR) {
				c.Spec = *old.Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(c, old)
			},
			Reset: []string{"metadata", "spec"},
		})},
	})
}

// validateServiceCIDR: the networks that there are stay; a second one, of the other family, may join.
func validateServiceCIDR(_ context.Context, c, old *networkingv1.ServiceCIDR) field.ErrorList {
	at := field.NewPath("spec", "cidrs")
	now := c.Spec.CIDRs
	if old == nil {
		return validateNetworks(at, &c.Spec)
	}
	was := old.Spec.CIDRs
	if len(was) != len(now) && (len(was) != 1 || len(now) != 2) {
		return field.ErrorList{field.Invalid(at, now, validation.Immutable)}
	}
	var faults field.ErrorList
	for i := range was {
		if now[i] != was[i] {
			faults = append(faults, field.Invalid(at.Index(i), now[i], validation.Immutable))
		}
	}
	if len(was) != len(now) {
		faults = append(faults, validateNetworks(at, &c.Spec)...)
	}
	return faults
}

// validateNetworks judges each of the networks, and all of them together.
func validateNetworks(at *field.Path, s *networkingv1.ServiceCIDRSpec) field.ErrorList {
	list := s.CIDRs
	switch n := len(list); {
	case n == 0:
		return field.ErrorList{field.Required(at, "at least one CIDR required")}
	case n > 2:
		return field.ErrorList{field.Invalid(at, validation.GoNames(s), "may only hold up to 2 values")}
	}
	var faults field.ErrorList
	families := map[netutils.IPFamily]int{}
	for i, text := range list {
		faults = append(faults, utilvalidation.IsValidCIDR(at.Index(i), text)...)
		families[netutils.IPFamilyOfCIDRString(text)]++
	}
	if families[netutils.IPv4] > 1 || families[netutils.IPv6] > 1 {
		faults = append(faults, field.Invalid(at, list, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"))
	}
	return faults
}
