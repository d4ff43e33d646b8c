package object

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// firstStateTimeout is how long a reader waits for the first state of an object that was just registered.
const firstStateTimeout = 10 * time.Second

// Watched watches single objects: one watch for each ConfigMap and Secret that a registered pod refers to,
// by the field selector metadata.name, for as long as one refers to it. This is what the Node authorizer
// permits. It is safe for use by several goroutines.
type Watched struct {
	ctx     context.Context
	client  kubernetes.Interface
	changed func(pods []types.UID)

	mu     sync.Mutex
	states map[key]*state
	pods   map[types.UID]map[key]bool
}

// NewWatched returns Objects over client. Watches end with ctx. changed, which may be nil, is called
// (from a watch's goroutine, it must not block) with the pods that refer to an object whenever that object
// was seen to appear, change or go.
func NewWatched(ctx context.Context, client kubernetes.Interface, changed func(pods []types.UID)) *Watched {
	if changed == nil {
		changed = func([]types.UID) {}
	}
	return &Watched{ctx: ctx, client: client, changed: changed, states: map[key]*state{}, pods: map[types.UID]map[key]bool{}}
}

// Register watches what pod refers to. Registering a pod again, with the same UID, replaces what was
// registered before.
func (w *Watched) Register(pod *corev1.Pod) {
	wanted := references(pod)
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range wanted {
		if w.pods[pod.UID][k] {
			continue
		}
		if w.states[k] == nil {
			w.states[k] = w.start(k)
		}
		w.states[k].users++
	}
	for k := range w.pods[pod.UID] {
		if !wanted[k] {
			w.release(k)
		}
	}
	w.pods[pod.UID] = wanted
}

// Unregister ends the watches that only this pod needed.
func (w *Watched) Unregister(pod types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.pods[pod] {
		w.release(k)
	}
	delete(w.pods, pod)
}

func (w *Watched) release(k key) {
	s := w.states[k]
	if s.users--; s.users == 0 {
		s.stop()
		delete(w.states, k)
	}
}

// usersOf are the pods that refer to k.
func (w *Watched) usersOf(k key) []types.UID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var users []types.UID
	for uid, keys := range w.pods {
		if keys[k] {
			users = append(users, uid)
		}
	}
	return users
}

// ConfigMap implements Objects.
func (w *Watched) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	obj, err := w.get(ctx, key{configMaps, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.ConfigMap), nil
}

// Secret implements Objects.
func (w *Watched) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	obj, err := w.get(ctx, key{secrets, namespace, name})
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Secret), nil
}

func (w *Watched) get(ctx context.Context, k key) (any, error) {
	w.mu.Lock()
	s := w.states[k]
	w.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("object %q/%q not registered", k.namespace, k.name)
	}
	ctx, cancel := context.WithTimeout(ctx, firstStateTimeout)
	defer cancel()
	select {
	case <-s.synced:
	case <-s.done:
		return nil, fmt.Errorf("failed to sync %s cache: the pod that refers to it is gone", k.resource.singular)
	case <-ctx.Done():
		return nil, fmt.Errorf("failed to sync %s cache: %w", k.resource.singular, ctx.Err())
	}
	if obj := s.current(); obj != nil {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource(k.resource.singular), k.name)
}
