package networking

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

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
			Prepare: func(_ context.Context, c, old *networkingv1.ServiceCIDR) { c.Spec = *old.Spec.DeepCopy() },
		})},
	})
}

// validateServiceCIDR: the networks that there are stay; a second one, of the other family, may join.
func validateServiceCIDR(_ context.Context, c, old *networkingv1.ServiceCIDR) field.ErrorList {
	at := field.NewPath("spec", "cidrs")
	now := c.Spec.CIDRs
	if old == nil {
		return validateNetworks(at, now, 0)
	}
	was := old.Spec.CIDRs
	switch {
	case slices.Equal(now, was):
		return nil
	case len(was) == 1 && len(now) == 2:
		var faults field.ErrorList
		if now[0] != was[0] {
			faults = append(faults, field.Invalid(at.Index(0), now[0], validation.Immutable))
		}
		return append(faults, validateNetworks(at, now, 1)...)
	case len(was) == len(now):
		var faults field.ErrorList
		for i := range was {
			if now[i] != was[i] {
				faults = append(faults, field.Invalid(at.Index(i), now[i], validation.Immutable))
			}
		}
		return faults
	}
	return field.ErrorList{field.Invalid(at, now, validation.Immutable)}
}

// validateNetworks judges the networks from the nth on, and all of them together.
func validateNetworks(at *field.Path, list []string, from int) field.ErrorList {
	switch n := len(list); {
	case n == 0:
		return field.ErrorList{field.Required(at, "at least one CIDR required")}
	case n > 2:
		return field.ErrorList{field.Invalid(at, list, "may only hold up to 2 values")}
	}
	var faults field.ErrorList
	six := 0
	for i, text := range list {
		if i >= from {
			faults = append(faults, utilvalidation.IsValidCIDR(at.Index(i), text)...)
		}
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() {
			six++
		}
	}
	if len(faults) == 0 && len(list) == 2 && six != 1 {
		faults = append(faults, field.Invalid(at, list, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96"))
	}
	return faults
}
