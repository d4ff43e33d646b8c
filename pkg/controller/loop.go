// Package controller is the one work-queue loop. A controller gives it a Reconcile; informers give it
// keys; the loop sees to it that a key is worked on by one worker at a time, is tried again after a
// failure with growing pauses, and is not worked on while the caches have not yet seen what the last
// Reconcile of that key wrote. It knows no controller.
package controller

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 30 * time.Second
	// staleRetry is how soon a key is looked at again whose caches lag behind its own writes. Mostly the
	// awaited event arrives earlier and brings the key itself.
	staleRetry = 50 * time.Millisecond
)

// Result says what follows a Reconcile that succeeded.
type Result struct {
	// After is when to reconcile the key again though nothing happens, zero for not.
	After time.Duration
}

// Reconcile looks at the world as the caches show it and moves what key names one step nearer to what
// is wished. It is level-triggered: it neither knows nor needs to know which event brought the key.
type Reconcile[K comparable] func(ctx context.Context, key K) (Result, error)

// Of makes a Reconcile of an object that each key names: get reads it, and where it is gone nothing is to be done.
func Of[K comparable, T any](get func(key K) (T, error), reconcile func(ctx context.Context, key K, obj T) (Result, error)) Reconcile[K] {
	return func(ctx context.Context, key K) (Result, error) {
		obj, err := get(key)
		if apierrors.IsNotFound(err) {
			return Result{}, nil
		} else if err != nil {
			return Result{}, fmt.Errorf("reading %v: %w", key, err)
		}
		return reconcile(ctx, key, obj)
	}
}

// Runner works until ctx ends.
type Runner interface {
	Run(ctx context.Context) error
}

// Loop feeds keys to a Reconcile.
type Loop[K comparable] struct {
	*Writes[K]
	name      string
	workers   int
	reconcile Reconcile[K]
	log       logr.Logger
	queue     workqueue.TypedRateLimitingInterface[K]
	synced    []cache.InformerSynced
	// Before runs once when all caches are filled, ahead of the first key; may be nil.
	Before func(ctx context.Context) error
}

// New makes a loop with so many workers.
func New[K comparable](env *Env, name string, workers int, reconcile Reconcile[K]) *Loop[K] {
	config := workqueue.TypedRateLimitingQueueConfig[K]{Name: name, Clock: env.Clock}
	if env.Metrics != nil {
		config.MetricsProvider = env.Metrics
	}
	return &Loop[K]{
		Writes: NewWrites[K](env.Clock), name: name, workers: max(workers, 1), reconcile: reconcile,
		log: env.Log.WithName(name),
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[K](firstRetry, lastRetry), config),
	}
}

// Add asks for key to be reconciled.
func (l *Loop[K]) Add(key K) { l.queue.Add(key) }

// AddAfter asks for key to be reconciled in d.
func (l *Loop[K]) AddAfter(key K, d time.Duration) { l.queue.AddAfter(key, d) }

// Log is the controller's logger.
func (l *Loop[K]) Log() logr.Logger { return l.log }

// Needs makes Run wait until the informer's cache is filled.
func (l *Loop[K]) Needs(informer cache.SharedIndexInformer) {
	l.synced = append(l.synced, informer.HasSynced)
}

// NeedsSynced makes Run wait for a condition beside those of informers.
func (l *Loop[K]) NeedsSynced(synced func() bool) { l.synced = append(l.synced, synced) }

// Watch turns an informer's events into keys. keys gets the object before (nil when it was added) and
// after (nil when it was deleted); what it answers may be too much, never too little.
func Watch[T any, K comparable](l *Loop[K], informer cache.SharedIndexInformer, keys func(old, obj *T) []K) {
	add := func(list []K) {
		for _, k := range list {
			l.queue.Add(k)
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { add(keys(nil, obj.(*T))) },
		UpdateFunc: func(old, obj any) { add(keys(old.(*T), obj.(*T))) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(*T); ok {
				add(keys(o, nil))
			}
		},
	})
	if err != nil { // only an informer that was already stopped refuses a handler
		l.log.Error(err, "Following an informer failed")
		l.synced = append(l.synced, func() bool { return false })
		return
	}
	l.synced = append(l.synced, registration.HasSynced)
}

// Run works until ctx ends, and returns when the last worker has.
func (l *Loop[K]) Run(ctx context.Context) error {
	defer l.queue.ShutDown()
	if !cache.WaitForNamedCacheSyncWithContext(logr.NewContext(ctx, l.log), l.synced...) {
		return ctx.Err()
	}
	if l.Before != nil {
		if err := l.Before(ctx); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	var working sync.WaitGroup
	for range l.workers {
		working.Go(func() {
			for l.next(ctx) {
			}
		})
	}
	<-ctx.Done()
	l.queue.ShutDown()
	working.Wait()
	return nil
}

func (l *Loop[K]) next(ctx context.Context) bool {
	key, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(key)
	if ctx.Err() != nil {
		return false
	}
	if !l.Fresh(key) {
		l.queue.AddAfter(key, staleRetry)
		return true
	}
	result, err := l.protected(ctx, key)
	switch {
	case err == nil:
		l.queue.Forget(key)
		if result.After > 0 {
			l.queue.AddAfter(key, result.After)
		}
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
	default:
		l.queue.AddRateLimited(key)
		if apierrors.IsConflict(err) { // somebody else wrote first: expected, and mended by the next look
			l.log.V(2).Info("Will try again", "key", key, "reason", err.Error())
		} else {
			l.log.Error(err, "Reconciling failed, will try again", "key", key)
		}
	}
	return true
}

// protected turns a panic of one key into an error: one broken object must not stop the others.
func (l *Loop[K]) protected(ctx context.Context, key K) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", l.name, p, debug.Stack())
		}
	}()
	return l.reconcile(logr.NewContext(ctx, l.log), key)
}

// Group runs several runners as one.
type Group []Runner

// Run starts all and returns when all have ended, with their errors.
func (g Group) Run(ctx context.Context) error {
	errs := make([]error, len(g))
	var running sync.WaitGroup
	for i, r := range g {
		running.Go(func() { errs[i] = r.Run(ctx) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Periodic is a Runner that does the same thing again and again.
type Periodic struct {
	Env   *Env
	Name  string
	Every time.Duration
	Needs []cache.SharedIndexInformer
	Do    func(ctx context.Context) error
}

// Run does it at once and then every so often.
func (p *Periodic) Run(ctx context.Context) error {
	log := p.Env.Log.WithName(p.Name)
	for _, i := range p.Needs {
		if !cache.WaitForCacheSync(ctx.Done(), i.HasSynced) {
			return ctx.Err()
		}
	}
	for {
		if err := p.Do(logr.NewContext(ctx, log)); err != nil && ctx.Err() == nil {
			log.Error(err, "Failed, will try again", "in", p.Every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.Env.Clock.After(p.Every):
		}
	}
}
