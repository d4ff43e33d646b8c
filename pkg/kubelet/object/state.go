package object

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// state is what a reflector's watch says of one object. It is the reflector's store: of all that a store
// can be asked, a reflector only uses Add, Update, Delete, Replace and Resync.
type state struct {
	cache.Store        // answers what a reflector never asks; keeps nothing
	users       int    // how many pods refer to it; guarded by Watched.mu
	cancel      func() // ends the watch
	changed     func()
	done        <-chan struct{} // closed when the state is given up
	stop        func()

	mu     sync.Mutex
	obj    any           // nil: does not exist
	synced chan struct{} // closed at the first state
	first  bool          // whether synced is closed
}

// start watches k. Called with w.mu held, so nothing here may ask for users.
func (w *Watched) start(k key) *state {
	watching, endWatch := context.WithCancel(w.ctx)
	alive, giveUp := context.WithCancel(w.ctx)
	s := &state{
		cancel: endWatch, done: alive.Done(), synced: make(chan struct{}),
		changed: func() { w.changed(w.usersOf(k)) },
	}
	s.stop = func() { giveUp(); endWatch() }
	only := fields.OneTermEqualSelector("metadata.name", k.name).String()
	var example runtime.Object = &corev1.ConfigMap{}
	list := func(o metav1.ListOptions) (runtime.Object, error) {
		return w.client.CoreV1().ConfigMaps(k.namespace).List(watching, o)
	}
	follow := func(o metav1.ListOptions) (watch.Interface, error) {
		return w.client.CoreV1().ConfigMaps(k.namespace).Watch(watching, o)
	}
	if k.resource == secrets {
		example = &corev1.Secret{}
		list = func(o metav1.ListOptions) (runtime.Object, error) {
			return w.client.CoreV1().Secrets(k.namespace).List(watching, o)
		}
		follow = func(o metav1.ListOptions) (watch.Interface, error) {
			return w.client.CoreV1().Secrets(k.namespace).Watch(watching, o)
		}
	}
	lw := &cache.ListWatch{
		ListFunc:  func(o metav1.ListOptions) (runtime.Object, error) { o.FieldSelector = only; return list(o) },
		WatchFunc: func(o metav1.ListOptions) (watch.Interface, error) { o.FieldSelector = only; return follow(o) },
	}
	r := cache.NewReflectorWithOptions(cache.ToListWatcherWithWatchListSemantics(lw, w.client), example, s,
		cache.ReflectorOptions{Name: k.resource.plural + " " + k.namespace + "/" + k.name})
	go r.RunWithContext(watching)
	return s
}

func (s *state) current() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.obj
}

func (s *state) set(obj any) error {
	s.mu.Lock()
	s.obj = obj
	if !s.first {
		s.first = true
		close(s.synced)
	}
	s.mu.Unlock()
	if immutable(obj) {
		s.cancel() // it cannot change any more, and one watch less is worth more than news of its deletion
	}
	s.changed()
	return nil
}

func immutable(obj any) bool {
	var flag *bool
	switch o := obj.(type) {
	case *corev1.ConfigMap:
		flag = o.Immutable
	case *corev1.Secret:
		flag = o.Immutable
	}
	return flag != nil && *flag
}

// Add is called by the reflector, as are Update, Delete, Replace and Resync.
func (s *state) Add(obj any) error { return s.set(obj) }

// Update takes a newer state.
func (s *state) Update(obj any) error { return s.set(obj) }

// Delete takes note that the object is gone.
func (s *state) Delete(any) error { return s.set(nil) }

// Resync has nothing to do.
func (s *state) Resync() error { return nil }

// Replace takes the answer to a list: one object or none.
func (s *state) Replace(list []any, _ string) error {
	if len(list) == 0 {
		return s.set(nil)
	}
	return s.set(list[0])
}
