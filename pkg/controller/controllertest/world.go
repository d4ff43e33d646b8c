// Package controllertest runs a controller against a fake apiserver in a bubble of its own time, so that
// tests wait for nothing and see every step.
package controllertest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/controller"
)

// World is the fake apiserver and the controller that runs against it.
type World struct {
	T      *testing.T
	Ctx    context.Context
	Client *fake.Clientset
	Env    *controller.Env

	mu     sync.Mutex
	events []string
}

// Run starts the controller that make makes in a world that holds objects, waits until all is quiet, and
// then runs body.
func Run(t *testing.T, objects []runtime.Object, make func(env *controller.Env) (controller.Runner, error), body func(w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &World{T: t, Ctx: ctx, Client: fake.NewClientset(objects...)}
		number(w.Client)
		factory := informers.NewSharedInformerFactoryWithOptions(w.Client, 0, informers.WithTransform(controller.Trim))
		w.Env = &controller.Env{
			Client: w.Client, Informers: factory, Clock: clock.RealClock{}, Log: logr.Discard(),
			Events: func(string) record.EventRecorder { return recorder{w} },
		}
		runner, err := make(w.Env)
		if err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		ended := chanOf(func() error { return runner.Run(ctx) })
		w.Settle()
		body(w)
		cancel()
		factory.Shutdown()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with: %v", err)
		}
	})
}

func chanOf(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// Settle lets a second of the bubble's time pass, in which all that is due happens.
func (w *World) Settle() { w.Pass(time.Second) }

// Pass lets time pass.
func (w *World) Pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Events are the events told since the last call, "TYPE REASON MESSAGE".
func (w *World) Events() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.events
	w.events = nil
	return list
}

type recorder struct{ w *World }

func (r recorder) Event(_ runtime.Object, eventtype, reason, message string) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.events = append(r.w.events, eventtype+" "+reason+" "+message)
}

func (r recorder) Eventf(o runtime.Object, eventtype, reason, format string, args ...any) {
	r.Event(o, eventtype, reason, fmt.Sprintf(format, args...))
}

func (r recorder) AnnotatedEventf(o runtime.Object, _ map[string]string, eventtype, reason, format string, args ...any) {
	r.Event(o, eventtype, reason, fmt.Sprintf(format, args...))
}

// WithLogger is record.EventRecorderLogger's.
func (r recorder) WithLogger(logr.Logger) record.EventRecorderLogger { return r }

// number gives written objects what an apiserver gives them: generated names, uids, times, and rising
// resourceVersions.
func number(c *fake.Clientset) {
	var mu sync.Mutex
	n := 1000
	stamp := func(obj runtime.Object, create bool) {
		m, ok := obj.(metav1.Object)
		if !ok {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		m.SetResourceVersion(strconv.Itoa(n))
		if !create {
			return
		}
		if m.GetName() == "" {
			m.SetName(m.GetGenerateName() + strconv.Itoa(n))
		}
		if m.GetUID() == "" {
			m.SetUID(types.UID("uid-" + strconv.Itoa(n)))
		}
		if m.GetCreationTimestamp().Time.IsZero() {
			m.SetCreationTimestamp(metav1.Now())
		}
	}
	c.PrependReactor("create", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		stamp(a.(clienttesting.CreateAction).GetObject(), true)
		return false, nil, nil
	})
	c.PrependReactor("update", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		stamp(a.(clienttesting.UpdateAction).GetObject(), false)
		return false, nil, nil
	})
}
