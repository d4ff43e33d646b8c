package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/quota"
)

const (
	// ledgerTries is how often charges are settled anew when others have written the quotas meanwhile.
	ledgerTries = 4
	// ledgerTime is how long a write waits for its charge.
	ledgerTime = 10 * time.Second
)

// ledger charges quotas. One namespace's charges are settled by one goroutine, all that wait at once: a quota
// is written once for many writes, and no two of them see the same remainder. Other apiservers' charges are
// noticed when the quota is written, and then settled anew.
type ledger struct {
	access  resource.Access
	limited []limitedResource
	now     func() time.Time

	mu      sync.Mutex
	waiting map[string][]*charge // a namespace that is being settled has an entry, be it empty
}

// charge is one write that waits for its charge.
type charge struct {
	ctx     context.Context
	a       *admission.Attributes
	counter quota.Counter
	settled chan error
}

// charge answers when the write has been charged, or why not.
func (l *ledger) charge(ctx context.Context, a *admission.Attributes, counter quota.Counter) error {
	c := &charge{ctx: ctx, a: a, counter: counter, settled: make(chan error, 1)}
	l.mu.Lock()
	_, busy := l.waiting[a.Namespace]
	l.waiting[a.Namespace] = append(l.waiting[a.Namespace], c)
	l.mu.Unlock()
	if !busy {
		go l.work(context.WithoutCancel(ctx), a.Namespace)
	}
	timer := time.NewTimer(ledgerTime)
	defer timer.Stop()
	select {
	case err := <-c.settled:
		return err
	case <-ctx.Done():
		return apierrors.NewTimeoutError(fmt.Sprintf("the request ended before its quota was settled: %v", ctx.Err()), 0)
	case <-timer.C:
		return apierrors.NewInternalError(errors.New("resource quota evaluation timed out"))
	}
}

// work settles a namespace's charges until none waits.
func (l *ledger) work(ctx context.Context, namespace string) {
	for {
		l.mu.Lock()
		batch := l.waiting[namespace]
		if len(batch) == 0 {
			delete(l.waiting, namespace)
			l.mu.Unlock()
			return
		}
		l.waiting[namespace] = nil
		l.mu.Unlock()
		l.settle(ctx, namespace, batch)
	}
}

func (l *ledger) settle(ctx context.Context, namespace string, batch []*charge) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTime)
	defer cancel()
	all, err := list[*corev1.ResourceQuota](ctx, l.access, quotas, namespace)
	if err != nil {
		answer(batch, err)
		return
	}
	limited := l.limited
	for try := 1; len(batch) > 0; try++ {
		running, charged := l.reserve(all, limited, batch)
		missed, err := l.write(ctx, all, running)
		if err == nil || try == ledgerTries {
			answer(charged, err)
			return
		}
		if all, err = l.live(ctx, namespace, missed); err != nil {
			answer(charged, err)
			return
		}
		batch, limited = charged, nil // all quotas were looked at for what they cover, these are some of them
	}
}

// reserve charges one write after the other to copies of the quotas. Those that are refused, or that change
// nothing, have their answer; the others are charged once the copies are written.
func (l *ledger) reserve(all []*corev1.ResourceQuota, limited []limitedResource,
	batch []*charge) (running []*corev1.ResourceQuota, charged []*charge) {
	for _, q := range all {
		running = append(running, q.DeepCopy())
	}
	for _, c := range batch {
		if c.ctx.Err() != nil {
			continue // nobody waits for it
		}
		more, err := bill(running, limited, c.a, c.counter, l.now())
		for _, q := range running {
			if m, under := more[q.Name]; under && err == nil {
				err = fits(q, m, c.a)
			}
		}
		if err != nil || len(more) == 0 || c.a.DryRun {
			c.settled <- err
			continue
		}
		for _, q := range running {
			q.Status.Used = quota.Add(q.Status.Used, more[q.Name])
		}
		charged = append(charged, c)
	}
	return running, charged
}

// write stores what was reserved, and answers the quotas that others have charged meanwhile.
func (l *ledger) write(ctx context.Context, before, after []*corev1.ResourceQuota) (missed []string, last error) {
	for i, q := range after {
		if quota.Equal(q.Status.Used, before[i].Status.Used) {
			continue
		}
		_, err := l.access.Update(ctx, quotas, "status", q.Namespace, q.Name, func(obj resource.Object) error {
			now, is := obj.(*corev1.ResourceQuota)
			if !is || now.UID != q.UID || !quota.Equal(now.Status.Used, before[i].Status.Used) || !quota.Equal(now.Status.Hard, q.Status.Hard) {
				return apierrors.NewConflict(quotas, q.Name,
					errors.New("the object has been modified; please apply your changes to the latest version and try again"))
			}
			now.Status.Used = q.Status.Used
			return nil
		})
		if err != nil {
			missed, last = append(missed, q.Name), err
		}
	}
	return missed, last
}

// live reads quotas from etcd. One that is gone limits nothing any more.
func (l *ledger) live(ctx context.Context, namespace string, names []string) ([]*corev1.ResourceQuota, error) {
	var out []*corev1.ResourceQuota
	for _, name := range names {
		obj, err := l.access.GetLive(ctx, quotas, namespace, name)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if q, is := obj.(*corev1.ResourceQuota); is {
			out = append(out, q)
		}
	}
	return out, nil
}

func answer(batch []*charge, err error) {
	for _, c := range batch {
		c.settled <- err
	}
}
