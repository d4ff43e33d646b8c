// Package query reads options from the query of a URL, for the kinds of options for which client-go's scheme
// has no conversion: those of log, exec, attach, port-forward and proxy.
package query

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Decode sets the fields of the struct that into points to from the parameters of the same names (of JSON), by the
// rules of the API: the first value counts where a field holds one, a bool is true unless it says "false" or
// "0", and what is not asked for is left as it is.
func Decode(q url.Values, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decoding a query: %T is no pointer to a struct", into)
	}
	v = v.Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		values, asked := q[name]
		if name == "" || name == "-" || !asked || v.Type().Field(i).Anonymous {
			continue
		}
		if err := set(v.Field(i), values); err != nil {
			return err
		}
	}
	return nil
}

func set(field reflect.Value, values []string) error {
	first := ""
	if len(values) > 0 {
		first = values[0]
	}
	if t, ok := field.Addr().Interface().(**metav1.Time); ok {
		*t = &metav1.Time{}
		return (*t).UnmarshalQueryParameter(first)
	}
	switch field.Kind() {
	case reflect.Pointer:
		p := reflect.New(field.Type().Elem())
		if err := set(p.Elem(), values); err != nil {
			return err
		}
		field.Set(p)
	case reflect.Slice:
		s := reflect.MakeSlice(field.Type(), len(values), len(values))
		for i, v := range values {
			if err := set(s.Index(i), []string{v}); err != nil {
				return err
			}
		}
		field.Set(s)
	case reflect.String:
		field.SetString(first)
	case reflect.Bool:
		field.SetBool(!strings.EqualFold(first, "false") && first != "0")
	case reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(first, 10, field.Type().Bits())
		if err != nil {
			return err
		}
		field.SetInt(n)
	default:
		return fmt.Errorf("decoding a query: a field of type %s cannot be set", field.Type())
	}
	return nil
}
