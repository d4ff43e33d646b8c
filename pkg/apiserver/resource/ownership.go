package resource

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sampan-project/sampan/pkg/apiserver/ownership"
)

// managers keeps who owns which fields, one for each version and subresource.
type managers struct {
	types  managedfields.TypeConverter
	sets   *ownership.Sets
	own    func() *ownership.Type // of plain writes in the stored version; nil for a type that must be looked at each time
	resets sync.Map               // subresource -> fieldpath.Filter
	mu     sync.Mutex
	made   map[managerKey]*managedfields.FieldManager
}

type managerKey struct {
	kind        schema.GroupVersionKind
	subresource string
}

// get makes a field manager at its first use.
func (m *managers) get(key managerKey, make_ func() (*managedfields.FieldManager, error)) (*managedfields.FieldManager, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.made[key]; f != nil {
		return f, nil
	}
	f, err := make_()
	if err != nil {
		return nil, fmt.Errorf("preparing field ownership of %s: %w", key.kind.Kind, err)
	}
	if m.made == nil {
		m.made = map[managerKey]*managedfields.FieldManager{}
	}
	m.made[key] = f
	return f, nil
}

// manager gives the field manager for writes in a version, of a subresource or ("") of the object itself.
func (s *Store) manager(kind schema.GroupVersionKind, subresource string) (*managedfields.FieldManager, error) {
	if s.view(kind) == nil {
		kind = s.Kind
	}
	return s.managers.get(managerKey{kind, subresource}, func() (*managedfields.FieldManager, error) {
		own, types := ownConvertor{s}, boundedTypes{s.managers.types}
		if s.Converts() {
			return managedfields.NewDefaultCRDFieldManager(types, own, own, own, kind, s.Kind.GroupVersion(), subresource, s.resetFields(kind, subresource))
		}
		return managedfields.NewDefaultFieldManager(doorTypes{types, kind}, own, own, own, kind, s.Kind.GroupVersion(), subresource, s.resetFields(kind, subresource))
	})
}

// BodyManager gives the field manager of a body that is not stored: of an action, or a Scale.
func (s *Store) BodyManager(kind schema.GroupVersionKind, subresource string, newBody func() runtime.Object) (*managedfields.FieldManager, error) {
	return s.managers.get(managerKey{kind, subresource}, func() (*managedfields.FieldManager, error) {
		body := bodyConvertor{kind, newBody}
		return managedfields.NewDefaultFieldManager(newBodyTypes(newBody()), body, body, body, kind, kind.GroupVersion(), subresource, nil)
	})
}

// view finds the view that serves a kind, nil where it is the stored one.
func (s *Store) view(kind schema.GroupVersionKind) *View[Object] {
	for i := range s.Views {
		if s.Views[i].Kind == kind {
			return &s.Views[i]
		}
	}
	return nil
}

// resetFields are what a write of a subresource cannot own because its Prepare resets it, and what it does not
// take from those who own it in another version.
func (s *Store) resetFields(kind schema.GroupVersionKind, subresource string) map[fieldpath.APIVersion]fieldpath.Filter {
	paths := s.Reset
	for _, sub := range s.Subresources {
		if sub.Name == subresource && sub.Update != nil {
			paths = sub.Update.Reset
		}
	}
	if len(paths) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, p := range paths {
		set.Insert(fieldpath.MakePathOrDie(parts(p)...))
	}
	filter := fieldpath.NewExcludeSetFilter(set)
	all := map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(kind.GroupVersion().String()):   filter,
		fieldpath.APIVersion(s.Kind.GroupVersion().String()): filter,
	}
	for i := range s.Views {
		all[fieldpath.APIVersion(s.Views[i].Kind.GroupVersion().String())] = filter
	}
	return all
}

func parts(path string) (out []any) {
	for _, p := range strings.Split(path, ".") {
		out = append(out, p)
	}
	return out
}

// owned gives obj the managedFields of a plain write by w.Manager over old.
func (s *Store) owned(old, obj Object, w *Write) (Object, error) {
	if w.Manager == "" {
		return obj, nil
	}
	s.prepareForOwnership(obj)
	if entries, ok := s.ownedHere(old, obj, w); ok {
		obj.SetManagedFields(entries)
		return obj, nil
	}
	f, err := s.manager(w.Attributes.Kind, w.Subresource)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	out, err := Managed(f, old, obj, w.Manager)
	if err != nil {
		return nil, err
	}
	return out.(Object), nil
}

// ownedHere computes the same as the library, at a tenth of the cost, for kinds whose shape is known and
// for managers that all write in the stored version. ok is false for the others.
func (s *Store) ownedHere(old, obj Object, w *Write) (entries []metav1.ManagedFieldsEntry, ok bool) {
	kind := w.Attributes.Kind
	if kind != s.Kind || s.managers.own == nil {
		return nil, false
	}
	t := s.managers.own()
	if t == nil {
		return nil, false
	}
	managed := obj.GetManagedFields()
	switch {
	case w.Subresource != "": // by which nobody says who owns what
		managed = old.GetManagedFields()
	case managed != nil && len(managed) == 0, len(managed) == 1 && reflect.ValueOf(managed[0]).IsZero():
		managed = nil // the client asks to begin anew
	case len(managed) == 0:
		managed = old.GetManagedFields()
	}
	version := kind.GroupVersion().String()
	entries, err := t.Update(old, obj, managed, &ownership.Writer{
		Manager: w.Manager, Subresource: w.Subresource, Version: version, Now: s.clock.Now(),
		Filter: s.resetBy(w.Subresource),
	}, s.managers.sets)
	return entries, err == nil
}

// resetBy is what writes of the stored version by way of a subresource cannot own.
func (s *Store) resetBy(subresource string) fieldpath.Filter {
	f, ok := s.managers.resets.Load(subresource)
	if !ok {
		f, _ = s.managers.resets.LoadOrStore(subresource, s.resetFields(s.Kind, subresource)[fieldpath.APIVersion(s.Kind.GroupVersion().String())])
	}
	filter, _ := f.(fieldpath.Filter) // nil where nothing is reset
	return filter
}

// typeOf compiles the type of a built-in kind at its first write.
func typeOf(types managedfields.TypeConverter, r *Resource) func() *ownership.Type {
	return sync.OnceValue(func() *ownership.Type {
		empty := r.New()
		if _, custom := empty.(*unstructured.Unstructured); custom {
			return nil
		}
		t, err := ownership.Of(types, r.Kind, empty)
		if err != nil {
			return nil // it has free parts: the library looks at each object
		}
		return t
	})
}

// OwnedAnswer gives a question that is answered and not stored the managedFields of who asks.
func (s *Store) OwnedAnswer(obj Object, manager string) (Object, error) {
	f, err := s.BodyManager(s.Kind, "", func() runtime.Object { return s.New() })
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	forgetPast(obj)
	s.prepareForOwnership(obj)
	none := s.New()
	s.prepareForOwnership(none)
	out, err := Managed(f, none, obj, manager)
	if err != nil {
		return nil, err
	}
	return out.(Object), nil
}

// Managed gives obj the managedFields of a write by manager over old. Protobuf can bring in what no JSON can
// say (text that is called JSON and is none); the library, which sees fields by their JSON, panics of it.
func Managed(f *managedfields.FieldManager, old, obj runtime.Object, manager string) (out runtime.Object, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = apierrors.NewBadRequest(fmt.Sprintf("the object cannot be written as JSON: %v", p))
		}
	}()
	return f.UpdateNoErrors(old, obj, manager), nil
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

// Apply merges what a manager wants into a copy of the live object.
func (s *Store) Apply(_ context.Context, live Object, wanted *unstructured.Unstructured, manager, subresource string, force bool) (Object, error) {
	if obj := s.appliedHere(live, wanted, manager, subresource, force); obj != nil {
		return obj, s.appliedUnconvertible(obj, wanted)
	}
	f, err := s.manager(wanted.GroupVersionKind(), subresource)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	live = live.DeepCopyObject().(Object)
	s.prepareForOwnership(live)
	for _, o := range []runtime.Object{live, wanted} { // the library would word it as a fault of the server's
		if err := (boundedTypes{s.managers.types}).bounded(o); err != nil {
			return nil, err
		}
	}
	out, err := f.Apply(live, wanted.DeepCopy(), manager, force)
	if err != nil {
		return nil, err
	}
	obj, err := ownConvertor{s: s}.stored(out)
	if err == nil && s.Fit != nil { // else nulls in metadata would stay, which a Go type reads as nothing
		_, err = s.Fit(obj, false)
	}
	if err == nil {
		err = s.appliedUnconvertible(obj, wanted)
	}
	return obj, err
}

// appliedUnconvertible words the refusal of an apply whose outcome is Unconvertible.
func (s *Store) appliedUnconvertible(obj Object, wanted *unstructured.Unstructured) error {
	if s.Unconvertible == nil {
		return nil
	}
	if err := s.Unconvertible(obj); err != nil {
		return fmt.Errorf("failed to convert to unversioned (%s/%s; %v): %w", wanted.GetNamespace(), wanted.GetName(), wanted.GroupVersionKind(), err)
	}
	return nil
}

// kubectl also keeps, as the manager of this name, what it applies in an annotation, where that is there already.
const kubectl = "kubectl"

// appliedHere makes the same of an ordinary apply as the library; nil for another, and for what ownedHere leaves
// to it.
func (s *Store) appliedHere(live Object, wanted *unstructured.Unstructured, manager, subresource string, force bool) Object {
	if wanted.GroupVersionKind() != s.Kind || s.managers.own == nil || s.Converts() {
		return nil
	}
	t := s.managers.own()
	if t == nil {
		return nil
	}
	obj := live.DeepCopyObject().(Object)
	s.prepareForOwnership(obj)
	err := t.Apply(obj, wanted.Object, &ownership.Writer{
		Manager: manager, Subresource: subresource, Version: s.Kind.GroupVersion().String(), Now: s.clock.Now(), Filter: s.resetBy(subresource),
	}, force, s.managers.sets)
	if err != nil || manager == kubectl && obj.GetAnnotations()[corev1.LastAppliedConfigAnnotation] != "" {
		return nil
	}
	return obj
}
