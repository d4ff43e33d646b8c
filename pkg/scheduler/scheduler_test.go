package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
	"github.com/sampan-project/sampan/pkg/scheduler/plugins"
)

// world is a cluster of maps: bindings and conditions arrive here.
type world struct {
	mu      sync.Mutex
	bound   map[string]string
	refuse  error
	changed chan struct{}
	events  *events.FakeRecorder
	s       *Scheduler
}

func start(t *testing.T) *world {
	w := &world{bound: map[string]string{}, changed: make(chan struct{}, 1000), events: events.NewFakeRecorder(1000)}
	bind := func(_ context.Context, b *corev1.Binding) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		defer func() { w.changed <- struct{}{} }()
		if w.refuse != nil {
			err := w.refuse
			w.refuse = nil
			return err
		}
		w.bound[b.Name] = b.Target.Name
		return nil
	}
	w.s = New(Options{
		Profiles: []plugins.Profile{plugins.Default(bind)}, InitialBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond,
		Clock: clock.RealClock{}, Rand: rand.New(rand.NewPCG(1, 2)), Log: logr.Discard(),
		Events:  func(string) events.EventRecorder { return w.events },
		Status:  func(context.Context, *corev1.Pod, corev1.PodCondition) error { return nil },
		Metrics: NewMetrics(prometheus.NewRegistry()),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = w.s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

func (w *world) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		w.mu.Lock()
		done := ok()
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("not within 10 s: %s; bound so far: %v", what, w.bound)
		}
	}
}

func machine(name, cpu string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}},
	}
}

func demand(name, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(name), Generation: 1},
		Spec: corev1.PodSpec{SchedulerName: "default-scheduler", Containers: []corev1.Container{{
			Name: "c", Image: "i", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
		}}},
	}
}

func TestPodsAreSpreadAndNoNodeIsOverfilled(t *testing.T) {
	w := start(t)
	for i := range 4 {
		w.s.SetNode(machine(fmt.Sprint("n", i), "2"), nil)
	}
	for i := range 16 {
		w.s.SetPod(demand(fmt.Sprint("p", i), "500m"), nil)
	}
	w.await(t, "16 bindings", func() bool { return len(w.bound) == 16 })
	per := map[string]int{}
	for _, n := range w.bound {
		per[n]++
	}
	for n, count := range per {
		if count != 4 {
			t.Errorf("%s has %d pods, want 4", n, count)
		}
	}
}

func TestPodThatFitsNowhereIsExplainedAndBoundWhenRoomComes(t *testing.T) {
	w := start(t)
	w.s.SetNode(machine("small", "1"), nil)
	w.s.SetPod(demand("p", "1500m"), nil)
	event := <-w.events.Events
	want := "Warning FailedScheduling 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
	if event != want {
		t.Errorf("got  %q\nwant %q", event, want)
	}
	w.s.SetNode(machine("large", "4"), nil)
	w.await(t, "the binding", func() bool { return w.bound["p"] == "large" })
}

func TestFailedBindingIsTakenBackAndTriedAgain(t *testing.T) {
	w := start(t)
	w.refuse = fmt.Errorf("no connection")
	w.s.SetNode(machine("n", "1"), nil)
	w.s.SetPod(demand("p", "1"), nil)
	w.await(t, "the second binding", func() bool { return w.bound["p"] == "n" })
}

func TestDeletedPodMakesRoom(t *testing.T) {
	w := start(t)
	w.s.SetNode(machine("n", "1"), nil)
	running := demand("old", "1")
	running.Spec.NodeName = "n"
	w.s.SetPod(running, nil)
	w.s.SetPod(demand("p", "1"), nil)
	if event := <-w.events.Events; !strings.Contains(event, "No preemption victims found") {
		t.Errorf("got %q", event)
	}
	w.s.RemovePod(running)
	w.await(t, "the binding", func() bool { return w.bound["p"] == "n" })
}

func TestPodsOfOtherSchedulersAreLeftAlone(t *testing.T) {
	w := start(t)
	w.s.SetNode(machine("n", "1"), nil)
	other := demand("other", "100m")
	other.Spec.SchedulerName = "another"
	w.s.SetPod(other, nil)
	w.s.SetPod(demand("mine", "100m"), nil)
	w.await(t, "the binding", func() bool { return w.bound["mine"] != "" })
	if w.bound["other"] != "" {
		t.Error("a pod of another scheduler was bound")
	}
}

func TestSnapshotSharesWhatDidNotChange(t *testing.T) {
	c := newCache()
	c.setNode(machine("a", "1"))
	c.setNode(machine("b", "1"))
	byName := func() map[string]*framework.NodeInfo {
		out := map[string]*framework.NodeInfo{}
		for _, n := range c.snapshot().Nodes {
			out[n.Node.Name] = n
		}
		return out
	}
	before := byName()
	p := demand("p", "100m")
	p.Spec.NodeName = "a"
	c.setPod(p)
	after := byName()
	if before["a"] == after["a"] || len(before["a"].Pods) != 0 || len(after["a"].Pods) != 1 {
		t.Error("the changed node must be a copy")
	}
	if before["b"] != after["b"] {
		t.Error("the other node must be the same value")
	}
	c.removePod(p)
	if got := byName()["a"].Requested; got.MilliCPU != 0 || got.Pods != 0 {
		t.Errorf("left behind: %+v", got)
	}
	p.Spec.NodeName = "c"
	c.setPod(p) // on a node that is not there yet
	c.removeNode("a")
	if got := byName(); len(got) != 1 || got["b"] != after["b"] {
		t.Errorf("once one has gone: %+v", got)
	}
	c.setNode(machine("c", "1"))
	if got := byName(); len(got) != 2 || len(got["c"].Pods) != 1 {
		t.Errorf("once another has come: %+v", got)
	}
}

func BenchmarkCycle(b *testing.B) {
	for _, nodes := range []int{1000, 5000} {
		b.Run(fmt.Sprint(nodes, "nodes"), func(b *testing.B) {
			c := newCache()
			for i := range nodes {
				c.setNode(machine(fmt.Sprint("n", i), "64"))
			}
			cy := &cycle{profile: plugins.Default(nil), rand: rand.New(rand.NewPCG(1, 2))}
			i := 0
			for b.Loop() {
				p := framework.NewPodInfo(demand(fmt.Sprint("p", i), "10m"))
				o := cy.run(context.Background(), p, c.snapshot())
				c.assume(p, o.node)
				i++
			}
		})
	}
}
