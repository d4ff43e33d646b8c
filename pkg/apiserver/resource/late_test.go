package resource_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// small is a store that takes no values of more than most bytes, and has the first names already that are tried.
type small struct {
	*storage.Memory
	most, taken int
}

func (s *small) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (int64, error) {
	if len(value) > s.most {
		return 0, storage.ErrTooLarge
	}
	if s.taken--; s.taken >= 0 {
		return 0, storage.ErrExists
	}
	return s.Memory.Create(ctx, key, value, ttl)
}

// TestLateDefaultsAreNotStoredWithANewObject, and always answered: not where an object is written again because it was too large,
// nor where a name was made for it that is taken.
func TestLateDefaultsAreNotStoredWithANewObject(t *testing.T) {
	for _, c := range []struct {
		name                    string
		most, taken, wantOwners int
	}{
		{"as it is", 1 << 20, 0, 1},
		{"too large", 600, 0, 0},
		{"a name that is taken", 1 << 20, 1, 1},
		{"both", 600, 1, 0},
	} {
		etcd := &small{Memory: storage.NewMemory(), most: c.most, taken: c.taken}
		cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
		s := resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(resource.Define(resource.Definition[*corev1.ConfigMap]{
			Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps", DefaultedLate: true,
			Default: func(m *corev1.ConfigMap) {
				if m.Immutable == nil {
					m.Immutable = new(false)
				}
			},
			Prepare: func(_ context.Context, m, old *corev1.ConfigMap) {
				if old == nil {
					m.Immutable = nil
				}
			},
		}), applyconfigurations.NewTypeConverter(scheme.Scheme))
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "n", GenerateName: "o-"}, Data: map[string]string{"k": strings.Repeat("x", 300)}}
		for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			m.Data[strings.Repeat(key, 8)] = ""
		}
		o, err := s.Create(t.Context(), m, &resource.Write{Namespace: "n", Manager: "client"})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		answered := o.(*corev1.ConfigMap)
		if n := len(answered.ManagedFields); answered.Immutable == nil || n != c.wantOwners {
			t.Errorf("%s: answered with immutable %v and %d owners, want %d", c.name, answered.Immutable, n, c.wantOwners)
		}
		kv, _, err := etcd.Get(t.Context(), resource.Root+"configmaps/n/"+answered.Name)
		if err != nil {
			t.Fatal(err)
		}
		stored, _, err := scheme.Codecs.UniversalDeserializer().Decode(kv.Value, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m := stored.(*corev1.ConfigMap); m.Immutable != nil || len(m.ManagedFields) != c.wantOwners {
			t.Errorf("%s: stored with immutable %v and %d owners, want %d", c.name, m.Immutable, len(m.ManagedFields), c.wantOwners)
		}
		// A write that changes nothing stores them, as any object is that lacks what its readers see; the next finds nothing to do.
		for _, written := range []bool{true, false} {
			before := o.GetResourceVersion()
			o, _, err = s.Update(t.Context(), &resource.Write{Namespace: "n", Name: o.GetName()}, nil, false, func(_ context.Context, old resource.Object) (resource.Object, error) {
				return old.DeepCopyObject().(resource.Object), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if after := o.GetResourceVersion(); (after != before) != written {
				t.Errorf("%s: an update without a change goes from version %s to %s", c.name, before, after)
			}
		}
	}
}
