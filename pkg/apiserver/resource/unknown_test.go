package resource_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// mute is a store that writes, and does not say so.
type mute struct {
	*storage.Memory
	writes int
	speaks bool // of what it makes
}

var errLost = errors.New("the connection ended before an answer came")

func (m *mute) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (int64, error) {
	revision, err := m.Memory.Create(ctx, key, value, ttl)
	if m.speaks {
		return revision, err
	}
	m.writes++
	return 0, errors.Join(errLost, err)
}

func (m *mute) Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (int64, error) {
	m.writes++
	_, err := m.Memory.Update(ctx, key, value, expected, ttl)
	return 0, errors.Join(errLost, err)
}

func (m *mute) Delete(ctx context.Context, key string, expected int64) (int64, error) {
	m.writes++
	_, err := m.Memory.Delete(ctx, key, expected)
	return 0, errors.Join(errLost, err)
}

// TestAWriteOfUnknownOutcomeIsNotTriedAgain: it may have been done, and must not be done twice, nor be refused for what it
// did itself. What was taken for it, as addresses are, stays taken.
func TestAWriteOfUnknownOutcomeIsNotTriedAgain(t *testing.T) {
	for name, do := range map[string]func(*resource.Store, *resource.Write) error{
		"creation": func(s *resource.Store, w *resource.Write) error {
			w.Name = "other"
			_, err := s.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "other"}}, w)
			return err
		},
		"update": func(s *resource.Store, w *resource.Write) error {
			_, _, err := s.Update(t.Context(), w, nil, false, func(_ context.Context, old resource.Object) (resource.Object, error) {
				p := old.DeepCopyObject().(*corev1.Pod)
				p.Finalizers = append(p.Finalizers, "a.b/c")
				return p, nil
			})
			return err
		},
		"deletion": func(s *resource.Store, w *resource.Write) error {
			_, _, err := s.Delete(t.Context(), w, &metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
			return err
		},
		"deletion that takes time": func(s *resource.Store, w *resource.Write) error {
			_, _, err := s.Delete(t.Context(), w, &metav1.DeleteOptions{GracePeriodSeconds: new(int64(30))})
			return err
		},
	} {
		etcd, undone := &mute{Memory: storage.NewMemory(), speaks: true}, 0
		cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
		s := resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(resource.Define(resource.Definition[*corev1.Pod]{
			Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Plural: "pods", Grace: func(_ *corev1.Pod, asked *int64) int64 { return *asked },
			Allocate: func(context.Context, *corev1.Pod, *corev1.Pod, bool) (undo, release func(), err error) {
				return func() { undone++ }, nil, nil
			},
		}), applyconfigurations.NewTypeConverter(scheme.Scheme))
		if _, err := s.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "o"}}, &resource.Write{Namespace: "n", Name: "o"}); err != nil {
			t.Fatal(err)
		}
		etcd.speaks = false
		if err := do(s, &resource.Write{Namespace: "n", Name: "o"}); !apierrors.IsInternalError(err) || etcd.writes != 1 || undone != 0 {
			t.Errorf("%s: after %d writes, %d undone: %v", name, etcd.writes, undone, err)
		}
	}
}
