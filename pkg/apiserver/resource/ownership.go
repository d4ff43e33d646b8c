package resource

import (
	"context"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// managers keeps who owns which fields, one for each version and subresource.
type managers struct {
	types managedfields.TypeConverter
	mu    sync.Mutex
	made  map[managerKey]*managedfields.FieldManager
}

type managerKey struct{ version, subresource string }

// manager gives the field manager for writes of a subresource ("" for the object itself).
func (s *Store) manager(subresource string) (*managedfields.FieldManager, error) {
	m := &s.managers
	m.mu.Lock()
	defer m.mu.Unlock()
	key := managerKey{s.Kind.Version, subresource}
	if f := m.made[key]; f != nil {
		return f, nil
	}
	own := ownConvertor{s}
	f, err := managedfields.NewDefaultFieldManager(m.types, own, own, own, s.Kind, s.Kind.GroupVersion(), subresource, s.resetFields(subresource))
	if err != nil {
		return nil, fmt.Errorf("preparing field ownership of %s: %w", s.Plural, err)
	}
	if m.made == nil {
		m.made = map[managerKey]*managedfields.FieldManager{}
	}
	m.made[key] = f
	return f, nil
}

// resetFields are what a write of a subresource cannot own because its Prepare resets it.
func (s *Store) resetFields(subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	paths := s.Reset
	for _, sub := range s.Subresources {
		if sub.Name == subresource && sub.Update != nil {
			paths = sub.Update.Reset
			if len(sub.Update.Keep) > 0 {
				return map[fieldpath.APIVersion]fieldpath.Filter{
					fieldpath.APIVersion(s.Kind.GroupVersion().String()): fieldpath.NewIncludeMatcherFilter(matchers(sub.Update.Keep)...),
				}
			}
		}
	}
	if len(paths) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, p := range paths {
		set.Insert(fieldpath.MakePathOrDie(parts(p)...))
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(s.Kind.GroupVersion().String()): fieldpath.NewExcludeSetFilter(set),
	}
}

func parts(path string) (out []any) {
	for _, p := range strings.Split(path, ".") {
		out = append(out, p)
	}
	return out
}

func matchers(paths []string) (out []*fieldpath.SetMatcher) {
	for _, p := range paths {
		out = append(out, fieldpath.MakePrefixMatcherOrDie(parts(p)...))
	}
	return out
}

// owned gives obj the managedFields of a plain write by w.Manager over old.
func (s *Store) owned(old, obj Object, w *Write) (Object, error) {
	if w.Manager == "" {
		return obj, nil
	}
	f, err := s.manager(w.Subresource)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	s.prepareForOwnership(obj)
	return f.UpdateNoErrors(old, obj, w.Manager).(Object), nil
}

// ownedAnew is owned for an object that is about to be created.
func (s *Store) ownedAnew(obj Object, w *Write) (Object, error) {
	if w.Applied {
		return obj, nil
	}
	none := s.New()
	s.prepareForOwnership(none)
	return s.owned(none, obj, w)
}

func (s *Store) prepareForOwnership(obj Object) { obj.GetObjectKind().SetGroupVersionKind(s.Kind) }

// Apply merges what a manager wants into the live object.
func (s *Store) Apply(_ context.Context, live Object, wanted *unstructured.Unstructured, manager, subresource string, force bool) (Object, error) {
	f, err := s.manager(subresource)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	s.prepareForOwnership(live)
	out, err := f.Apply(live, wanted, manager, force)
	if err != nil {
		return nil, err
	}
	return out.(Object), nil
}

// ownConvertor is what field ownership asks of kinds: there is one version, and defaults are the kind's.
type ownConvertor struct{ s *Store }

func (c ownConvertor) Convert(_, _, _ any) error {
	return fmt.Errorf("%s has one version", c.s.Kind.Kind)
}

// ConvertToVersion gives what apply has merged the kind's Go type.
func (c ownConvertor) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	merged, dynamic := in.(*unstructured.Unstructured)
	out := c.s.New()
	if _, custom := out.(*unstructured.Unstructured); !dynamic || custom {
		return in, nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(merged.Object, out); err != nil {
		return nil, fmt.Errorf("reading the applied %s: %w", c.s.Kind.Kind, err)
	}
	return out, nil
}

func (c ownConvertor) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (c ownConvertor) Default(o runtime.Object) {
	if obj, ok := o.(Object); ok && c.s.Default != nil {
		c.s.Default(obj)
	}
}

func (c ownConvertor) New(schema.GroupVersionKind) (runtime.Object, error) {
	o := c.s.New()
	o.GetObjectKind().SetGroupVersionKind(c.s.Kind)
	return o, nil
}
