package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

func run(t *testing.T, reconcile Reconcile[string], body func(l *Loop[string])) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := New(&Env{Clock: clock.RealClock{}, Log: logr.Discard()}, "test", 2, reconcile)
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		body(l)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestFailedKeyIsTriedAgainAndAPanicIsAFailure(t *testing.T) {
	var tries atomic.Int32
	run(t, func(context.Context, string) (Result, error) {
		switch tries.Add(1) {
		case 1:
			return Result{}, errors.New("not now")
		case 2:
			panic("broken object")
		}
		return Result{}, nil
	}, func(l *Loop[string]) {
		l.Add("key")
		pass(time.Second)
		if n := tries.Load(); n != 3 {
			t.Errorf("tried %d times, want 3", n)
		}
	})
}

func TestResultAfterBringsTheKeyBack(t *testing.T) {
	var tries atomic.Int32
	run(t, func(context.Context, string) (Result, error) {
		tries.Add(1)
		return Result{After: time.Minute}, nil
	}, func(l *Loop[string]) {
		l.Add("key")
		pass(59 * time.Second)
		if n := tries.Load(); n != 1 {
			t.Errorf("after 59 s: %d times", n)
		}
		pass(2 * time.Second)
		if n := tries.Load(); n != 2 {
			t.Errorf("after a minute: %d times", n)
		}
	})
}

func pod(version string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", ResourceVersion: version, UID: "uid"}}
}

func TestKeyWaitsUntilTheCacheHasSeenItsOwnWrite(t *testing.T) {
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	if err := store.Add(pod("10")); err != nil {
		t.Fatal(err)
	}
	var tries atomic.Int32
	run(t, func(context.Context, string) (Result, error) { tries.Add(1); return Result{}, nil }, func(l *Loop[string]) {
		l.Wrote("key", store, pod("12"))
		l.Add("key")
		l.Add("other")
		pass(10 * time.Second)
		if n := tries.Load(); n != 1 {
			t.Errorf("%d reconciles while the cache is behind, want only that of the other key", n)
		}
		if err := store.Update(pod("12")); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if n := tries.Load(); n != 2 {
			t.Errorf("%d reconciles after the cache has caught up, want 2", n)
		}
	})
}

func TestWritesAreSeenOrForgotten(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(0, 0))
	store := cache.NewStore(cache.MetaNamespaceKeyFunc)
	w := NewWrites[string](now)
	gone := pod("5")
	if err := store.Add(gone); err != nil {
		t.Fatal(err)
	}
	w.Deleted("key", store, gone)
	if w.Fresh("key") {
		t.Error("fresh while the cache still shows the deleted object")
	}
	at := metav1.Now()
	going := gone.DeepCopy()
	going.DeletionTimestamp = &at
	if err := store.Update(going); err != nil {
		t.Fatal(err)
	}
	if !w.Fresh("key") {
		t.Error("not fresh though the cache shows the deletion")
	}
	w.Wrote("key", store, pod("99"))
	if w.Fresh("key") {
		t.Error("fresh before the cache has seen version 99")
	}
	now.SetTime(time.Unix(0, 0).Add(forgetAfter))
	if !w.Fresh("key") {
		t.Error("a write that never shows is waited for without end")
	}
}
