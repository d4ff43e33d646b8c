package resource_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// TestADeletionIsAdmittedWhenItBegins: to ask again for what is under way asks for nothing, unless it is to take less
// time.
func TestADeletionIsAdmittedWhenItBegins(t *testing.T) {
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	g := resource.NewRegistry(etcd, cache, clock.RealClock{})
	graceful := g.Add(resource.Define(resource.Definition[*corev1.Pod]{
		Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Plural: "pods",
		Grace: func(_ *corev1.Pod, asked *int64) int64 { return *asked },
	}), types)
	inSteps := g.Add(resource.Define(resource.Definition[*corev1.ConfigMap]{
		Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps",
		BeforeDelete: func(_ context.Context, obj *corev1.ConfigMap) (bool, error) {
			obj.DeletionTimestamp = &metav1.Time{}
			return false, nil
		},
	}), types)
	ordinary := g.Add(resource.Define(resource.Definition[*corev1.Secret]{Kind: corev1.SchemeGroupVersion.WithKind("Secret"), Plural: "secrets"}), types)
	meta := metav1.ObjectMeta{Namespace: "n", Name: "o"}
	kept := meta
	kept.Finalizers = []string{"a.b/c"}
	for _, c := range []struct {
		s     *resource.Store
		obj   resource.Object
		grace []int64
		asks  []int
	}{
		{graceful, &corev1.Pod{ObjectMeta: meta}, []int64{30, 30, 40, 10, 0}, []int{1, 0, 0, 1, 1}},
		{inSteps, &corev1.ConfigMap{ObjectMeta: meta}, []int64{30, 30}, []int{1, 0}},
		{ordinary, &corev1.Secret{ObjectMeta: kept}, []int64{30, 30}, []int{1, 1}},
	} {
		if _, err := c.s.Create(t.Context(), c.obj, &resource.Write{Namespace: "n", Name: "o"}); err != nil {
			t.Fatal(err)
		}
		for i, seconds := range c.grace {
			asked := 0
			count := func(context.Context, *admission.Attributes) error { asked++; return nil }
			w := &resource.Write{Namespace: "n", Name: "o", Admission: admission.Chain{Plugins: []admission.Plugin{{Validate: count}}}}
			if _, _, err := c.s.Delete(t.Context(), w, &metav1.DeleteOptions{GracePeriodSeconds: &seconds}); err != nil {
				t.Fatal(err)
			}
			if asked != c.asks[i] {
				t.Errorf("%s: admission was asked %d times about deletion %d with %ds, want %d", c.s.Plural, asked, i, seconds, c.asks[i])
			}
		}
	}
}

// lastRoom is a store whose updates are refused unless they are for a deletion.
type lastRoom struct {
	*storage.Memory
	full bool
}

func (r *lastRoom) Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (int64, error) {
	if r.full && !storage.IsForDeletion(ctx) {
		return 0, errors.New("full")
	}
	return r.Memory.Update(ctx, key, value, expected, ttl)
}

// TestDeletionsTakeTheLastRoom with the steps that they need: to be marked, and to lose finalizers.
func TestDeletionsTakeTheLastRoom(t *testing.T) {
	etcd := &lastRoom{Memory: storage.NewMemory()}
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	s := resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(resource.Define(resource.Definition[*corev1.Secret]{
		Kind: corev1.SchemeGroupVersion.WithKind("Secret"), Plural: "secrets",
	}), applyconfigurations.NewTypeConverter(scheme.Scheme))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "o", Finalizers: []string{"a.b/c", "a.b/d"}}}
	write := func() *resource.Write { return &resource.Write{Namespace: "n", Name: "o"} }
	if _, err := s.Create(t.Context(), secret, write()); err != nil {
		t.Fatal(err)
	}
	etcd.full = true
	finalizers := func(left ...string) error {
		_, _, err := s.Update(t.Context(), write(), nil, false, func(_ context.Context, o resource.Object) (resource.Object, error) {
			o = o.DeepCopyObject().(resource.Object)
			o.SetFinalizers(left)
			return o, nil
		})
		return err
	}
	if err := finalizers("a.b/d"); err == nil {
		t.Error("the update of an object that is not being deleted was taken")
	}
	if _, _, err := s.Delete(t.Context(), write(), &metav1.DeleteOptions{}); err != nil {
		t.Errorf("marking it: %v", err)
	}
	for _, left := range [][]string{{"a.b/d"}, nil} {
		if err := finalizers(left...); err != nil {
			t.Errorf("with the finalizers %v left: %v", left, err)
		}
	}
}
