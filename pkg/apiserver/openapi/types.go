package openapi

import (
	"encoding/json"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// lazyTypes is what field ownership asks of a kind, made when first asked for.
type lazyTypes func() (managedfields.TypeConverter, error)

// ObjectToTyped implements managedfields.TypeConverter.
func (l lazyTypes) ObjectToTyped(o runtime.Object, options ...typed.ValidationOptions) (*typed.TypedValue, error) {
	c, err := l()
	if err != nil {
		return nil, err
	}
	return c.ObjectToTyped(o, options...)
}

// TypedToObject implements managedfields.TypeConverter.
func (l lazyTypes) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	c, err := l()
	if err != nil {
		return nil, err
	}
	return c.TypedToObject(v)
}

// Types gives what field ownership asks of a built-in kind that client-go has no apply configuration for.
func Types(known *runtime.Scheme, r *resource.Resource) managedfields.TypeConverter {
	return lazyTypes(sync.OnceValues(func() (managedfields.TypeConverter, error) {
		d, err := read(known)
		if err != nil {
			return nil, err
		}
		model := modelOf(r.New())
		schemas, err := d.closure(object{"$ref": reference + model})
		if err != nil {
			return nil, err
		}
		return converter(schemas, false)
	}))
}

// CustomTypes gives what field ownership asks of a custom kind in all its versions. open: fields that no schema
// knows are kept, and owned.
func CustomTypes(known *runtime.Scheme, r *resource.Resource, open bool) managedfields.TypeConverter {
	return lazyTypes(sync.OnceValues(func() (managedfields.TypeConverter, error) {
		d, err := read(known)
		if err != nil {
			return nil, err
		}
		for _, v := range append([]*resource.Resource{r}, r.Versions...) {
			if d.own[modelName(v.Kind)], err = d.customSchema(v, v.Kind, false); err != nil {
				return nil, err
			}
		}
		schemas, err := d.owned()
		if err != nil {
			return nil, err
		}
		return converter(schemas, open)
	}))
}

func converter(schemas object, open bool) (managedfields.TypeConverter, error) {
	text, err := json.Marshal(schemas)
	if err != nil {
		return nil, err
	}
	models := map[string]*spec.Schema{}
	if err := json.Unmarshal(text, &models); err != nil {
		return nil, fmt.Errorf("reading schemas for field ownership: %w", err)
	}
	return managedfields.NewTypeConverter(models, open)
}
