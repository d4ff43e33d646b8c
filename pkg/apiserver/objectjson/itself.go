package objectjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var (
	marshalers     = reflect.TypeFor[json.Marshaler]()
	textMarshalers = reflect.TypeFor[encoding.TextMarshaler]()
)

func writesText(t reflect.Type) bool {
	return t.Implements(textMarshalers) || reflect.PointerTo(t).Implements(textMarshalers)
}

// ofItself is the step of a type that writes its own JSON; nil for others.
func ofItself(t reflect.Type) step {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return func(to []byte, v reflect.Value) ([]byte, error) {
			at := v.Interface().(metav1.Time)
			return appendTime(to, at.Time, time.RFC3339), nil
		}
	case reflect.TypeFor[metav1.MicroTime]():
		return func(to []byte, v reflect.Value) ([]byte, error) {
			at := v.Interface().(metav1.MicroTime)
			return appendTime(to, at.Time, metav1.RFC3339Micro), nil
		}
	case reflect.TypeFor[intstr.IntOrString]():
		return func(to []byte, v reflect.Value) ([]byte, error) {
			switch x := v.Interface().(intstr.IntOrString); x.Type {
			case intstr.Int:
				return strconv.AppendInt(to, int64(x.IntVal), 10), nil
			case intstr.String:
				return appendString(to, x.StrVal), nil
			}
			return standard(to, v)
		}
	}
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface:
		return nil // nil is null; what it points to is met next
	case t.Implements(marshalers):
		return func(to []byte, v reflect.Value) ([]byte, error) { return appendOwn(to, v, v) }
	case reflect.PointerTo(t).Implements(marshalers):
		return func(to []byte, v reflect.Value) ([]byte, error) {
			if !v.CanAddr() {
				return standard(to, v) // encoding/json does not see the method then either
			}
			return appendOwn(to, v.Addr(), v)
		}
	case writesText(t):
		return standard
	}
	return nil
}

// appendOwn takes what a type writes. encoding/json makes it compact and escapes it; where that could change
// something it does.
func appendOwn(to []byte, m, v reflect.Value) ([]byte, error) {
	b, err := m.Interface().(json.Marshaler).MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", v.Type(), err)
	}
	for _, c := range b {
		if rewritten[c] {
			return standard(to, m)
		}
	}
	if len(b) == 0 {
		return standard(to, m)
	}
	return append(to, b...), nil
}

// rewritten are the bytes by which encoding/json may change JSON: space, what HTML must not see, and the first
// byte of two line separators.
var rewritten = [256]bool{' ': true, '\n': true, '\r': true, '\t': true, '<': true, '>': true, '&': true, 0xe2: true}

func appendTime(to []byte, at time.Time, layout string) []byte {
	if at.IsZero() {
		return append(to, "null"...)
	}
	to = append(to, '"')
	return append(at.UTC().AppendFormat(to, layout), '"')
}
