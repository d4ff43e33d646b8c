package openapi

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/sampan-project/sampan/pkg/apiserver/lazy"
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

// keepFor is how long the schemas stay unpacked after their last use: kinds are first written together, at a start.
const keepFor = time.Minute

// BuiltInTypes knows the fields of built-in kinds for field ownership.
type BuiltInTypes struct {
	known *runtime.Scheme

	mu       sync.Mutex
	unpacked *definitions
	forget   *time.Timer
}

// NewBuiltInTypes gives the types of a scheme.
func NewBuiltInTypes(known *runtime.Scheme) *BuiltInTypes { return &BuiltInTypes{known: known} }

// Of gives what field ownership asks of a kind in all its versions. It is made of the kind's own schemas when the
// kind is first written: reading those of all kinds would take longer than all else at a start.
func (t *BuiltInTypes) Of(r *resource.Resource) managedfields.TypeConverter {
	return lazyTypes(sync.OnceValues(func() (managedfields.TypeConverter, error) {
		d, err := t.definitions()
		if err != nil {
			return nil, err
		}
		versions := []object{{"$ref": reference + modelOf(r.New())}}
		for _, v := range r.Views {
			versions = append(versions, object{"$ref": reference + modelOf(v.New())})
		}
		schemas, err := d.closure(versions)
		if err != nil {
			return nil, err
		}
		if _, ok := schemas[intOrString]; ok { // one value, of either type: nobody owns a part of it
			schemas[intOrString] = object{"type": "string", "format": "int-or-string"}
		}
		return converter(schemas, false)
	}))
}

const intOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

func (t *BuiltInTypes) definitions() (*definitions, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.unpacked != nil {
		t.forget.Reset(keepFor)
		return t.unpacked, nil
	}
	d, err := read(t.known)
	if err != nil {
		return nil, err
	}
	t.unpacked = d
	t.forget = time.AfterFunc(keepFor, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.unpacked = nil
	})
	return d, nil
}

// CustomTypes gives what field ownership asks of a custom kind in all its versions. open: fields that no schema
// knows are kept, and owned.
func CustomTypes(known *runtime.Scheme, r *resource.Resource, open bool) managedfields.TypeConverter {
	make := func() (managedfields.TypeConverter, error) {
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
	}
	return lazyTypes(lazy.Func(make)) // the schema is read from etcd, which may fail for a while
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
