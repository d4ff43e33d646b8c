// Package networking declares the resources of the group networking.k8s.io.
package networking

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// IPAddress declares addresses that are in use: whoever creates one of an address's name has it.
func IPAddress() *resource.Resource {
	return resource.Define(resource.Definition[*networkingv1.IPAddress]{
		Kind:          networkingv1.SchemeGroupVersion.WithKind("IPAddress"),
		Plural:        "ipaddresses",
		ShortNames:    []string{"ip"},
		ClusterScoped: true,
		ValidateName:  addressName,
		Validate:      validateIPAddress,
		WholeUpdate:   true,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("ParentRef", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"]),
		},
		// kube-apiserver gives rows an age and has no column for it.
		Row: func(a *networkingv1.IPAddress) []any {
			return []any{a.Name, parent(a.Spec.ParentRef), column.Since(a.CreationTimestamp)}
		},
	})
}

// addressName wants the canonical form, so that an address cannot be taken twice.
func addressName(name string, _ bool) []string {
	var texts []string
	for _, f := range utilvalidation.IsValidIP(field.NewPath(""), name) {
		texts = append(texts, f.Detail)
	}
	return texts
}

func validateIPAddress(_ context.Context, a, old *networkingv1.IPAddress) field.ErrorList {
	at := field.NewPath("spec", "parentRef")
	faults := validateParent(at, a.Spec.ParentRef)
	if old != nil {
		faults = append(faults, validation.Unchanged(at, a.Spec.ParentRef, old.Spec.ParentRef)...)
	}
	return faults
}

func validateParent(at *field.Path, p *networkingv1.ParentReference) field.ErrorList {
	if p == nil {
		return field.ErrorList{field.Required(at, "")}
	}
	var faults field.ErrorList
	if p.Group != "" {
		faults = append(faults, validation.DNSSubdomain(at.Child("group"), p.Group)...)
	}
	faults = append(faults, segment(at.Child("resource"), p.Resource, true)...)
	faults = append(faults, segment(at.Child("name"), p.Name, true)...)
	return append(faults, segment(at.Child("namespace"), p.Namespace, false)...)
}

// segment judges a part of an object's path.
func segment(at *field.Path, value string, required bool) field.ErrorList {
	if value == "" {
		if required {
			return field.ErrorList{field.Required(at, "")}
		}
		return nil
	}
	var faults field.ErrorList
	faults = append(faults, validation.Invalid(at, value, path.IsValidPathSegmentName(value))...)
	return faults
}

func parent(p *networkingv1.ParentReference) string {
	if p == nil {
		return column.None
	}
	kind := p.Resource
	if p.Group != "" {
		kind += "." + p.Group
	}
	if p.Namespace != "" {
		return fmt.Sprintf("%s/%s/%s", kind, p.Namespace, p.Name)
	}
	return fmt.Sprintf("%s/%s", kind, p.Name)
}
