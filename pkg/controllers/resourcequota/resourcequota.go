// Package resourcequota counts what the objects of a namespace use of its quotas. Admission charges every write
// as it comes; what is given back, and what was charged for a write that then failed, only counting anew shows.
package resourcequota

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/quota"
)

const (
	// calm is how long nothing must have been charged before a quota's use is lowered: the caches may not show yet
	// what was charged for.
	calm = time.Second
	// recount is how long after a charge a quota is counted: the write that it was charged for may have failed.
	recount = 10 * time.Second
	// soon is when a quota is looked at again of which something could not be counted yet.
	soon = 500 * time.Millisecond
)

type reconciler struct {
	*controller.Loop[controller.Key]
	env     *controller.Env
	client  kubernetes.Interface
	quotas  corelisters.ResourceQuotaLister
	store   cache.Store
	objects *objects
	period  time.Duration

	mu      sync.Mutex
	charged map[controller.Key]time.Time // when a quota's use was last seen to rise
}

// New makes the controller. Every quota is counted anew at least once in a period.
func New(env *controller.Env, workers int, period time.Duration) (controller.Runner, error) {
	core := env.Informers.Core().V1()
	r := &reconciler{
		env: env, client: env.Client, quotas: core.ResourceQuotas().Lister(), store: core.ResourceQuotas().Informer().GetStore(),
		period: period, charged: map[controller.Key]time.Time{},
	}
	r.objects = newObjects(env, r.freed)
	r.Loop = controller.New(env, "resourcequota", workers, r.reconcile)
	controller.Watch(r.Loop, core.ResourceQuotas().Informer(), r.quotaChanged)
	controller.Watch(r.Loop, core.Pods().Informer(), func(old, pod *corev1.Pod) []controller.Key {
		if old == nil || pod != nil && !r.podFreed(old, pod) {
			return nil
		}
		return r.under(old.Namespace, quota.For(schema.GroupResource{Resource: "pods"}))
	})
	controller.Watch(r.Loop, core.Services().Informer(), func(old, s *corev1.Service) []controller.Key {
		counter := quota.For(schema.GroupResource{Resource: "services"})
		if old == nil || s != nil && quota.Equal(counter.Use(old, time.Time{}), counter.Use(s, time.Time{})) {
			return nil
		}
		return r.under(old.Namespace, counter)
	})
	controller.Watch(r.Loop, core.PersistentVolumeClaims().Informer(), func(old, c *corev1.PersistentVolumeClaim) []controller.Key {
		if old == nil || c != nil && !quota.ClaimUseMayChange(c, old) {
			return nil
		}
		return r.under(old.Namespace, quota.For(schema.GroupResource{Resource: "persistentvolumeclaims"}))
	})
	return controller.Group{r.Loop, r.objects}, nil
}

// quotaChanged looks at quotas that are new or limit otherwise than before, and remembers when they were charged.
func (r *reconciler) quotaChanged(old, q *corev1.ResourceQuota) []controller.Key {
	if q == nil {
		return []controller.Key{controller.KeyOf(old)}
	}
	if old == nil {
		return []controller.Key{controller.KeyOf(q)}
	}
	if len(quota.WithoutZeros(quota.Growth(q.Status.Used, old.Status.Used))) > 0 {
		r.mu.Lock()
		r.charged[controller.KeyOf(q)] = r.env.Clock.Now()
		r.mu.Unlock()
		r.AddAfter(controller.KeyOf(q), recount)
	}
	if equality.Semantic.DeepEqual(old.Spec, q.Spec) {
		return nil
	}
	return []controller.Key{controller.KeyOf(q)}
}

// podFreed says whether a pod holds less than before, or is held by other scopes. Of one that is on its way out
// it remembers when it counts as gone.
func (r *reconciler) podFreed(old, pod *corev1.Pod) bool {
	now := r.env.Clock.Now()
	counter := quota.For(schema.GroupResource{Resource: "pods"})
	if pod.DeletionTimestamp != nil && old.DeletionTimestamp == nil && pod.DeletionGracePeriodSeconds != nil {
		until := pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds)*time.Second + time.Second).Sub(now)
		for _, key := range r.under(pod.Namespace, counter) {
			r.AddAfter(key, until)
		}
	}
	return !quota.Equal(counter.Use(old, now), counter.Use(pod, now)) ||
		(old.Spec.ActiveDeadlineSeconds == nil) != (pod.Spec.ActiveDeadlineSeconds == nil)
}

// under are the quotas of a namespace that limit what a counter counts.
func (r *reconciler) under(namespace string, counter quota.Counter) []controller.Key {
	list, err := r.quotas.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []controller.Key
	for _, q := range list {
		if len(counter.Names(q.Spec.Hard)) > 0 {
			keys = append(keys, controller.KeyOf(q))
		}
	}
	return keys
}

// freed is told that an object of a resource is gone, or has changed in a way that may matter.
func (r *reconciler) freed(resource schema.GroupResource, namespace string) {
	for _, key := range r.under(namespace, quota.For(resource)) {
		r.Add(key)
	}
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key) (controller.Result, error) {
	cached, err := r.quotas.ResourceQuotas(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		r.forget(key)
		return controller.Result{}, nil
	} else if err != nil {
		return controller.Result{}, fmt.Errorf("reading quota %s: %w", key, err)
	}
	counted, later, failed := r.count(ctx, cached)
	hard := quota.Add(nil, cached.Spec.Hard)
	used := quota.Only(quota.Add(cached.Status.Used, nil), quota.Names(hard))
	quiet := r.quietIn(key)
	lowered := false
	for name, q := range counted {
		if was, known := used[name]; known && q.Cmp(was) < 0 && quiet > 0 {
			lowered = true
			continue
		}
		used[name] = q
	}
	after := r.period + rand.N(r.period/10+1)
	if lowered {
		after = quiet
	}
	if later > 0 {
		after = min(after, later)
	}
	if cached.Status.Used != nil && quota.Equal(cached.Status.Hard, hard) && quota.Equal(cached.Status.Used, used) {
		return controller.Result{After: after}, failed
	}
	next := cached.DeepCopy()
	next.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	written, err := r.client.CoreV1().ResourceQuotas(key.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return controller.Result{}, nil
	}
	if err != nil {
		return controller.Result{}, errors.Join(failed, fmt.Errorf("writing the use of quota %s: %w", key, err))
	}
	r.Wrote(key, r.store, written)
	return controller.Result{After: after}, failed
}

// count sums what is used of all that a quota limits. What could not be counted is left out; later says when it
// may be possible.
func (r *reconciler) count(ctx context.Context, q *corev1.ResourceQuota) (sum corev1.ResourceList, later time.Duration, err error) {
	var errs []error
	postpone := func(err error) {
		switch {
		case errors.Is(err, errNotYet):
			later = soon
		case errors.Is(err, errUnknown):
			later = rediscover
		case err != nil:
			errs = append(errs, fmt.Errorf("counting for quota %s/%s: %w", q.Namespace, q.Name, err))
		}
	}
	known, err := r.objects.known(q.Spec.Hard)
	postpone(err)
	for _, counter := range quota.Counting(q.Spec.Hard, known) {
		list, err := r.objects.list(ctx, counter.Resource, q.Namespace)
		if err != nil {
			postpone(err)
			continue
		}
		part, err := counter.Sum(&q.Spec, list, r.env.Clock.Now())
		postpone(err)
		sum = quota.Add(sum, part)
	}
	return sum, later, errors.Join(errs...)
}

// quietIn is how long a quota must still be left alone until its use may be lowered.
func (r *reconciler) quietIn(key controller.Key) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, charged := r.charged[key]
	if !charged {
		return 0
	}
	left := last.Add(calm).Sub(r.env.Clock.Now())
	if left <= 0 {
		delete(r.charged, key)
	}
	return max(left, 0)
}

// forget lets go what only a quota that is gone was followed for.
func (r *reconciler) forget(key controller.Key) {
	r.mu.Lock()
	delete(r.charged, key)
	r.mu.Unlock()
	all, err := r.quotas.List(labels.Everything())
	if err != nil {
		return
	}
	r.objects.keep(func(resource schema.GroupResource) bool {
		counter := quota.For(resource)
		for _, q := range all {
			if len(counter.Names(q.Spec.Hard)) > 0 {
				return true
			}
		}
		return false
	})
}
