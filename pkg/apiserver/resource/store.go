package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Root is the prefix of all keys in etcd.
const Root = "/registry/"

// Store serves one resource: its rules, over etcd and the watch cache.
type Store struct {
	*Resource
	Cached *watchcache.Store
	Cache  *watchcache.Cache

	codec    *Codec
	etcd     storage.Interface
	clock    clock.PassiveClock
	prefix   string
	managers managers
	second   bool // serves another version than the one that the cache holds what is written in
	forms    []admission.Form
	members  []string // see CopyFor
}

// newStore binds a resource to its keys.
func newStore(r *Resource, etcd storage.Interface, cache *watchcache.Cache, c clock.PassiveClock) *Store {
	codec := NewCodec(r)
	prefix := Root + r.Prefix + "/"
	return &Store{
		Resource: r, codec: codec, etcd: etcd, clock: c, Cache: cache, prefix: prefix, forms: formsOf(r), members: membersOf(r),
		Cached: cache.Add(cacheKind(r, codec, prefix)),
	}
}

// Version serves another version of the same stored objects, by rules of its own.
func (s *Store) Version(r *Resource, types managedfields.TypeConverter) *Store {
	v := &Store{
		Resource: r, Cached: s.Cached, Cache: s.Cache, codec: NewCodec(r), etcd: s.etcd, clock: s.clock, prefix: s.prefix, second: true, forms: formsOf(r), members: membersOf(r),
	}
	v.managers.types, v.managers.sets, v.managers.own = types, s.managers.sets, typeOf(types, r)
	return v
}

// Object gives an entry's object in the store's own version. It is shared: copy before changing it.
func (s *Store) Object(e *watchcache.Entry) (Object, error) {
	o, err := e.Object()
	if err != nil || s.IsKeptOwn(e) {
		return o, err
	}
	v, err := e.Derived(versionKey(s.Kind.Version), func() (any, error) { return s.own(o) })
	if err != nil {
		return nil, err
	}
	return v.(Object), nil
}

// Converts says whether the cache may hold objects in another version than the store's own.
func (s *Store) Converts() bool { return s.Stored != nil && s.Stored.Convert != nil }

// isOwn says whether an object of the cache has the store's own version.
func (s *Store) isOwn(o Object) bool {
	return !s.Converts() || o.GetObjectKind().GroupVersionKind().Version == s.Kind.Version
}

// versionKey is an object of the cache in another version than its own.
type versionKey string

// IsKeptOwn says whether an entry's object has the store's own version.
func (s *Store) IsKeptOwn(e *watchcache.Entry) bool {
	return !s.Converts() || e.Version() == s.Kind.Version
}

// fieldsKey are the fields of an object of the cache in another version than its own.
type fieldsKey string

// FieldsOf gives the values by which an entry is selected in the store's version. What cannot be converted is
// selected by what it was stored with.
func (s *Store) FieldsOf(e *watchcache.Entry) fields.Fields {
	if !s.second && s.IsKeptOwn(e) {
		return e
	}
	f, err := e.Derived(fieldsKey(s.Kind.Version), func() (any, error) {
		o, err := s.Object(e)
		if err != nil {
			return nil, err
		}
		return fields.Set(FieldsOf(s.Resource, o)), nil
	})
	if err != nil {
		return e
	}
	return f.(fields.Set)
}

func (s *Store) own(o Object) (Object, error) {
	if s.isOwn(o) {
		return o, nil
	}
	return s.Stored.Convert(o, s.Kind.Version)
}

// GroupResource names the resource in errors.
func (s *Store) GroupResource() schema.GroupResource {
	return schema.GroupResource{Group: s.Kind.Group, Resource: s.Plural}
}

// GVR names the resource in admission.
func (s *Store) GVR() schema.GroupVersionResource {
	return s.GroupResource().WithVersion(s.Kind.Version)
}

// KeyPrefix of the keys of a namespace, or of all where namespace is empty.
func (s *Store) KeyPrefix(namespace string) string {
	if namespace == "" || s.ClusterScoped {
		return s.prefix
	}
	return s.prefix + namespace + "/"
}

// Key of an object. A name that would leave its place is refused.
func (s *Store) Key(namespace, name string) (string, error) {
	if !s.ClusterScoped && namespace == "" {
		return "", apierrors.NewBadRequest("Namespace parameter required.")
	}
	if name == "" {
		return "", apierrors.NewBadRequest("Name parameter required.")
	}
	if problems := path.IsValidPathSegmentName(name); len(problems) > 0 {
		return "", apierrors.NewBadRequest(fmt.Sprintf("Name parameter invalid: %q: %s", name, problems[0]))
	}
	return s.KeyPrefix(namespace) + name, nil
}

// Write is what a writing request asks for beside its body.
type Write struct {
	Namespace, Name string
	Subresource     string
	DryRun          bool
	Options         runtime.Object // *metav1.CreateOptions ...
	Manager         string         // of fields; empty for none
	Applied         bool           // field ownership was settled by server-side apply
	UID             types.UID      // of the object that a PUT means; empty for any
	Unnamed         bool           // the request is for a collection: admission sees the object without a name beside it
	// Stored is what was written, for an answer that shares its bytes; nil where nothing was.
	Stored *watchcache.Entry
	// unknown says that etcd was asked to write, and what came of that is not known: the write is not to be tried again.
	unknown bool
	// judged says that the object's spec was judged whole and found without fault: what it was found by holds for the
	// same spec later, since an update is judged as on create but for what the old spec has already.
	judged bool
	// before is what etcd holds of the object that the write changes.
	before    []byte
	Admission admission.Chain
	// Attributes is the start of what admission sees: user and the kind as the client named it.
	Attributes admission.Attributes
}

// attributes fills in what this write does.
func (w *Write) attributes(op admission.Operation, obj, old runtime.Object) *admission.Attributes {
	a := w.Attributes
	a.Operation, a.Object, a.OldObject = op, obj, old
	a.Namespace, a.Name, a.Subresource, a.DryRun, a.Options = w.Namespace, w.Name, w.Subresource, w.DryRun, w.Options
	if w.Unnamed {
		a.Name = ""
	}
	return &a
}

// GetLive reads an object from etcd.
func (s *Store) GetLive(ctx context.Context, namespace, name string) (Object, error) {
	key, err := s.Key(namespace, name)
	if err != nil {
		return nil, err
	}
	kv, _, err := s.etcd.Get(ctx, key)
	if err != nil {
		return nil, s.apiError(err, name)
	}
	return s.decode(kv)
}

func (s *Store) decode(kv storage.KeyValue) (Object, error) {
	o, err := s.codec.Decode(kv.Value, kv.ModRevision)
	if err != nil {
		return nil, err // as it is, without a reason, like all that hinders reading or writing an object's form
	}
	return s.own(o)
}

// current is the object as a write's starting point: from the cache, or from etcd where live is asked for. Nobody
// else has it, unless its kind shares.
func (s *Store) current(ctx context.Context, key string, w *Write, live bool) (Object, error) {
	o, shared, err := s.present(ctx, key, w, live)
	if err == nil && s.DistinguishesEmpty {
		return s.asStored(o)
	}
	if err != nil || !shared || s.Shares {
		return o, err
	}
	return o.DeepCopyObject().(Object), nil
}

// asStored gives an object as it is read, which may say less than the one that was written: an empty list is none.
func (s *Store) asStored(o Object) (Object, error) {
	value, err := s.codec.Encode(shallow(o))
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	revision, err := strconv.ParseInt(o.GetResourceVersion(), 10, 64)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return s.decode(storage.KeyValue{Key: s.KeyPrefix(o.GetNamespace()) + o.GetName(), Value: value, ModRevision: revision})
}

// present is current for who does not change it; shared says that others have the object too.
func (s *Store) present(ctx context.Context, key string, w *Write, live bool) (o Object, shared bool, err error) {
	w.judged = false
	if !live {
		if e, ok := s.Cached.Get(key); ok {
			if s.Converts() {
				o, err = s.Object(e)
				shared = true
			} else {
				o, shared, err = e.Past()
			}
			if err == nil {
				w.judged, w.before = e.Judged(), e.Value()
				return o, shared, nil
			}
		}
	}
	kv, _, err := s.etcd.Get(ctx, key)
	if err != nil {
		return nil, false, s.apiError(err, w.Name)
	}
	w.before = kv.Value
	o, err = s.decode(kv)
	return o, false, err
}

// defaultLate leaves an object as it will be read.
func (s *Store) defaultLate(o Object) {
	if s.DefaultedLate {
		s.Default(o)
	}
}

// putting announces a write to the cache. done tells its revision, keeps the entry for the answer and gives what is
// stored now; drop says that the write failed.
func (s *Store) putting(key string, value []byte, o Object, w *Write) (done func(revision int64) (Object, error), drop func()) {
	if s.second { // what the version does not share with the one that is stored is lost
		return func(revision int64) (Object, error) {
			o.SetResourceVersion(strconv.FormatInt(revision, 10))
			return s.decode(storage.KeyValue{Key: key, Value: value, ModRevision: revision})
		}, func() {}
	}
	p := s.Cached.Begin(key, value, o, w.judged)
	return func(revision int64) (Object, error) {
		w.Stored = p.Done(revision)
		return o, nil
	}, p.Drop
}

// put encodes an object and has it written. Who owns the fields of one that is too large is forgotten, unless that is
// what the write is about.
func (s *Store) put(key string, o Object, w *Write, write func(value []byte) (revision int64, err error)) (Object, error) {
	value, err := s.codec.Encode(o)
	s.defaultLate(o)
	for err == nil {
		done, drop := s.putting(key, value, o, w)
		revision, refused := write(value)
		if refused == nil {
			return done(revision)
		}
		drop()
		if !errors.Is(refused, storage.ErrTooLarge) || w.Applied || len(o.GetManagedFields()) == 0 {
			return nil, refused
		}
		value, err = s.disown(o, value)
	}
	return nil, &formError{err}
}

// formError is why an object could not be given the form in which it is stored. Nothing was written.
type formError struct{ error }

// Unwrap gives the cause.
func (e *formError) Unwrap() error { return e.error }

// rewrite stores what an object has become. One that is on its way out may take the room that is kept for deletions.
func (s *Store) rewrite(ctx context.Context, key string, value []byte, revision int64, obj Object) (int64, error) {
	if obj.GetDeletionTimestamp() != nil {
		ctx = storage.ForDeletion(ctx)
	}
	return s.etcd.Update(ctx, key, value, revision, s.ttl(obj))
}

// disown forgets who owns an object's fields, and gives what is stored of it then: what it was given after it was
// encoded as value is not.
func (s *Store) disown(o Object, value []byte) ([]byte, error) {
	o.SetManagedFields(nil)
	if !s.DefaultedLate {
		return s.codec.Encode(o)
	}
	stored, err := s.codec.read(value)
	if err != nil {
		return nil, err
	}
	stored.SetManagedFields(nil)
	return s.codec.Encode(stored)
}

// isStored says that an object that means the same as the one before is stored already in these very words: equal
// quantities need not be, nor what another version of a server has stored.
func (s *Store) isStored(o Object, w *Write) bool {
	value, err := s.codec.Encode(o)
	return err == nil && bytes.Equal(value, w.before)
}

func (s *Store) ttl(o Object) time.Duration {
	if s.TTL == nil {
		return 0
	}
	return s.TTL(o)
}

// apiError words the storage's errors as the API does.
func (s *Store) apiError(err error, name string) error {
	var conflict *storage.ConflictError
	var form *formError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &form):
		return form.error
	case errors.Is(err, storage.ErrNotFound):
		return apierrors.NewNotFound(s.GroupResource(), name)
	case errors.Is(err, storage.ErrExists):
		return apierrors.NewAlreadyExists(s.GroupResource(), name)
	case errors.As(err, &conflict):
		if conflict.Current == nil {
			return apierrors.NewNotFound(s.GroupResource(), name)
		}
		return s.modified(name)
	case errors.Is(err, storage.ErrTooLarge):
		return errTooLarge
	case errors.Is(err, context.DeadlineExceeded):
		return apierrors.NewTimeoutError("the request timed out in etcd; try again", 0)
	}
	return apierrors.NewInternalError(err)
}

// errTooLarge is etcd's own refusal, which upstream passes on as it is: an error of the server's, without a reason.
var errTooLarge = errors.New("etcdserver: request is too large")

func (s *Store) modified(name string) error {
	return apierrors.NewConflict(s.GroupResource(), name,
		errors.New("the object has been modified; please apply your changes to the latest version and try again"))
}
