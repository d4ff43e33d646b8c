package scheduler

import (
	"container/heap"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// maxUnschedulable is how long a pod waits for an event that could help it before it is tried anyway.
const maxUnschedulable = 5 * time.Minute

// queued is a pod that waits for a node.
type queued struct {
	pod      *corev1.Pod
	added    time.Time // first seen: the order within one priority
	attempts int
	plugins  map[string]bool // that refused it last
	ready    time.Time       // when its back-off ends
	index    int             // in the heap that it is in
	popped   uint64          // events seen when it was taken out
}

// queue orders the pods that wait for a node. A pod is in one of four places: active (to be tried now),
// backing off, parked until an event could help it, or in flight (being tried).
type queue struct {
	clock            clock.WithTicker
	initial, longest time.Duration
	wakes            func(e framework.Event, pod *corev1.Pod, plugins map[string]bool) bool
	gated            func(pod *corev1.Pod) string // the plugin that holds the pod back, "" for none

	mu       sync.Mutex
	active   activeHeap
	backoff  backoffHeap
	parked   map[types.UID]*queued
	inflight map[types.UID]*queued
	all      map[types.UID]*queued
	events   []framework.Event // those since the oldest pod in flight was taken out
	seen     uint64            // number of all events so far
	signal   chan struct{}     // has room for one: something may be active
}

func newQueue(c clock.WithTicker, initial, longest time.Duration) *queue {
	return &queue{
		clock: c, initial: initial, longest: longest,
		parked: map[types.UID]*queued{}, inflight: map[types.UID]*queued{}, all: map[types.UID]*queued{},
		signal: make(chan struct{}, 1),
	}
}

// set adds a pod, or takes over its new state. A pod that was parked is tried again if the change could help.
func (q *queue) set(pod *corev1.Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.all[pod.UID]
	if e == nil {
		e = &queued{pod: pod, added: q.clock.Now(), index: -1}
		q.all[pod.UID] = e
		q.place(e)
		return
	}
	old := e.pod
	e.pod = pod
	if q.parked[pod.UID] != nil && !sameDemand(old, pod) {
		q.wake(e)
	}
}

// sameDemand says that nothing of what scheduling looks at changed.
func sameDemand(a, b *corev1.Pod) bool {
	return a.ResourceVersion == b.ResourceVersion || a.Generation == b.Generation && a.Generation != 0 &&
		len(a.Spec.SchedulingGates) == len(b.Spec.SchedulingGates) && mapsEqual(a.Labels, b.Labels)
}

func mapsEqual(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// remove forgets a pod that was assigned or deleted.
func (q *queue) remove(uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.all[uid]
	if e == nil {
		return
	}
	delete(q.all, uid)
	delete(q.parked, uid)
	q.active.drop(e)
	q.backoff.drop(e)
}

// place puts a pod among the active ones, or parks it where a gate holds it back.
func (q *queue) place(e *queued) {
	if plugin := q.gated(e.pod); plugin != "" {
		e.plugins = map[string]bool{plugin: true}
		q.parked[e.pod.UID] = e
		return
	}
	heap.Push(&q.active, e)
	q.tell()
}

// wake moves a parked pod on: to the active ones, or to the backing-off ones until its time has come.
func (q *queue) wake(e *queued) {
	delete(q.parked, e.pod.UID)
	if e.attempts > 0 && q.clock.Now().Before(e.ready) {
		heap.Push(&q.backoff, e)
		q.tell()
		return
	}
	q.place(e)
}

func (q *queue) tell() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// happened wakes the parked pods that an event could help.
func (q *queue) happened(e framework.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.seen++
	if len(q.inflight) > 0 {
		q.events = append(q.events, e)
	}
	for _, p := range q.parked {
		if q.wakes(e, p.pod, p.plugins) {
			q.wake(p)
		}
	}
}

// pop takes out the pod to try next: highest priority first, then the one that has waited longest. It
// waits for one until ctx ends, and then answers nil.
func (q *queue) pop(ctx context.Context) *queued {
	for {
		e, wait := q.take()
		if e != nil {
			return e
		}
		timer := q.clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-q.signal:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// take answers the next pod, or how long at most to wait for one.
func (q *queue) take() (*queued, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for len(q.backoff) > 0 && !now.Before(q.backoff[0].ready) {
		e := heap.Pop(&q.backoff).(*queued)
		q.place(e)
	}
	if len(q.active) > 0 {
		e := heap.Pop(&q.active).(*queued)
		e.attempts++
		e.popped = q.seen
		q.inflight[e.pod.UID] = e
		return e, 0
	}
	wait := maxUnschedulable
	for _, p := range q.parked {
		since := now.Sub(p.ready)
		if since >= maxUnschedulable && q.gated(p.pod) == "" {
			q.wake(p)
			q.tell()
		}
	}
	if len(q.backoff) > 0 {
		wait = min(wait, q.backoff[0].ready.Sub(now))
	}
	return nil, wait
}

// done ends a try. failed parks the pod until an event could help the plugins that refused it (none:
// something went wrong and the pod is tried again after its back-off); events that came during the try
// count.
func (q *queue) done(e *queued, failed bool, plugins map[string]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.inflight, e.pod.UID)
	missed := q.missed(e)
	if len(q.inflight) == 0 {
		q.events = nil
	}
	if !failed || q.all[e.pod.UID] != e {
		return
	}
	e.plugins = plugins
	e.ready = q.clock.Now().Add(q.delay(e.attempts))
	again := len(plugins) == 0
	for _, event := range missed {
		again = again || q.wakes(event, e.pod, plugins)
	}
	q.parked[e.pod.UID] = e
	if again {
		q.wake(e)
	}
}

// missed are the events since a pod in flight was taken out.
func (q *queue) missed(e *queued) []framework.Event {
	n := min(q.seen-e.popped, uint64(len(q.events)))
	return q.events[uint64(len(q.events))-n:]
}

// delay doubles with each attempt from the first to the longest back-off.
func (q *queue) delay(attempts int) time.Duration {
	d := q.initial
	for i := 1; i < attempts && d < q.longest; i++ {
		d *= 2
	}
	return min(d, q.longest)
}

// depths counts the pods in each place, for metrics.
func (q *queue) depths() (active, backoff, parked int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.active), len(q.backoff), len(q.parked)
}

type activeHeap []*queued

func (h activeHeap) Len() int { return len(h) }
func (h activeHeap) Less(i, j int) bool {
	a, b := corev1helpers.PodPriority(h[i].pod), corev1helpers.PodPriority(h[j].pod)
	return a > b || a == b && h[i].added.Before(h[j].added)
}
func (h activeHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *activeHeap) Push(x any)   { e := x.(*queued); e.index = len(*h); *h = append(*h, e) }
func (h *activeHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	e.index = -1
	return e
}
func (h *activeHeap) drop(e *queued) {
	if e.index >= 0 && e.index < len(*h) && (*h)[e.index] == e {
		heap.Remove(h, e.index)
	}
}

type backoffHeap []*queued

func (h backoffHeap) Len() int           { return len(h) }
func (h backoffHeap) Less(i, j int) bool { return h[i].ready.Before(h[j].ready) }
func (h backoffHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *backoffHeap) Push(x any)        { e := x.(*queued); e.index = len(*h); *h = append(*h, e) }
func (h *backoffHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	e.index = -1
	return e
}
func (h *backoffHeap) drop(e *queued) {
	if e.index >= 0 && e.index < len(*h) && (*h)[e.index] == e {
		heap.Remove(h, e.index)
	}
}
