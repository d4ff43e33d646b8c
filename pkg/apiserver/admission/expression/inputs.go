package expression

import (
	"fmt"

	"github.com/google/cel-go/common/types/ref"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
)

// Inputs are the values of one write, in as many versions as expressions ask for. Each is made once.
type Inputs struct {
	a             *admission.Attributes
	authorizer    ref.Val
	resource      ref.Val
	objects, olds map[schema.GroupVersionKind]map[string]any
}

// NewInputs is for the expressions about one write. authorizer may be nil.
func NewInputs(a *admission.Attributes, authorizer authz.Authorizer) *Inputs {
	in := &Inputs{a: a, olds: map[schema.GroupVersionKind]map[string]any{}}
	in.authorizer, in.resource = Authorizers(authorizer, a.User, Resource{GVR: a.Resource, Subresource: a.Subresource, Namespace: a.ReviewNamespace(), Name: a.Name})
	in.Changed()
	return in
}

// Changed is called after the write's object has changed.
func (in *Inputs) Changed() { in.objects = map[schema.GroupVersionKind]map[string]any{} }

// Values gives what expressions see of the write, taken for t.
func (in *Inputs) Values(t admission.Target) (Values, error) {
	v := Values{Authorizer: in.authorizer, ResourceAuthorizer: in.resource}
	for _, o := range []struct {
		name string
		from runtime.Object
		kept map[schema.GroupVersionKind]map[string]any
		into *any
	}{{oldObjectName, in.a.OldObject, in.olds, &v.OldObject}, {objectName, in.a.Object, in.objects, &v.Object}} {
		if o.from == nil {
			continue
		}
		if o.kept[t.Kind] == nil {
			versioned, err := in.a.In(t.Kind, o.from)
			if err != nil {
				return v, err
			}
			if o.kept[t.Kind], err = fieldsOfObject(versioned, t.Kind); err != nil {
				return v, fmt.Errorf("failed to prepare %s variable for evaluation: %w", o.name, err)
			}
		}
		*o.into = o.kept[t.Kind]
	}
	request, err := runtime.DefaultUnstructuredConverter.ToUnstructured(in.a.Request(t))
	if err != nil {
		return v, fmt.Errorf("failed to prepare request variable for evaluation: %w", err)
	}
	v.Request = request
	return v, nil
}

// fieldsOfObject gives an object as JSON would be read, with its kind.
func fieldsOfObject(o runtime.Object, kind schema.GroupVersionKind) (map[string]any, error) {
	if u, is := o.(runtime.Unstructured); is {
		return u.UnstructuredContent(), nil
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err == nil && m["kind"] == nil {
		m["apiVersion"], m["kind"] = kind.GroupVersion().String(), kind.Kind
	}
	return m, err
}

// Param gives a policy's parameter as expressions see it, nil for none.
func Param(o runtime.Object, kind schema.GroupVersionKind) (any, error) {
	if o == nil {
		return nil, nil
	}
	m, err := fieldsOfObject(o, kind)
	if err != nil {
		return nil, fmt.Errorf("failed to prepare params variable for evaluation: %w", err)
	}
	return m, nil
}

// Namespace gives a namespace as expressions see it: without who owns its fields.
func Namespace(ns *corev1.Namespace) (any, error) {
	if ns == nil {
		return nil, nil
	}
	m := ns.ObjectMeta
	shown := &corev1.Namespace{Spec: ns.Spec, Status: ns.Status, ObjectMeta: metav1.ObjectMeta{
		Name: m.Name, GenerateName: m.GenerateName, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion,
		Generation: m.Generation, CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp,
		DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds, Labels: m.Labels, Annotations: m.Annotations, Finalizers: m.Finalizers,
	}}
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(shown)
	if err != nil {
		return nil, fmt.Errorf("failed to prepare namespace variable for evaluation: %w", err)
	}
	return out, nil
}
