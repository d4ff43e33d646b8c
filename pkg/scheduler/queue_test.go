package scheduler

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

func testQueue(c *clocktesting.FakeClock) *queue {
	q := newQueue(c, time.Second, 10*time.Second)
	q.gated = func(p *corev1.Pod) string {
		if len(p.Spec.SchedulingGates) > 0 {
			return "SchedulingGates"
		}
		return ""
	}
	q.wakes = func(e framework.Event, _ *corev1.Pod, plugins map[string]bool) bool {
		return e.Kind == framework.PodGone && plugins["Fit"]
	}
	return q
}

func waiting(name string, priority int32) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Generation: 1, ResourceVersion: name}, Spec: corev1.PodSpec{Priority: &priority}}
}

func next(t *testing.T, q *queue) *queued {
	t.Helper()
	e, _ := q.take()
	if e == nil {
		t.Fatal("nothing is active")
	}
	return e
}

func nothing(t *testing.T, q *queue) {
	t.Helper()
	if e, _ := q.take(); e != nil {
		t.Fatalf("%s is active", e.pod.Name)
	}
}

func TestQueueTakesHighPriorityFirstThenTheOldest(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	q := testQueue(clock)
	for _, p := range []*corev1.Pod{waiting("low", 0), waiting("first", 5), waiting("second", 5)} {
		q.set(p)
		clock.Step(time.Millisecond)
	}
	for _, want := range []string{"first", "second", "low"} {
		if got := next(t, q).pod.Name; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRefusedPodWaitsForAnEventThatHelpsAndItsBackOff(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	q := testQueue(clock)
	q.set(waiting("p", 0))
	q.done(next(t, q), true, map[string]bool{"Fit": true})
	nothing(t, q)
	q.happened(framework.Event{Kind: framework.NodeChanged})
	clock.Step(time.Minute)
	nothing(t, q)
	q.happened(framework.Event{Kind: framework.PodGone})
	next(t, q)
}

func TestEventDuringATryCounts(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	q := testQueue(clock)
	q.set(waiting("p", 0))
	e := next(t, q)
	q.happened(framework.Event{Kind: framework.PodGone})
	q.done(e, true, map[string]bool{"Fit": true})
	nothing(t, q) // its back-off lasts a second
	clock.Step(time.Second)
	next(t, q)
}

func TestBackOffDoublesUpToItsBound(t *testing.T) {
	q := testQueue(clocktesting.NewFakeClock(time.Now()))
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 50: 10 * time.Second} {
		if got := q.delay(attempts); got != want {
			t.Errorf("after %d attempts: %v, want %v", attempts, got, want)
		}
	}
}

func TestGatedPodIsTriedWhenItsLastGateGoes(t *testing.T) {
	q := testQueue(clocktesting.NewFakeClock(time.Now()))
	p := waiting("p", 0)
	p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
	q.set(p)
	nothing(t, q)
	free := p.DeepCopy()
	free.Spec.SchedulingGates, free.ResourceVersion = nil, "2"
	q.set(free)
	next(t, q)
}

func TestStatusUpdateDoesNotWakeAPod(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	q := testQueue(clock)
	p := waiting("p", 0)
	q.set(p)
	q.done(next(t, q), true, map[string]bool{"Fit": true})
	clock.Step(time.Minute)
	again := p.DeepCopy()
	again.ResourceVersion = "2"
	q.set(again)
	nothing(t, q)
}

func TestRemovedPodIsNotTried(t *testing.T) {
	q := testQueue(clocktesting.NewFakeClock(time.Now()))
	q.set(waiting("p", 0))
	q.remove("p")
	nothing(t, q)
}

func TestPopWaitsForAPod(t *testing.T) {
	q := testQueue(clocktesting.NewFakeClock(time.Now()))
	got := make(chan *queued)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { got <- q.pop(ctx) }()
	q.set(waiting("p", 0))
	if e := <-got; e.pod.Name != "p" {
		t.Fatalf("got %v", e)
	}
	go func() { got <- q.pop(ctx) }()
	cancel()
	if e := <-got; e != nil {
		t.Fatalf("got %v after the end", e)
	}
}

func TestPodIsTriedAfterFiveMinutesWithoutAnEvent(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	q := testQueue(clock)
	q.set(waiting("p", 0))
	q.done(next(t, q), true, map[string]bool{"Fit": true})
	clock.Step(time.Second + maxUnschedulable - time.Millisecond)
	nothing(t, q)
	clock.Step(time.Millisecond)
	q.take() // the visit that finds it overdue
	next(t, q)
}
