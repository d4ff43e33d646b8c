package resource

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ownConvertor is what field ownership asks of a kind: its versions, which the views convert, and defaults.
type ownConvertor struct{ s *Store }

func (c ownConvertor) Convert(_, _, _ any) error {
	return fmt.Errorf("%s is converted version by version", c.s.Kind.Kind)
}

// ConvertToVersion gives an object of any of the kind's versions another of them. What apply has merged comes
// without a Go type.
func (c ownConvertor) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	if c.s.Converts() {
		return c.version(in, target)
	}
	to, known := c.target(target)
	if !known {
		return nil, runtime.NewNotRegisteredErrForTarget("pkg/apiserver/resource", reflect.TypeOf(in), target)
	}
	in, err := c.typed(in)
	if err != nil {
		return nil, err
	}
	obj, err := c.stored(in)
	if err != nil {
		return nil, err
	}
	view := c.s.view(to)
	if view == nil {
		if kind := obj.GetObjectKind(); kind.GroupVersionKind() != c.s.Kind { // others may be reading what was stored
			kind.SetGroupVersionKind(c.s.Kind)
		}
		return obj, nil
	}
	out, err := view.From(obj)
	if err != nil {
		return nil, fmt.Errorf("giving a %s the version %s: %w", c.s.Kind.Kind, to.GroupVersion(), err)
	}
	out.GetObjectKind().SetGroupVersionKind(to)
	return out, nil
}

// version gives a custom object another of its kind's versions.
func (c ownConvertor) version(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	to, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{in.GetObjectKind().GroupVersionKind()})
	obj, is := in.(Object)
	if !ok || !is || !slices.Contains(c.s.Stored.KnownVersions, to.Version) {
		return nil, runtime.NewNotRegisteredErrForTarget("pkg/apiserver/resource", reflect.TypeOf(in), target)
	}
	if to == in.GetObjectKind().GroupVersionKind() {
		return in, nil
	}
	return c.s.Stored.ConvertOpen(obj, to.Version)
}

// target finds the kind's version that is asked for.
func (c ownConvertor) target(v runtime.GroupVersioner) (schema.GroupVersionKind, bool) {
	kinds := []schema.GroupVersionKind{c.s.Kind}
	for i := range c.s.Views {
		kinds = append(kinds, c.s.Views[i].Kind)
	}
	want, ok := v.KindForGroupVersionKinds(kinds)
	for _, k := range kinds {
		if ok && k == want {
			return k, true
		}
	}
	return want, false
}

// typed gives what apply has merged its Go type.
func (c ownConvertor) typed(in runtime.Object) (runtime.Object, error) {
	merged, dynamic := in.(*unstructured.Unstructured)
	if !dynamic {
		return in, nil
	}
	out, err := c.New(merged.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(merged.Object, out); err != nil {
		return nil, fmt.Errorf("reading the applied %s: %w", c.s.Kind.Kind, err)
	}
	return out, nil
}

// stored gives an object of any version the stored one.
func (c ownConvertor) stored(o runtime.Object) (Object, error) {
	for i := range c.s.Views {
		if v := &c.s.Views[i]; reflect.TypeOf(v.New()) == reflect.TypeOf(o) && v.Kind != c.s.Kind {
			return v.To(o)
		}
	}
	obj, is := o.(Object)
	if !is {
		return nil, fmt.Errorf("a %T is no %s", o, c.s.Kind.Kind)
	}
	return obj, nil
}

func (c ownConvertor) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// Default fills in an object of any version, in its place.
func (c ownConvertor) Default(o runtime.Object) {
	if c.s.Default == nil {
		return
	}
	obj, err := c.stored(o)
	if err != nil {
		return
	}
	c.s.Default(obj)
	if runtime.Object(obj) == o {
		return
	}
	back, err := c.ConvertToVersion(obj, o.GetObjectKind().GroupVersionKind().GroupVersion())
	if err == nil && reflect.TypeOf(back) == reflect.TypeOf(o) {
		reflect.ValueOf(o).Elem().Set(reflect.ValueOf(back).Elem())
	}
}

func (c ownConvertor) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	var out runtime.Object = c.s.New()
	if view := c.s.view(kind); view != nil {
		out = view.New()
	} else {
		kind = c.s.Kind
	}
	out.GetObjectKind().SetGroupVersionKind(kind)
	return out, nil
}

// bodyConvertor is what field ownership asks of a kind that has one version and no defaults.
type bodyConvertor struct {
	kind    schema.GroupVersionKind
	newBody func() runtime.Object
}

func (c bodyConvertor) Convert(_, _, _ any) error {
	return fmt.Errorf("%s has one version", c.kind.Kind)
}

func (c bodyConvertor) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	if want, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{c.kind}); !ok || want != c.kind {
		return nil, runtime.NewNotRegisteredErrForTarget("pkg/apiserver/resource", reflect.TypeOf(in), target)
	}
	merged, dynamic := in.(*unstructured.Unstructured)
	if !dynamic {
		return in, nil
	}
	out := c.newBody()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(merged.Object, out); err != nil {
		return nil, fmt.Errorf("reading the applied %s: %w", c.kind.Kind, err)
	}
	return out, nil
}

func (c bodyConvertor) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (c bodyConvertor) Default(runtime.Object) {}

func (c bodyConvertor) New(schema.GroupVersionKind) (runtime.Object, error) {
	out := c.newBody()
	out.GetObjectKind().SetGroupVersionKind(c.kind)
	return out, nil
}
