package networking

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const longestController = 250

// IngressClass declares the classes of ingresses: which controller serves them.
func IngressClass() *resource.Resource {
	return resource.Define(resource.Definition[*networkingv1.IngressClass]{
		Kind:          networkingv1.SchemeGroupVersion.WithKind("IngressClass"),
		Plural:        "ingressclasses",
		ClusterScoped: true,
		Default: func(c *networkingv1.IngressClass) {
			if p := c.Spec.Parameters; p != nil && p.Scope == nil {
				scope := networkingv1.IngressClassParametersReferenceScopeCluster
				p.Scope = &scope
			}
		},
		Spec:        func(c *networkingv1.IngressClass) any { return &c.Spec },
		Validate:    validateIngressClass,
		WholeUpdate: true,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Controller", "Controller that is responsible for handling this class"),
			column.Text("Parameters", "A reference to a resource with additional parameters"),
			column.Age(),
		},
		Row: func(c *networkingv1.IngressClass) []any {
			name := c.Name
			if c.Annotations[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
				name += " (default)"
			}
			return []any{name, c.Spec.Controller, parametersText(c.Spec.Parameters), column.Since(c.CreationTimestamp)}
		},
	})
}

func parametersText(p *networkingv1.IngressClassParametersReference) string {
	switch {
	case p == nil:
		return column.None
	case p.APIGroup != nil:
		return p.Kind + "." + *p.APIGroup + "/" + p.Name
	}
	return p.Kind + "/" + p.Name
}

func validateIngressClass(_ context.Context, c, old *networkingv1.IngressClass) field.ErrorList {
	at := field.NewPath("spec")
	var faults field.ErrorList
	if old != nil {
		faults = append(faults, validation.Unchanged(at.Child("controller"), c.Spec.Controller, old.Spec.Controller)...)
	}
	if len(c.Spec.Controller) > longestController {
		faults = append(faults, field.TooLong(at.Child("controller"), "", longestController))
	}
	faults = append(faults, utilvalidation.IsDomainPrefixedPath(at.Child("controller"), c.Spec.Controller)...)
	if c.Spec.Parameters != nil {
		faults = append(faults, classParameters(at.Child("parameters"), c.Spec.Parameters)...)
	}
	return faults
}

func classParameters(at *field.Path, p *networkingv1.IngressClassParametersReference) field.ErrorList {
	const inCluster, inNamespace = networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace
	faults := typedReference(at, &corev1.TypedLocalObjectReference{APIGroup: p.APIGroup, Kind: p.Kind, Name: p.Name})
	namespace := at.Child("namespace")
	switch *p.Scope {
	case inCluster:
		if p.Namespace != nil {
			faults = append(faults, field.Forbidden(namespace, "`parameters.scope` is set to 'Cluster'"))
		}
	case inNamespace:
		if p.Namespace == nil {
			return append(faults, field.Required(namespace, "`parameters.scope` is set to 'Namespace'"))
		}
		faults = append(faults, validation.DNSLabel(namespace, *p.Namespace)...)
	default:
		faults = append(faults, field.NotSupported(at.Child("scope"), *p.Scope, []string{inCluster, inNamespace}))
	}
	return faults
}
