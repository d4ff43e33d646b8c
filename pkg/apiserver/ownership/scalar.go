package ownership

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// scalarOf gives what compares two values of a type that is one value in JSON, and what gives one as a path
// element holds it; nil for other types.
func scalarOf(t reflect.Type) (same func(a, b reflect.Value) bool, plain func(reflect.Value) any) {
	switch {
	case t == reflect.TypeFor[metav1.Time]():
		return sameTime, nil
	case t == reflect.TypeFor[resource.Quantity]():
		return sameQuantity, nil
	case t == reflect.TypeFor[metav1.MicroTime]():
		return sameMicroTime, nil
	case t == reflect.TypeFor[intstr.IntOrString]():
		return sameIntOrString, nil
	case t == managedType: // has a part without a shape, but is compared as one value
		return func(a, b reflect.Value) bool { return reflect.DeepEqual(a.Interface(), b.Interface()) }, nil
	case t.Implements(converts):
		return func(a, b reflect.Value) bool { return converted(a) == converted(b) }, converted
	case reflect.PointerTo(t).Implements(converts):
		return func(a, b reflect.Value) bool { return converted(addressed(a)) == converted(addressed(b)) }, nil
	case marshals(t):
		return nil, nil
	}
	switch t.Kind() {
	case reflect.String:
		return func(a, b reflect.Value) bool { return a.String() == b.String() }, func(v reflect.Value) any { return v.String() }
	case reflect.Bool:
		return func(a, b reflect.Value) bool { return a.Bool() == b.Bool() }, func(v reflect.Value) any { return v.Bool() }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(a, b reflect.Value) bool { return a.Int() == b.Int() }, func(v reflect.Value) any { return v.Int() }
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(a, b reflect.Value) bool { return a.Uint() == b.Uint() }, func(v reflect.Value) any { return int64(v.Uint()) }
	case reflect.Float32, reflect.Float64:
		return func(a, b reflect.Value) bool { return a.Float() == b.Float() }, func(v reflect.Value) any { return v.Float() }
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(a, b reflect.Value) bool { return bytes.Equal(a.Bytes(), b.Bytes()) },
				func(v reflect.Value) any { return base64.StdEncoding.EncodeToString(v.Bytes()) }
		}
	}
	return nil, nil
}

var (
	managedType = reflect.TypeFor[[]metav1.ManagedFieldsEntry]()
	converts    = reflect.TypeFor[value.UnstructuredConverter]()
	marshalers  = reflect.TypeFor[json.Marshaler]()
)

// marshals says that a type writes its own JSON.
func marshals(t reflect.Type) bool {
	return t.Implements(marshalers) || reflect.PointerTo(t).Implements(marshalers)
}

func converted(v reflect.Value) any {
	return v.Interface().(value.UnstructuredConverter).ToUnstructured()
}

func addressed(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}

// sameTime compares what JSON tells: whole seconds.
func sameTime(a, b reflect.Value) bool {
	x, y := a.Interface().(metav1.Time), b.Interface().(metav1.Time)
	return x.IsZero() == y.IsZero() && x.Unix() == y.Unix()
}

func sameMicroTime(a, b reflect.Value) bool {
	x, y := a.Interface().(metav1.MicroTime), b.Interface().(metav1.MicroTime)
	return x.IsZero() == y.IsZero() && x.UnixMicro() == y.UnixMicro()
}

func sameIntOrString(a, b reflect.Value) bool {
	x, y := a.Interface().(intstr.IntOrString), b.Interface().(intstr.IntOrString)
	return x.Type == y.Type && (x.Type == intstr.Int && x.IntVal == y.IntVal || x.Type == intstr.String && x.StrVal == y.StrVal)
}

// sameQuantity compares the canonical text, which is that of equal numbers with the same suffixes.
func sameQuantity(a, b reflect.Value) bool {
	x, y := a.Interface().(resource.Quantity), b.Interface().(resource.Quantity)
	return x.Format == y.Format && x.Cmp(y) == 0
}
