package resource

import (
	"context"
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/ownership"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Registry holds the stores of all resources, and is the Access to them in the process.
type Registry struct {
	etcd  storage.Interface
	cache *watchcache.Cache
	clock clock.PassiveClock
	sets  *ownership.Sets

	mu     sync.RWMutex
	stores map[schema.GroupResource]*Store
}

var _ Access = (*Registry)(nil)

// NewRegistry is empty; Add resources to it.
func NewRegistry(etcd storage.Interface, cache *watchcache.Cache, c clock.PassiveClock) *Registry {
	return &Registry{etcd: etcd, cache: cache, clock: c, sets: ownership.NewSets(), stores: map[schema.GroupResource]*Store{}}
}

// Add makes a store for a resource, in the place of one of its name. types knows the schemas for field ownership.
func (g *Registry) Add(r *Resource, types managedfields.TypeConverter) *Store {
	s := newStore(r, g.etcd, g.cache, g.clock)
	s.managers.types, s.managers.sets, s.managers.own = types, g.sets, typeOf(types, r)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stores[s.GroupResource()] = s
	return s
}

// Remove forgets a resource. Its objects stay in etcd.
func (g *Registry) Remove(r schema.GroupResource) {
	g.mu.Lock()
	s := g.stores[r]
	delete(g.stores, r)
	g.mu.Unlock()
	if s != nil {
		g.cache.Remove(s.prefix)
	}
}

// Store finds a resource's store, nil where there is none.
func (g *Registry) Store(r schema.GroupResource) *Store {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.stores[r]
}

func (g *Registry) store(r schema.GroupResource) (*Store, error) {
	if s := g.Store(r); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%s: %w", r, ErrNotServed)
}

// Get implements Reader.
func (g *Registry) Get(_ context.Context, r schema.GroupResource, namespace, name string) (Object, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	key, err := s.Key(namespace, name)
	if err != nil {
		return nil, err
	}
	e, ok := s.Cached.Get(key)
	if !ok {
		return nil, apierrors.NewNotFound(r, name)
	}
	return s.Object(e)
}

// List implements Reader.
func (g *Registry) List(_ context.Context, r schema.GroupResource, namespace string) ([]Object, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	var out []Object
	s.Cached.Snapshot().Ascend(s.KeyPrefix(namespace), "", func(e *watchcache.Entry) bool {
		var o Object
		if o, err = s.Object(e); err == nil {
			out = append(out, o)
		}
		// One broken object of a built-in kind must not stop the server. Of custom ones, which a conversion can make
		// unreadable for a time, none may be overlooked: a definition that is deleted would leave it behind.
		return err == nil || !s.Converts()
	})
	if s.Converts() && err != nil {
		return nil, err
	}
	return out, nil
}

// Follow implements Reader.
func (g *Registry) Follow(ctx context.Context, r schema.GroupResource, f func(obj, gone Object)) (<-chan struct{}, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	synced := make(chan struct{})
	go s.follow(ctx, f, synced)
	return synced, nil
}

// follow calls f for what there is and what changes, and catches up where the log left it behind.
func (s *Store) follow(ctx context.Context, f func(obj, gone Object), synced chan struct{}) {
	select {
	case <-s.Cache.Synced():
	case <-ctx.Done():
		return
	}
	known := map[string]*watchcache.Entry{} // objects are decoded when told: what is seldom told of need not be in memory
	for ctx.Err() == nil {
		snapshot, w, err := s.Cached.WatchFromNow(watchcache.Selection{})
		if err != nil {
			return // the resource is no longer served
		}
		there := map[string]bool{}
		snapshot.Ascend("", "", func(e *watchcache.Entry) bool {
			there[e.Key()] = true
			s.tell(known, e, false, f)
			return true
		})
		for key, old := range known {
			if !there[key] {
				s.tellGone(known, old, f)
			}
		}
		if synced != nil {
			close(synced)
			synced = nil
		}
		for {
			events, err := w.Next(ctx, nil)
			if err != nil {
				break
			}
			for _, e := range events {
				s.tell(known, e.Entry, e.Type == watchcache.Deleted, f)
			}
		}
		w.Close()
	}
}

func (s *Store) tell(known map[string]*watchcache.Entry, e *watchcache.Entry, deleted bool, f func(obj, gone Object)) {
	was := known[e.Key()]
	if deleted {
		s.tellGone(known, was, f)
		return
	}
	if was != nil && was.Revision() == e.Revision() {
		return
	}
	o, err := s.Object(e)
	if err != nil {
		return
	}
	known[e.Key()] = e
	f(o, nil)
}

// tellGone tells of an object that was told of before; nil is one that was not.
func (s *Store) tellGone(known map[string]*watchcache.Entry, was *watchcache.Entry, f func(obj, gone Object)) {
	if was == nil {
		return
	}
	delete(known, was.Key())
	gone := s.New()
	gone.SetNamespace(was.Get("metadata.namespace"))
	gone.SetName(was.Get("metadata.name"))
	f(nil, gone)
}

// GetLive implements Access.
func (g *Registry) GetLive(ctx context.Context, r schema.GroupResource, namespace, name string) (Object, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	return s.GetLive(ctx, namespace, name)
}

// serverManager is the name under which the server's own writes own fields.
const serverManager = "kube-apiserver"

// ownManager is nobody for what is not served: no client ever sees who owns its fields.
func (s *Store) ownManager(ctx context.Context) string {
	if s.Internal {
		return ""
	}
	if other, is := ctx.Value(ownManagerKey{}).(string); is {
		return other
	}
	return serverManager
}

// Create implements Access.
func (g *Registry) Create(ctx context.Context, r schema.GroupResource, obj Object) (Object, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	obj = obj.DeepCopyObject().(Object)
	if s.Default != nil {
		s.Default(obj)
	}
	w := &Write{Namespace: obj.GetNamespace(), Name: obj.GetName(), Manager: s.ownManager(ctx), Options: &metav1.CreateOptions{}}
	if a, is := ctx.Value(admittedKey{}).(admitted); is {
		w.Admission = a.rules
		w.Attributes = admission.Attributes{Kind: s.Kind, Resource: s.Kind.GroupVersion().WithResource(s.Plural), User: a.by}
		s.Describe(&w.Attributes)
	}
	return s.Create(ctx, obj, w)
}

// Update implements Access.
func (g *Registry) Update(ctx context.Context, r schema.GroupResource, subresource, namespace, name string, change func(obj Object) error) (Object, error) {
	s, err := g.store(r)
	if err != nil {
		return nil, err
	}
	part, err := s.part(subresource)
	if err != nil {
		return nil, err
	}
	w := &Write{Namespace: namespace, Name: name, Subresource: subresource, Manager: s.ownManager(ctx), Options: &metav1.UpdateOptions{}}
	out, _, err := s.Update(ctx, w, part, false, func(_ context.Context, old Object) (Object, error) {
		obj := old.DeepCopyObject().(Object)
		return obj, change(obj)
	})
	return out, err
}

// Apply merges what one of the server's own managers wants into an object, as server-side apply does with
// force. subresource "" is the main resource. The object must exist.
func (g *Registry) Apply(ctx context.Context, r schema.GroupResource, subresource string, wanted *unstructured.Unstructured, manager string) error {
	s, err := g.store(r)
	if err != nil {
		return err
	}
	part, err := s.part(subresource)
	if err != nil {
		return err
	}
	w := &Write{Namespace: wanted.GetNamespace(), Name: wanted.GetName(), Subresource: subresource, Manager: manager, Applied: true, Options: &metav1.PatchOptions{}}
	_, _, err = s.Update(ctx, w, part, false, func(ctx context.Context, old Object) (Object, error) {
		return s.Apply(ctx, old, wanted, manager, subresource, true)
	})
	return err
}

// part finds what a subresource may change, nil for the main resource.
func (s *Store) part(subresource string) (*UpdatePart[Object], error) {
	if subresource == "" {
		return nil, nil
	}
	sub := s.Subresource(subresource)
	if sub == nil || sub.Update == nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("%s has no subresource %s to update", s.GroupResource(), subresource))
	}
	return sub.Update, nil
}

// Delete implements Access.
func (g *Registry) Delete(ctx context.Context, r schema.GroupResource, namespace, name string, options *metav1.DeleteOptions) error {
	s, err := g.store(r)
	if err != nil {
		return err
	}
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	_, _, err = s.Delete(ctx, &Write{Namespace: namespace, Name: name, DryRun: len(options.DryRun) > 0, Options: options}, options)
	return err
}

// Subresource finds a subresource by its name, nil where there is none.
func (s *Store) Subresource(name string) *Subresource[Object] {
	for i := range s.Subresources {
		if s.Subresources[i].Name == name {
			return &s.Subresources[i]
		}
	}
	return nil
}
