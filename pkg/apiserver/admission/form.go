package admission

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Form is a version in which a resource is served.
type Form struct {
	Kind     schema.GroupVersionKind
	Resource schema.GroupVersionResource
	// To gives an object of Attributes in this form, and From takes one back. nil: the object is the same.
	To, From func(runtime.Object) (runtime.Object, error)
}

// Passes tell the rules that users configure what happened before: after one of them has changed the
// object all rules run once more.
type Passes struct {
	Second bool // the rules run for the second time
	Again  bool // a second pass is wanted
	// State is what a rule keeps from the first pass for the second, by the rule's name.
	State map[string]any
}

// In gives an object of the write (Object or OldObject) in the version of kind, nil for none.
func (a *Attributes) In(kind schema.GroupVersionKind, obj runtime.Object) (runtime.Object, error) {
	if obj == nil {
		return nil, nil
	}
	for _, f := range a.Forms {
		if f.Kind == kind {
			if f.To == nil {
				return obj, nil
			}
			return f.To(obj)
		}
	}
	if kind != a.Kind {
		return nil, fmt.Errorf("a %s cannot be given as %s", a.Kind, kind)
	}
	return obj, nil
}

// KindOf gives the kind that the resource, or its subresource that is written, has in another version.
func (a *Attributes) KindOf(f Form) schema.GroupVersionKind {
	if f.Kind.Kind != a.Kind.Kind {
		return a.Kind // a body of its own: a Scale, a Binding
	}
	return f.Kind
}
