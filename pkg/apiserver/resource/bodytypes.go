package resource

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/typed"
)

// bodyTypes knows one kind that has no apply configuration, from its Go type: fields of structs and keys of
// maps are owned one by one, lists as a whole.
type bodyTypes struct{ of smd.ParseableType }

// bodyType is the name under which the kind stands in its schema, anyType that of values of any shape.
const (
	bodyType = "body"
	anyType  = "any"
)

func newBodyTypes(body runtime.Object) bodyTypes {
	parser := smd.Parser{Schema: schema.Schema{Types: []schema.TypeDef{
		{Name: bodyType, Atom: atomOf(reflect.TypeOf(body).Elem())},
		{Name: anyType, Atom: anyAtom()},
	}}}
	return bodyTypes{parser.Type(bodyType)}
}

// ObjectToTyped implements managedfields.TypeConverter.
func (t bodyTypes) ObjectToTyped(o runtime.Object, options ...smd.ValidationOptions) (*smd.TypedValue, error) {
	if u, is := o.(*unstructured.Unstructured); is {
		return t.of.FromUnstructured(u.UnstructuredContent(), options...)
	}
	return t.of.FromStructured(o, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (t bodyTypes) TypedToObject(v *smd.TypedValue) (runtime.Object, error) {
	m, is := v.AsValue().Unstructured().(map[string]any)
	if !is {
		return nil, fmt.Errorf("a body cannot be made of a %T", v.AsValue().Unstructured())
	}
	return &unstructured.Unstructured{Object: m}, nil
}

// anyAtom is a value that is owned as a whole, whatever it holds.
func anyAtom() schema.Atom {
	untyped, name := schema.Scalar("untyped"), anyType
	inner := schema.TypeRef{NamedType: &name}
	return schema.Atom{
		Scalar: &untyped,
		List:   &schema.List{ElementType: inner, ElementRelationship: schema.Atomic},
		Map:    &schema.Map{ElementType: inner, ElementRelationship: schema.Atomic},
	}
}

var marshaler = reflect.TypeFor[json.Marshaler]()

// atomOf describes a Go type. No kind of a body refers to itself.
func atomOf(t reflect.Type) schema.Atom {
	untyped := schema.Scalar("untyped")
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
		return anyAtom()
	}
	switch t.Kind() {
	case reflect.Struct:
		m := &schema.Map{}
		addFields(m, t)
		return schema.Atom{Map: m}
	case reflect.Map:
		return schema.Atom{Map: &schema.Map{ElementType: schema.TypeRef{Inlined: atomOf(t.Elem())}}}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return schema.Atom{Scalar: &untyped}
		}
		return schema.Atom{List: &schema.List{ElementType: schema.TypeRef{Inlined: atomOf(t.Elem())}, ElementRelationship: schema.Atomic}}
	}
	return schema.Atom{Scalar: &untyped}
}

func addFields(m *schema.Map, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && (f.Anonymous || options == "inline"):
			addFields(m, f.Type)
		case name != "":
			m.Fields = append(m.Fields, schema.StructField{Name: name, Type: schema.TypeRef{Inlined: atomOf(f.Type)}})
		}
	}
}
