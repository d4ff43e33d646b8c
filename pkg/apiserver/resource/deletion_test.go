package resource_test

import (
	"context"
	"testing"

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
