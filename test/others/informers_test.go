package others

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/features"
	featurestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// follower knows ConfigMaps by what an informer tells alone.
type follower struct {
	mu     sync.Mutex
	values map[string]string
	wrong  []error
}

func (f *follower) set(o any, added bool) {
	m := o.(*corev1.ConfigMap)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.values[m.Name]; known == added {
		f.wrong = append(f.wrong, fmt.Errorf("%s: told to be added: %t, known already: %t", m.Name, added, known))
	}
	f.values[m.Name] = m.Data["turn"]
}

func (f *follower) forget(o any) {
	if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.values, o.(*corev1.ConfigMap).Name)
}

// agrees compares what was told with what the server answers.
func (f *follower) agrees(ctx context.Context, c kubernetes.Interface) error {
	list, err := c.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, m := range list.Items {
		want[m.Name] = m.Data["turn"]
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !maps.Equal(want, f.values) {
		return fmt.Errorf("there are %d objects, and the informer knows %d, or others", len(want), len(f.values))
	}
	return errors.Join(f.wrong...)
}

func TestInformersFollowThroughRestarts(t *testing.T) {
	for name, watchList := range map[string]bool{"by list and watch": false, "by WatchList": true} {
		t.Run(name, func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, watchList)
			env := start(t, &envtest.Environment{})
			c := clientOf(t, env)
			f := &follower{values: map[string]string{}}
			factory := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace("default"))
			informer := factory.Core().V1().ConfigMaps().Informer()
			if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
				AddFunc: func(o any) { f.set(o, true) }, UpdateFunc: func(_, o any) { f.set(o, false) }, DeleteFunc: f.forget,
			}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer factory.Shutdown()
			defer cancel() // which ends what Shutdown waits for
			factory.StartWithContext(ctx)
			writing, enough := context.WithCancel(ctx)
			written := make(chan int, 1)
			go func() { written <- writeUntil(writing, c) }()
			for turn := range 3 {
				eventually(t, fmt.Sprintf("the informer is synced before restart %d", turn), func(context.Context) error {
					if !informer.HasSynced() {
						return errors.New("it has not synced")
					}
					return nil
				})
				if err := env.ControlPlane.APIServer.Stop(); err != nil {
					t.Fatal(err)
				}
				if err := env.ControlPlane.APIServer.Start(); err != nil {
					t.Fatal(err)
				}
			}
			enough()
			if n := <-written; n == 0 {
				t.Error("nothing was written meanwhile")
			}
			eventually(t, "the informer knows what the server has", func(ctx context.Context) error { return f.agrees(ctx, c) })
		})
	}
}

// writeUntil makes, changes and removes ConfigMaps until ctx ends; writes to a server that is away fail. It
// answers how many did not.
func writeUntil(ctx context.Context, c kubernetes.Interface) (written int) {
	maps := c.CoreV1().ConfigMaps("default")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		name := fmt.Sprintf("object-%d", turn%50)
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"turn": fmt.Sprint(turn)}}
		var err error
		if turn%7 == 0 {
			err = maps.Delete(ctx, name, metav1.DeleteOptions{})
		} else if _, err = maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
			_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
		}
		if err == nil {
			written++
		}
		select {
		case <-ctx.Done():
			return written
		case <-tick.C:
		}
	}
}
