package probe

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// world is a container whose commands answer what the test wants, and a record of what became known.
type world struct {
	mu      sync.Mutex
	code    map[string]int // by command
	ran     map[string]int
	events  []string
	changes int
}

func (w *world) exec(_ context.Context, _ string, cmd []string, _ time.Duration) ([]byte, int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ran[cmd[0]]++
	return []byte("output of " + cmd[0]), w.code[cmd[0]], nil
}

func (w *world) set(cmd string, code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.code[cmd] = code
}

func (w *world) count(cmd string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ran[cmd]
}

func newWorld() (*world, *Manager) {
	w := &world{code: map[string]int{}, ran: map[string]int{}}
	m := New(Config{Exec: w.exec, Clock: clock.RealClock{}, Log: logr.Discard(), Jitter: func() float64 { return 0 },
		Changed: func(types.UID) { w.mu.Lock(); w.changes++; w.mu.Unlock() },
		Event: func(_ *corev1.Pod, container, eventType, reason, message string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, fmt.Sprintf("%s %s %s %s", container, eventType, reason, message))
		}})
	return w, m
}

func command(name string, change func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{name}}}}
	if change != nil {
		change(p)
	}
	return p
}

func pod(c corev1.Container) *corev1.Pod {
	c.Name = "app"
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
}

// after lets time pass and the workers do what they do.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, m *Manager, id string, k Kind, want Result) {
	t.Helper()
	if got, has := m.Result(id, k); !has || got != want {
		t.Errorf("%s of %s: got %v (known: %v), want %v", k, id, got, has, want)
	}
}

func TestReadinessFollowsItsThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld()
		p := pod(corev1.Container{ReadinessProbe: command("ready", func(p *corev1.Probe) { p.SuccessThreshold = 2; p.InitialDelaySeconds = 15 })})
		m.Sync(p, "10.0.0.1", map[string]Running{"app": {ID: "c1", StartedAt: time.Now()}})
		defer m.Remove(p.UID)
		expect(t, m, "c1", Readiness, Failure)
		after(14 * time.Second)
		if n := w.count("ready"); n != 0 {
			t.Errorf("probed %d times before the initial delay was over", n)
		}
		after(7 * time.Second)
		expect(t, m, "c1", Readiness, Failure)
		after(10 * time.Second)
		expect(t, m, "c1", Readiness, Success)
		w.set("ready", 1)
		after(20 * time.Second)
		expect(t, m, "c1", Readiness, Success)
		after(10 * time.Second)
		expect(t, m, "c1", Readiness, Failure)
		if want := "app Warning Unhealthy Readiness probe failed: output of ready"; len(w.events) != 3 || w.events[0] != want {
			t.Errorf("events %q, want three times %q", w.events, want)
		}
		if w.changes != 2 {
			t.Errorf("%d changes were told, want 2", w.changes)
		}
	})
}

func TestStartupProbeGatesTheOthersAndThenWakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld()
		w.set("start", 1)
		p := pod(corev1.Container{
			StartupProbe:   command("start", func(p *corev1.Probe) { p.FailureThreshold = 30; p.PeriodSeconds = 1 }),
			ReadinessProbe: command("ready", func(p *corev1.Probe) { p.PeriodSeconds = 60 }),
			LivenessProbe:  command("live", nil),
		})
		m.Sync(p, "", map[string]Running{"app": {ID: "c1", StartedAt: time.Now()}})
		defer m.Remove(p.UID)
		after(10 * time.Second)
		expect(t, m, "c1", Startup, Unknown)
		if w.count("ready")+w.count("live") != 0 {
			t.Error("other probes ran before the container had started")
		}
		w.set("start", 0)
		after(time.Second + time.Millisecond)
		expect(t, m, "c1", Startup, Success)
		expect(t, m, "c1", Readiness, Success)
		n := w.count("start")
		after(time.Minute)
		if w.count("start") != n {
			t.Error("the startup probe goes on after it succeeded")
		}
	})
}

func TestFailedLivenessIsToldOnceAndForgottenWithTheContainer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld()
		w.set("live", 1)
		p := pod(corev1.Container{LivenessProbe: command("live", nil)})
		m.Sync(p, "", map[string]Running{"app": {ID: "c1", StartedAt: time.Now()}})
		expect(t, m, "c1", Liveness, Success)
		after(25 * time.Second)
		expect(t, m, "c1", Liveness, Failure)
		n := w.count("live")
		after(time.Minute)
		if w.count("live") != n {
			t.Error("a container that is about to be restarted is probed")
		}
		m.Sync(p, "", map[string]Running{"app": {ID: "c2", StartedAt: time.Now()}})
		expect(t, m, "c2", Liveness, Success)
		if _, has := m.Result("c1", Liveness); has {
			t.Error("the old container's result is still there")
		}
		m.Remove(p.UID)
		synctest.Wait()
		if diff := cmp.Diff(map[string]map[Kind]Result{}, m.results); diff != "" {
			t.Errorf("results of removed pods (-want +got):\n%s", diff)
		}
	})
}

func TestAPodThatEndsIsNotFoundDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld()
		w.set("live", 1)
		p := pod(corev1.Container{LivenessProbe: command("live", nil), ReadinessProbe: command("ready", nil)})
		running := map[string]Running{"app": {ID: "c1", StartedAt: time.Now(), Ready: true}}
		m.Sync(p, "", running)
		expect(t, m, "c1", Readiness, Success)
		after(11 * time.Second)
		p = p.DeepCopy()
		p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		m.Sync(p, "", running)
		w.set("ready", 1)
		after(time.Minute)
		expect(t, m, "c1", Liveness, Success)
		expect(t, m, "c1", Readiness, Failure)
		m.Remove(p.UID)
	})
}
