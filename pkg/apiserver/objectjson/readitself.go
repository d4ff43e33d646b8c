package objectjson

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// itselfReader is the reader of a type that reads its own JSON; nil for others.
func itselfReader(t reflect.Type) reader {
	switch t {
	case reflect.TypeFor[metav1.Time]():
		return readTime
	case reflect.TypeFor[intstr.IntOrString]():
		return readIntOrString
	}
	switch p := reflect.PointerTo(t); {
	case p.Implements(unmarshalers):
		return readItself
	case p.Implements(textUnmarshalers):
		return readStandard
	}
	return nil
}

func readItself(d *decoder, v reflect.Value) bool {
	raw, ok := d.raw()
	return ok && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw) == nil
}

func readTime(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	s, ok := d.text()
	if !ok {
		return false
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return false
	}
	v.Addr().Interface().(*metav1.Time).Time = at.Local()
	return true
}

// readIntOrString takes numbers and strings; what the type makes of anything else is its own affair.
func readIntOrString(d *decoder, v reflect.Value) bool {
	x := v.Addr().Interface().(*intstr.IntOrString)
	switch c := d.peek(); {
	case c == '"':
		s, ok := d.text()
		*x = intstr.FromString(s)
		return ok
	case c == '-' || '0' <= c && c <= '9':
		digits, ok := d.number()
		if !ok {
			return false
		}
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
			return false
		}
		*x = intstr.FromInt32(int32(n))
		return true
	}
	return readItself(d, v)
}
