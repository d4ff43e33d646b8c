package match

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// Namespaces reads a namespace, from etcd where the cache does not know it.
type Namespaces func(ctx context.Context, name string) (*corev1.Namespace, error)

// Selectors are the label selectors of one configuration.
type Selectors struct {
	namespace, object       labels.Selector
	namespaceErr, objectErr error
}

// NewSelectors parses selectors; what is wrong with one is told when it is used.
func NewSelectors(namespace, object *metav1.LabelSelector) *Selectors {
	s := &Selectors{}
	s.namespace, s.namespaceErr = metav1.LabelSelectorAsSelector(namespace)
	s.object, s.objectErr = metav1.LabelSelectorAsSelector(object)
	return s
}

// InNamespace says whether the write's namespace is selected. Writes outside of namespaces always are.
func (s *Selectors) InNamespace(ctx context.Context, a *admission.Attributes, namespaces Namespaces) (bool, error) {
	name := a.ReviewNamespace()
	if name == "" && a.Resource.Resource != "namespaces" {
		return true, nil
	}
	if s.namespaceErr != nil {
		return false, apierrors.NewInternalError(s.namespaceErr)
	}
	if s.namespace.Empty() {
		return true, nil
	}
	// Of a namespace that is written the labels count that it will have.
	if a.Resource.Resource == "namespaces" && a.Subresource == "" && (a.Operation == admission.Create || a.Operation == admission.Update) {
		m, err := meta.Accessor(a.Object)
		if err != nil {
			return false, apierrors.NewInternalError(err)
		}
		return s.namespace.Matches(labels.Set(m.GetLabels())), nil
	}
	ns, err := namespaces(ctx, name)
	if apierrors.IsNotFound(err) {
		return false, err
	}
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return s.namespace.Matches(labels.Set(ns.Labels)), nil
}

// Object says whether the object, as it is or was, is selected.
func (s *Selectors) Object(a *admission.Attributes) (bool, error) {
	if s.objectErr != nil {
		return false, apierrors.NewInternalError(s.objectErr)
	}
	if s.object.Empty() {
		return true, nil
	}
	return s.selects(a.Object) || s.selects(a.OldObject), nil
}

func (s *Selectors) selects(o runtime.Object) bool {
	if o == nil {
		return false
	}
	m, err := meta.Accessor(o)
	return err == nil && s.object.Matches(labels.Set(m.GetLabels()))
}

// Resources are the match constraints of a policy or a binding, ready for use.
type Resources struct {
	selectors           *Selectors
	rules, exclude      []admissionv1.NamedRuleWithOperations
	equivalent, present bool
}

// NewResources prepares constraints; nil ones match everything.
func NewResources(m *admissionv1.MatchResources) *Resources {
	if m == nil {
		return &Resources{}
	}
	return &Resources{
		selectors: NewSelectors(m.NamespaceSelector, m.ObjectSelector), rules: m.ResourceRules, exclude: m.ExcludeResourceRules,
		equivalent: m.MatchPolicy != nil && *m.MatchPolicy == admissionv1.Equivalent, present: true,
	}
}

// Match finds what the constraints take a write for, nil for nothing.
func (r *Resources) Match(ctx context.Context, a *admission.Attributes, namespaces Namespaces) (*admission.Target, error) {
	itself := &admission.Target{Kind: a.Kind, Resource: a.Resource}
	if !r.present {
		return itself, nil
	}
	in, nsErr := r.selectors.InNamespace(ctx, a, namespaces)
	if !in && nsErr == nil {
		return nil, nil
	}
	selected, objErr := r.selectors.Object(a)
	if !selected && objErr == nil || named(r.exclude, r.equivalent, a) != nil {
		return nil, nil
	}
	found := itself
	if len(r.rules) > 0 {
		found = named(r.rules, r.equivalent, a)
	}
	switch {
	case found == nil:
		return nil, nil
	case nsErr != nil:
		return nil, nsErr
	case objErr != nil:
		return nil, objErr
	}
	return found, nil
}
