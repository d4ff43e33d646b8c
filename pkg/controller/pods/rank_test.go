package pods

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

var now = time.Unix(1e6, 0)

type option func(*corev1.Pod)

func pod(name string, options ...option) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       corev1.PodSpec{NodeName: "n-" + name},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning},
	}
	ready(time.Hour)(p)
	for _, o := range options {
		o(p)
	}
	return p
}

func ready(since time.Duration) option {
	return func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-since))}}
	}
}

func TestDeletionOrder(t *testing.T) {
	list := []*corev1.Pod{
		pod("steady"),
		pod("restarted", func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}} }),
		pod("fresh", ready(time.Minute)),
		pod("crowded-1", func(p *corev1.Pod) { p.Spec.NodeName = "crowded" }),
		pod("cheap", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "-5"} }),
		pod("dear", func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "5"} }),
		pod("not-ready", func(p *corev1.Pod) { p.Status.Conditions = nil }),
		pod("pending", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }),
		pod("unscheduled", func(p *corev1.Pod) { p.Spec.NodeName = "" }),
	}
	beside := append([]*corev1.Pod{pod("crowded-2", func(p *corev1.Pod) { p.Spec.NodeName = "crowded" })}, list...)
	DeletionOrder(list, beside, now)
	var got []string
	for _, p := range list {
		got = append(got, p.Name)
	}
	want := []string{"unscheduled", "pending", "not-ready", "cheap", "crowded-1", "fresh", "restarted", "steady", "dear"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSlowStartDoublesAndStops(t *testing.T) {
	asked := make(chan int, 100)
	done, err := SlowStart(20, func(i int) error {
		asked <- i
		if i >= 3 {
			return cmpError("refused")
		}
		return nil
	})
	if done != 3 || err == nil || len(asked) != 7 {
		t.Errorf("%d done, %d asked, error %v: want 3 of 1+2+4 asked", done, len(asked), err)
	}
}

type cmpError string

func (e cmpError) Error() string { return string(e) }

func TestAvailableAfterMinReadySeconds(t *testing.T) {
	p := pod("p", ready(9*time.Second))
	if Available(p, 10, now) || AvailableIn(p, 10, now) != time.Second {
		t.Errorf("after 9 of 10 seconds: available %v, in %v", Available(p, 10, now), AvailableIn(p, 10, now))
	}
	if !Available(p, 9, now) {
		t.Error("not available after 9 of 9 seconds")
	}
}
