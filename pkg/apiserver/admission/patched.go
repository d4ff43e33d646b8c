package admission

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
)

// Kinded gives an object that says of which kind it is.
func Kinded(o runtime.Object, kind schema.GroupVersionKind) runtime.Object {
	if o != nil && o.GetObjectKind().GroupVersionKind().Empty() {
		o = o.DeepCopyObject()
		o.GetObjectKind().SetGroupVersionKind(kind)
	}
	return o
}

// Patched reads the JSON that a patch has made of an object. It may be of another kind then: From judges that. strict
// says that a field which the kind does not have is a fault.
func Patched(o runtime.Object, data []byte, strict bool) (runtime.Object, error) {
	if _, custom := o.(*unstructured.Unstructured); custom {
		u := &unstructured.Unstructured{}
		return u, u.UnmarshalJSON(data)
	}
	is, err := json.DefaultMetaFactory.Interpret(data)
	switch {
	case err != nil:
		return nil, err
	case is.Kind == "":
		return nil, runtime.NewMissingKindErr(string(data))
	case is.Version == "":
		return nil, runtime.NewMissingVersionErr(string(data))
	}
	out, err := kinds.Scheme().New(*is)
	if err != nil {
		return nil, runtime.NewNotRegisteredErrForKind(kinds.SchemeName, *is)
	}
	if !strict {
		return out, kjson.UnmarshalCaseSensitivePreserveInts(data, out)
	}
	faults, err := kjson.UnmarshalStrict(data, out)
	if err == nil && len(faults) > 0 {
		err = runtime.NewStrictDecodingError(faults)
	}
	return out, err
}

// From takes an object that a rule made, in whatever version of the resource, into the version of Object.
func (a *Attributes) From(obj runtime.Object) (runtime.Object, error) {
	kind := obj.GetObjectKind().GroupVersionKind()
	for _, f := range a.Forms {
		switch {
		case f.Kind != kind:
		case f.From != nil:
			return f.From(obj)
		default:
			return obj, nil
		}
	}
	if kind == a.Kind {
		return obj, nil
	}
	switch u, custom := obj.(*unstructured.Unstructured); {
	case !custom:
		return nil, kinds.Unconvertible(obj, a.Kind)
	case kind.GroupVersion() != a.Kind.GroupVersion():
		return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", kind.GroupVersion())
	default:
		return nil, apierrors.NewInvalid(a.Kind.GroupKind(), u.GetName(),
			field.ErrorList{field.Invalid(field.NewPath("kind"), kind.Kind, "must be "+a.Kind.Kind)})
	}
}
