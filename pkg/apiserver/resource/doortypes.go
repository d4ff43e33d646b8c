package resource

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	smd "sigs.k8s.io/structured-merge-diff/v6/typed"
)

// doorTypes knows the types of one of the two doors, /api and /apis. Who owns fields of a kind that is served at
// both (events) is kept by each door for itself: a write through one forgets who wrote through the other.
type doorTypes struct {
	managedfields.TypeConverter
	kind schema.GroupVersionKind
}

// ObjectToTyped implements managedfields.TypeConverter.
func (t doorTypes) ObjectToTyped(o runtime.Object, options ...smd.ValidationOptions) (*smd.TypedValue, error) {
	if gvk := o.GetObjectKind().GroupVersionKind(); (gvk.Group == "") != (t.kind.Group == "") {
		return nil, runtime.NewNotRegisteredErrForKind("pkg/apiserver/resource", gvk)
	}
	return t.TypeConverter.ObjectToTyped(o, options...)
}
