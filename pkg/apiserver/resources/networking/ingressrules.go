package networking

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// tolerance lets faults stand that an ingress was stored with before they were judged.
type tolerance struct{ secrets, wildcards bool }

func toleranceFor(old *networkingv1.Ingress) tolerance {
	if old == nil {
		return tolerance{}
	}
	return tolerance{
		secrets: slices.ContainsFunc(old.Spec.TLS, func(t networkingv1.IngressTLS) bool {
			return t.SecretName != "" && len(apivalidation.NameIsDNSSubdomain(t.SecretName, false)) > 0
		}),
		wildcards: slices.ContainsFunc(old.Spec.Rules, func(r networkingv1.IngressRule) bool {
			return strings.Contains(r.Host, "*") && len(paths(field.NewPath(""), r.HTTP)) > 0
		}),
	}
}

func validateIngress(_ context.Context, i, old *networkingv1.Ingress) field.ErrorList {
	at, s, tolerant := field.NewPath("spec"), &i.Spec, toleranceFor(old)
	var faults field.ErrorList
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		faults = append(faults, field.Invalid(at, validation.GoNames(s.Rules), "either `defaultBackend` or `rules` must be specified"))
	}
	if s.DefaultBackend != nil {
		faults = append(faults, backend(at.Child("defaultBackend"), s.DefaultBackend)...)
	}
	for n, r := range s.Rules {
		rule := at.Child("rules").Index(n)
		if r.Host != "" && netutils.ParseIPSloppy(r.Host) != nil {
			faults = append(faults, field.Invalid(rule.Child("host"), r.Host, notAnIP))
		}
		if r.Host != "" {
			faults = append(faults, host(rule.Child("host"), r.Host)...)
		}
		if !tolerant.wildcards || !strings.Contains(r.Host, "*") {
			faults = append(faults, paths(rule.Child("http"), r.HTTP)...)
		}
	}
	for n, t := range s.TLS {
		tls := at.Child("tls").Index(n)
		for m, name := range t.Hosts {
			faults = append(faults, host(tls.Child("hosts").Index(m), name)...)
		}
		if t.SecretName != "" && !tolerant.secrets {
			faults = append(faults, validation.DNSSubdomain(tls.Child("secretName"), t.SecretName)...)
		}
	}
	if s.IngressClassName != nil {
		faults = append(faults, validation.DNSSubdomain(at.Child("ingressClassName"), *s.IngressClassName)...)
	}
	if class, named := i.Annotations[classAnnotation]; old == nil && named && s.IngressClassName != nil && class != *s.IngressClassName {
		faults = append(faults, field.Invalid(field.NewPath("annotations").Child(classAnnotation), class,
			"must match `ingressClassName` when both are specified"))
	}
	return faults
}

func host(at *field.Path, name string) field.ErrorList {
	if !strings.Contains(name, "*") {
		return validation.DNSSubdomain(at, name)
	}
	var faults field.ErrorList
	faults = append(faults, validation.Invalid(at, name, utilvalidation.IsWildcardDNS1123Subdomain(name))...)
	return faults
}

func paths(at *field.Path, http *networkingv1.HTTPIngressRuleValue) field.ErrorList {
	if http == nil {
		return nil
	}
	var faults field.ErrorList
	if len(http.Paths) == 0 {
		faults = append(faults, field.Required(at.Child("paths"), ""))
	}
	for n := range http.Paths {
		p, one := &http.Paths[n], at.Child("paths").Index(n)
		if p.PathType == nil {
			faults = append(faults, field.Required(one.Child("pathType"), "pathType must be specified"))
			continue
		}
		faults = append(faults, requestPath(one, *p.PathType, p.Path)...)
		faults = append(faults, backend(one.Child("backend"), &p.Backend)...)
	}
	return faults
}

// requestPath judges the path that requests are matched by. Only what every implementation must understand the
// same way is bound to be plain.
func requestPath(at *field.Path, kind networkingv1.PathType, path string) field.ErrorList {
	var faults field.ErrorList
	relative := func() {
		if !strings.HasPrefix(path, "/") {
			faults = append(faults, field.Invalid(at.Child("path"), path, "must be an absolute path"))
		}
	}
	switch kind {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		relative()
		for _, part := range []string{"//", "/./", "/../", "%2f", "%2F"} {
			if strings.Contains(path, part) {
				faults = append(faults, field.Invalid(at.Child("path"), path, fmt.Sprintf("must not contain '%s'", part)))
			}
		}
		for _, end := range []string{"/..", "/."} {
			if strings.HasSuffix(path, end) {
				faults = append(faults, field.Invalid(at.Child("path"), path, fmt.Sprintf("cannot end with '%s'", end)))
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if path != "" {
			relative()
		}
	default:
		faults = append(faults, field.NotSupported(at.Child("pathType"), kind,
			[]networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix}))
	}
	return faults
}

func backend(at *field.Path, b *networkingv1.IngressBackend) field.ErrorList {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(at, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return typedReference(at.Child("resource"), b.Resource)
	case b.Service != nil:
		return serviceBackend(at, b.Service)
	}
	return field.ErrorList{field.Invalid(at, "", "resource or service backend is required")}
}

func serviceBackend(at *field.Path, s *networkingv1.IngressServiceBackend) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.FilledWith(at.Child("service", "name"), s.Name, validation.DNSLabel)...)
	port := at.Child("service", "port")
	switch name, number := s.Port.Name, s.Port.Number; {
	case name != "" && number != 0:
		faults = append(faults, field.Invalid(at, "", "cannot set both port name & port number"))
	case name != "":
		faults = append(faults, validation.Invalid(port.Child("name"), name, utilvalidation.IsValidPortName(name))...)
	case number != 0:
		faults = append(faults, validation.PortNumber(port.Child("number"), number)...)
	default:
		faults = append(faults, field.Required(at, "port name or number is required"))
	}
	return faults
}

// typedReference judges a reference to an object of any kind.
func typedReference(at *field.Path, r *corev1.TypedLocalObjectReference) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.WhereSet(at.Child("apiGroup"), r.APIGroup, validation.DNSSubdomain)...)
	if r.Kind == "" {
		faults = append(faults, field.Required(at.Child("kind"), ""))
	}
	faults = append(faults, segment(at.Child("kind"), r.Kind, false)...)
	if r.Name == "" {
		faults = append(faults, field.Required(at.Child("name"), ""))
	}
	return append(faults, segment(at.Child("name"), r.Name, false)...)
}
