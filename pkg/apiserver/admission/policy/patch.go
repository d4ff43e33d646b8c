package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/cel/mutation"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	smdschema "sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/objectpatch"
)

// jsonPatched gives a copy of an object with the patch applied that an expression gave.
func jsonPatched(o runtime.Object, out ref.Val) (runtime.Object, error) {
	patch, err := operations(out)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("failed to create JSON patch: %w", err)
	}
	after, err := objectpatch.Operations(before, patch)
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return o, nil // the patch says itself that it is not meant for this object
	}
	if err != nil {
		return nil, fmt.Errorf("JSON Patch: %w", err)
	}
	patched, err := admission.Patched(o, after, true)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return patched, nil
}

func emptyLike(o runtime.Object) runtime.Object {
	return reflect.New(reflect.TypeOf(o).Elem()).Interface().(runtime.Object)
}

// operations reads a list of JSONPatch values.
func operations(out ref.Val) (jsonpatch.Patch, error) {
	list, is := out.(traits.Lister)
	if !is {
		return nil, errors.New("type mismatch: JSONPatchType.expression should evaluate to array")
	}
	patch := jsonpatch.Patch{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		native, err := it.Next().ConvertToNative(reflect.TypeFor[*mutation.JSONPatchVal]())
		if err != nil {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch: %w", err)
		}
		op, is := native.(*mutation.JSONPatchVal)
		if !is {
			return nil, fmt.Errorf("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of %T", native)
		}
		o, err := operation(op)
		if err != nil {
			return nil, err
		}
		patch = append(patch, o)
	}
	return patch, nil
}

func operation(op *mutation.JSONPatchVal) (jsonpatch.Operation, error) {
	out := jsonpatch.Operation{}
	set := func(name string, v any) error {
		text, err := json.Marshal(v)
		raw := json.RawMessage(text)
		out[name] = &raw
		return err
	}
	err := errors.Join(set("op", op.Op), set("path", op.Path))
	if op.From != "" {
		err = errors.Join(err, set("from", op.From))
	}
	if err != nil || op.Val == nil {
		return out, err
	}
	if object, is := op.Val.(*dynamic.ObjectVal); is {
		if err := object.CheckTypeNamesMatchFieldPathNames(); err != nil {
			return nil, fmt.Errorf("type mismatch: %w", err)
		}
	}
	v, err := op.Val.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	if err == nil {
		err = set("value", v)
	}
	if err != nil {
		return nil, fmt.Errorf("JSONPath valueExpression evaluated to a type that could not marshal to JSON: %w", err)
	}
	return out, nil
}

// merged gives a copy of an object into which the part that an expression gave is merged, as server-side apply does.
func merged(converter managedfields.TypeConverter, kind schema.GroupVersionKind, o runtime.Object, out ref.Val) (runtime.Object, error) {
	part, is := out.(*dynamic.ObjectVal)
	if !is {
		return nil, fmt.Errorf("unsupported return type from ApplyConfiguration expression: %v", out.Type())
	}
	if err := part.CheckTypeNamesMatchFieldPathNames(); err != nil {
		return nil, fmt.Errorf("type mismatch: %w", err)
	}
	fields, is := part.Value().(map[string]any)
	if !is {
		return nil, fmt.Errorf("invalid return type: %T", out)
	}
	wanted := &unstructured.Unstructured{Object: fields}
	wanted.SetGroupVersionKind(kind)
	if converter == nil {
		return nil, fmt.Errorf("error applying patch: failed to convert patch object to typed object: no corresponding type for %s", kind)
	}
	patched, err := merge(converter, o, wanted)
	if err != nil {
		return nil, fmt.Errorf("error applying patch: %w", err)
	}
	u, plain := patched.(*unstructured.Unstructured)
	if _, custom := o.(*unstructured.Unstructured); custom || !plain {
		return patched, nil
	}
	typed := emptyLike(o)
	return typed, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed)
}

func merge(converter managedfields.TypeConverter, o runtime.Object, wanted *unstructured.Unstructured) (runtime.Object, error) {
	part, err := converter.ObjectToTyped(wanted)
	if err != nil {
		return nil, fmt.Errorf("failed to convert patch object to typed object: %w", err)
	}
	// What is atomic would be replaced, though who wrote the policy may have meant to add to it.
	if found := atomics(nil, part.Schema(), part.TypeRef(), part.AsValue()); len(found) > 0 {
		return nil, fmt.Errorf("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: %v", strings.Join(found, ", "))
	}
	live, err := converter.ObjectToTyped(o, typed.AllowDuplicates)
	if err != nil {
		return nil, fmt.Errorf("failed to convert original object to typed object: %w", err)
	}
	whole, err := live.Merge(part)
	if err != nil {
		return nil, fmt.Errorf("failed to merge patch: %w", err)
	}
	out, err := converter.TypedToObject(whole)
	if err != nil {
		return nil, fmt.Errorf("failed to convert typed object to object: %w", err)
	}
	return out, nil
}

// atomics lists the paths of what a part would replace as a whole.
func atomics(at fieldpath.Path, s *smdschema.Schema, t smdschema.TypeRef, v value.Value) (out []string) {
	a, known := s.Resolve(t)
	if !known {
		return nil
	}
	switch {
	case v.IsMap() && a.Map != nil:
		if a.Map.ElementRelationship == smdschema.Atomic {
			out = append(out, at.String())
		}
		v.AsMap().Iterate(func(name string, member value.Value) bool {
			if f, is := a.Map.FindField(name); is { // what is under a key of no field's may be replaced
				out = append(out, atomics(append(at.Copy(), fieldpath.PathElement{FieldName: &name}), s, f.Type, member)...)
			}
			return true
		})
	case v.IsList() && a.List != nil:
		if a.List.ElementRelationship == smdschema.Atomic {
			out = append(out, at.String())
		}
		list := v.AsList()
		for i := range list.Length() {
			out = append(out, atomics(append(at.Copy(), fieldpath.PathElement{Index: &i}), s, a.List.ElementType, list.At(i))...)
		}
	}
	return out
}
