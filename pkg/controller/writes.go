package controller

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

// forgetAfter bounds how long a write is waited for that the cache never shows, as after a restore of
// the apiserver's data from an older backup.
const forgetAfter = 5 * time.Minute

// Writes remembers what was written in a key's name until the caches have seen it. A controller that
// acted earlier would count its own pods wrong and make or delete too many.
type Writes[K comparable] struct {
	clock   clock.PassiveClock
	mu      sync.Mutex
	pending map[K][]write
}

type write struct {
	store   cache.Store
	name    string
	uid     types.UID
	version string // the resourceVersion that the write made; "" for a deletion
	at      time.Time
}

// NewWrites makes an empty memory.
func NewWrites[K comparable](c clock.PassiveClock) *Writes[K] {
	return &Writes[K]{clock: c, pending: map[K][]write{}}
}

// Wrote records that obj, as the apiserver answered it, was created or changed for key. store is the
// cache that will show it.
func (w *Writes[K]) Wrote(key K, store cache.Store, obj metav1.Object) {
	if obj.GetResourceVersion() != "" {
		w.record(key, write{store: store, uid: obj.GetUID(), version: obj.GetResourceVersion()}, obj)
	}
}

// Deleted records that the deletion of obj was accepted for key.
func (w *Writes[K]) Deleted(key K, store cache.Store, obj metav1.Object) {
	w.record(key, write{store: store, uid: obj.GetUID()}, obj)
}

func (w *Writes[K]) record(key K, r write, obj metav1.Object) {
	r.name, r.at = cache.MetaObjectToName(obj).String(), w.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending[key] = append(w.pending[key], r)
}

// Fresh tells whether the caches have seen all that was written for key.
func (w *Writes[K]) Fresh(key K) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.pending[key][:0]
	for _, r := range w.pending[key] {
		if !r.seen() && w.clock.Since(r.at) < forgetAfter {
			left = append(left, r)
		}
	}
	if len(left) == 0 {
		delete(w.pending, key)
		return true
	}
	w.pending[key] = left
	return false
}

func (r write) seen() bool {
	item, exists, err := r.store.GetByKey(r.name)
	if err != nil {
		return false
	}
	obj, _ := item.(metav1.Object)
	if r.version == "" {
		return !exists || obj.GetUID() != r.uid || obj.GetDeletionTimestamp() != nil
	}
	if exists && atLeast(obj.GetResourceVersion(), r.version) {
		return true
	}
	return atLeast(r.store.LastStoreSyncResourceVersion(), r.version)
}

// atLeast compares resourceVersions; what is not one is below every one.
func atLeast(have, want string) bool {
	c, err := resourceversion.CompareResourceVersion(have, want)
	return err == nil && c >= 0
}
