// Package endpoint serves resources over HTTP: the verbs, the encodings, lists and watches. The rules of
// writes are package resource's.
package endpoint

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// allVerbs are what a resource serves that says nothing else, in discovery's order.
var allVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// Served is a resource in one group version.
type Served struct {
	*resource.Store
	View  *resource.View[resource.Object] // nil: the stored version
	Kind  schema.GroupVersionKind
	clock clock.PassiveClock
	head  string // what stands before an object's own fields in JSON: its kind and version
	typed bool   // the objects are of a Go type of their own

	frameKinds sync.Map // frameKind -> *frameKind
}

// NewServed serves a store's own version, or a view of it.
func NewServed(s *resource.Store, view *resource.View[resource.Object], c clock.PassiveClock) *Served {
	v := &Served{Store: s, View: view, Kind: s.Kind, clock: c}
	if view != nil {
		v.Kind = view.Kind
	}
	_, free := s.New().(*unstructured.Unstructured)
	v.typed = !free
	v.head = fmt.Sprintf(`{"kind":%q,"apiVersion":%q,`, v.Kind.Kind, v.Kind.GroupVersion().String())
	return v
}

// VerbList gives the verbs in discovery's order.
func (s *Served) VerbList() []string {
	verbs := s.Verbs
	if s.View != nil && s.View.Verbs != nil {
		verbs = s.View.Verbs
	}
	switch {
	case s.Answer != nil:
		return []string{"create"}
	case s.Observe != nil:
		return []string{"get", "list"}
	}
	if verbs == nil {
		return allVerbs
	}
	return verbs
}

// ShownVerbs are those that discovery tells: of a resource on its way out only what reads and removes.
func (s *Served) ShownVerbs() []string {
	if s.Ending != nil && s.Ending() {
		return []string{"delete", "deletecollection", "get", "list", "watch"}
	}
	return s.VerbList()
}

// custom says whether the resource is defined by a custom resource definition.
func (s *Served) custom() bool { return s.Converts() }

func (s *Served) can(verb string) bool { return slices.Contains(s.VerbList(), verb) }

// GVR names the resource in the version served.
func (s *Served) GVR() schema.GroupVersionResource {
	return s.Kind.GroupVersion().WithResource(s.Plural)
}

// newObject makes an empty object of the version served.
func (s *Served) newObject() runtime.Object {
	if s.View != nil {
		return s.View.New()
	}
	return s.New()
}

// fromStored gives a stored object in the version served.
func (s *Served) fromStored(o resource.Object) (runtime.Object, error) {
	if s.View == nil {
		return o, nil
	}
	out, err := s.View.From(o)
	if err != nil {
		return nil, err
	}
	out.GetObjectKind().SetGroupVersionKind(s.Kind)
	return out, nil
}

// name gives an object its kind where it does not have it: others may be reading one that is stored.
func (s *Served) name(served runtime.Object) {
	if kind := served.GetObjectKind(); kind.GroupVersionKind() != s.Kind {
		kind.SetGroupVersionKind(s.Kind)
	}
}

// toStored gives a served object in the stored version.
func (s *Served) toStored(o runtime.Object) (resource.Object, error) {
	if s.View == nil {
		return o.(resource.Object), nil
	}
	return s.View.To(o)
}

// protobuf says whether the objects have that encoding.
func (s *Served) protobuf() bool { return s.typed }

// appendOf appends an entry's encoding in the version served: see watchcache.Encoding.
func (s *Served) appendOf(to []byte, e *watchcache.Entry, enc watchcache.Encoding) ([]byte, error) {
	if s.View == nil && s.IsKeptOwn(e) {
		return e.Append(to, enc)
	}
	type viewKey struct {
		kind schema.GroupVersionKind
		enc  watchcache.Encoding
	}
	b, err := e.Derived(viewKey{s.Kind, enc}, func() (any, error) {
		o, err := s.Object(e)
		if err != nil {
			return nil, err
		}
		v, err := s.fromStored(o)
		if err != nil {
			return nil, err
		}
		return resource.Wire(v, enc)
	})
	if err != nil {
		return nil, err
	}
	return append(to, b.([]byte)...), nil
}

// single appends an entry as an answer of its own.
func (s *Served) single(to []byte, e *watchcache.Entry, f format) ([]byte, error) {
	if f.media == mediaProtobuf {
		b, err := s.appendOf(nil, e, watchcache.Protobuf)
		return append(to, inEnvelope(s.Kind, b)...), err
	}
	begin := len(to)
	if s.protobuf() { // built-in: the type is not among the shared bytes, whose brace gives way to the comma behind it
		to = append(to, s.head[:len(s.head)-1]...)
	}
	at := len(to)
	to, err := s.appendOf(to, e, watchcache.JSON)
	if err != nil {
		return nil, err
	}
	if at > begin {
		to[at] = ','
	}
	if f.media == mediaJSON && !f.pretty {
		return append(to, '\n'), nil
	}
	b, err := dressed(to[begin:], f)
	return append(to[:begin], b...), err
}

// partial is an object's metadata alone, in a version of that form. It shares the object's: do not change it.
func partial(o metav1.Object, version string) *metav1.PartialObjectMetadata {
	p := &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: asPartial, APIVersion: version}}
	shareMeta(&p.ObjectMeta, o)
	return p
}

// partial is an object's metadata as this kind shows it alone.
func (s *Served) partial(o metav1.Object, version string) *metav1.PartialObjectMetadata {
	p := partial(o, version)
	if len(s.HiddenAnnotations) > 0 {
		p.Annotations = maps.Clone(p.Annotations)
		for _, key := range s.HiddenAnnotations {
			delete(p.Annotations, key)
		}
	}
	return p
}

// shareMeta gives an object's metadata, whose parts the two share.
func shareMeta(to *metav1.ObjectMeta, o metav1.Object) {
	if from, ok := o.(interface{ GetObjectMeta() metav1.Object }); ok {
		if m, ok := from.GetObjectMeta().(*metav1.ObjectMeta); ok {
			*to = *m
			return
		}
	}
	to.Name, to.GenerateName, to.Namespace, to.UID = o.GetName(), o.GetGenerateName(), o.GetNamespace(), o.GetUID()
	to.ResourceVersion, to.Generation = o.GetResourceVersion(), o.GetGeneration()
	to.CreationTimestamp, to.DeletionTimestamp = o.GetCreationTimestamp(), o.GetDeletionTimestamp()
	to.DeletionGracePeriodSeconds, to.Labels, to.Annotations = o.GetDeletionGracePeriodSeconds(), o.GetLabels(), o.GetAnnotations()
	to.OwnerReferences, to.Finalizers, to.ManagedFields = o.GetOwnerReferences(), o.GetFinalizers(), o.GetManagedFields()
}

// typeName is what upstream calls the type of what it would show in another form.
func (s *Served) typeName(suffix string) string {
	if !s.protobuf() {
		return "*unstructured.Unstructured" + suffix
	}
	return "*" + kinds.InternalName(s.Kind) + suffix
}

func (s *Served) now() time.Time { return s.clock.Now() }
