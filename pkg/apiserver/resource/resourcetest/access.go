// Package resourcetest is the fake of resource.Access: a store in memory without kinds' rules, for tests
// of what reads and writes through Access.
package resourcetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Access keeps objects in memory. Followers are called before a write returns, so what a test has written
// has been seen.
type Access struct {
	mu        sync.Mutex
	revision  int
	objects   map[schema.GroupResource]map[string]resource.Object
	followers map[schema.GroupResource][]func(obj, gone resource.Object)
}

var _ resource.Access = (*Access)(nil)

// New makes an empty store.
func New() *Access {
	return &Access{
		objects:   map[schema.GroupResource]map[string]resource.Object{},
		followers: map[schema.GroupResource][]func(obj, gone resource.Object){},
	}
}

func key(namespace, name string) string { return namespace + "/" + name }

// Get implements resource.Reader.
func (a *Access) Get(_ context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.get(r, namespace, name)
}

func (a *Access) get(r schema.GroupResource, namespace, name string) (resource.Object, error) {
	if obj, ok := a.objects[r][key(namespace, name)]; ok {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(r, name)
}

// GetLive implements resource.Access.
func (a *Access) GetLive(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	return a.Get(ctx, r, namespace, name)
}

// List implements resource.Reader.
func (a *Access) List(_ context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.list(r, namespace), nil
}

func (a *Access) list(r schema.GroupResource, namespace string) []resource.Object {
	var keys []string
	for k := range a.objects[r] {
		if namespace == "" || strings.HasPrefix(k, namespace+"/") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	out := make([]resource.Object, 0, len(keys))
	for _, k := range keys {
		out = append(out, a.objects[r][k])
	}
	return out
}

// Follow implements resource.Reader.
func (a *Access) Follow(_ context.Context, r schema.GroupResource, f func(obj, gone resource.Object)) (<-chan struct{}, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, obj := range a.list(r, "") {
		f(obj, nil)
	}
	a.followers[r] = append(a.followers[r], f)
	done := make(chan struct{})
	close(done)
	return done, nil
}

// Create implements resource.Access. A missing uid is made up.
func (a *Access) Create(_ context.Context, r schema.GroupResource, obj resource.Object) (resource.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.get(r, obj.GetNamespace(), obj.GetName()); err == nil {
		return nil, apierrors.NewAlreadyExists(r, obj.GetName())
	}
	obj = obj.DeepCopyObject().(resource.Object)
	if obj.GetUID() == "" {
		obj.SetUID(types.UID(fmt.Sprintf("uid-%d", a.revision+1)))
	}
	a.put(r, obj)
	return obj, nil
}

func (a *Access) put(r schema.GroupResource, obj resource.Object) {
	a.revision++
	obj.SetResourceVersion(strconv.Itoa(a.revision))
	if a.objects[r] == nil {
		a.objects[r] = map[string]resource.Object{}
	}
	a.objects[r][key(obj.GetNamespace(), obj.GetName())] = obj
	for _, f := range a.followers[r] {
		f(obj, nil)
	}
}

// Update implements resource.Access.
func (a *Access) Update(_ context.Context, r schema.GroupResource, _, namespace, name string, change func(resource.Object) error) (resource.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, err := a.get(r, namespace, name)
	if err != nil {
		return nil, err
	}
	obj := old.DeepCopyObject().(resource.Object)
	if err := change(obj); err != nil {
		return nil, err
	}
	a.put(r, obj)
	return obj, nil
}

// Delete implements resource.Access.
func (a *Access) Delete(_ context.Context, r schema.GroupResource, namespace, name string, opts *metav1.DeleteOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, err := a.get(r, namespace, name)
	if err != nil {
		return err
	}
	if opts != nil && opts.Preconditions != nil {
		uid, revision := opts.Preconditions.UID, opts.Preconditions.ResourceVersion
		if uid != nil && *uid != old.GetUID() || revision != nil && *revision != old.GetResourceVersion() {
			return apierrors.NewConflict(r, name, fmt.Errorf("it is %s at revision %s", old.GetUID(), old.GetResourceVersion()))
		}
	}
	if opts != nil && len(opts.DryRun) > 0 {
		return nil
	}
	a.revision++
	delete(a.objects[r], key(namespace, name))
	gone := reflect.New(reflect.TypeOf(old).Elem()).Interface().(resource.Object)
	gone.SetNamespace(namespace)
	gone.SetName(name)
	for _, f := range a.followers[r] {
		f(nil, gone)
	}
	return nil
}
