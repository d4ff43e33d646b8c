package deployment

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
)

func deployment(replicas int32, surge, unavailable string) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	s, u := intstr.Parse(surge), intstr.Parse(unavailable)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "d", Generation: 1, ResourceVersion: "1"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, ProgressDeadlineSeconds: ptr.To[int32](600), RevisionHistoryLimit: ptr.To[int32](10),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: &u}},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "web:1"}}}},
		},
	}
}

func set(name string, replicas, available int32, age int) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0)), Annotations: map[string]string{}},
		Spec:       appsv1.ReplicaSetSpec{Replicas: &replicas},
		Status:     appsv1.ReplicaSetStatus{Replicas: replicas, AvailableReplicas: available},
	}
}

func TestFencesRoundSurgeUpAndUnavailableDown(t *testing.T) {
	for _, c := range []struct {
		replicas           int32
		surge, unavailable string
		wantS, wantU       int32
	}{
		{10, "25%", "25%", 3, 2},
		{3, "25%", "25%", 1, 0},
		{1, "0", "0", 0, 1},
		{3, "0%", "10%", 0, 1},
		{0, "25%", "25%", 0, 1},
	} {
		s, u := fences(deployment(c.replicas, c.surge, c.unavailable))
		if s != c.wantS || u != c.wantU {
			t.Errorf("%d replicas, %s, %s: got %d, %d, want %d, %d", c.replicas, c.surge, c.unavailable, s, u, c.wantS, c.wantU)
		}
	}
}

func TestNewSetGrowsAsFarAsSurgePermits(t *testing.T) {
	for _, c := range []struct{ old, current, want int32 }{{10, 0, 3}, {8, 3, 5}, {0, 8, 10}, {10, 3, 3}} {
		all := []*appsv1.ReplicaSet{set("old", c.old, c.old, 2), set("new", c.current, c.current, 1)}
		if got := newSize(deployment(10, "3", "2"), all, c.current); got != c.want {
			t.Errorf("old %d, new %d: grew to %d, want %d", c.old, c.current, got, c.want)
		}
	}
}

func TestOldSetsShrinkWithoutEndangeringAvailability(t *testing.T) {
	for _, c := range []struct {
		name                       string
		old, oldAvail, nu, nuAvail int32
		want                       sizes
	}{
		{"all are available: maxUnavailable go", 10, 10, 3, 0, sizes{"old": 8}},
		{"new ones are available: as many old ones go", 8, 8, 5, 5, sizes{"old": 3}},
		{"nothing to spare", 8, 8, 5, 0, nil},
		{"broken old ones go first and cost nothing", 10, 4, 3, 3, sizes{"old": 5}},
	} {
		old, nu := set("old", c.old, c.oldAvail, 2), set("new", c.nu, c.nuAvail, 1)
		got := shrinkOld(deployment(10, "3", "2"), nu, []*appsv1.ReplicaSet{old, nu}, []*appsv1.ReplicaSet{old})
		if len(got) == 0 {
			got = nil
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}

func TestRescaleSpreadsProportionally(t *testing.T) {
	d := deployment(20, "0", "2")
	a, b := set("a", 7, 7, 2), set("b", 3, 3, 1)
	for _, s := range []*appsv1.ReplicaSet{a, b} {
		s.Annotations[maxAnnotation] = "10"
	}
	if diff := cmp.Diff(sizes{"a": 14, "b": 6}, rescale(d, b, []*appsv1.ReplicaSet{a})); diff != "" {
		t.Errorf("to twice the size: %s", diff)
	}
	d.Spec.Replicas = ptr.To[int32](5)
	got := rescale(d, b, []*appsv1.ReplicaSet{a})
	if got["a"]+got["b"] != 5 {
		t.Errorf("to half the size: %v do not add up to 5", got)
	}
	d.Spec.Replicas = ptr.To[int32](0)
	if diff := cmp.Diff(sizes{"a": 0, "b": 0}, rescale(d, b, []*appsv1.ReplicaSet{a})); diff != "" {
		t.Errorf("to nothing: %s", diff)
	}
}

func TestTemplateHashIsStableAndKnowsCollisions(t *testing.T) {
	d := deployment(1, "1", "0")
	first := templateHash(&d.Spec.Template, nil)
	if again := templateHash(d.Spec.Template.DeepCopy(), nil); again != first {
		t.Errorf("the same template has the hashes %s and %s", first, again)
	}
	if templateHash(&d.Spec.Template, ptr.To[int32](1)) == first {
		t.Error("a collision does not change the hash")
	}
}

func TestProgressRunsOutAfterTheDeadline(t *testing.T) {
	d := deployment(2, "1", "0")
	now := time.Unix(10000, 0)
	d.Status.Conditions = []appsv1.DeploymentCondition{newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonUpdated, "", now)}
	s := set("new", 2, 0, 1)
	status := rollout(d, []*appsv1.ReplicaSet{s}, s, now.Add(599*time.Second))
	d.Status.UpdatedReplicas, d.Status.Replicas = 2, 2
	if c := condition(&status, appsv1.DeploymentProgressing); c.Status != corev1.ConditionTrue {
		t.Errorf("before the deadline: %v", c)
	}
	status = rollout(d, []*appsv1.ReplicaSet{s}, s, now.Add(601*time.Second))
	c := condition(&status, appsv1.DeploymentProgressing)
	if c.Status != corev1.ConditionFalse || c.Reason != "ProgressDeadlineExceeded" || c.Message != `ReplicaSet "new" has timed out progressing.` {
		t.Errorf("after the deadline: %v", c)
	}
}

// play lets the sets' pods become available at once, except where image says bad.
func play(w *controllertest.World) {
	for range 30 {
		list, err := w.Client.AppsV1().ReplicaSets("shop").List(w.Ctx, metav1.ListOptions{})
		if err != nil {
			w.T.Fatal(err)
		}
		changed := false
		for _, s := range list.Items {
			avail := *s.Spec.Replicas
			if s.Spec.Template.Spec.Containers[0].Image == "bad" {
				avail = 0
			}
			if s.Status.Replicas != *s.Spec.Replicas || s.Status.AvailableReplicas != avail {
				s.Status.Replicas, s.Status.ReadyReplicas, s.Status.AvailableReplicas = *s.Spec.Replicas, avail, avail
				if _, err := w.Client.AppsV1().ReplicaSets("shop").UpdateStatus(w.Ctx, &s, metav1.UpdateOptions{}); err != nil {
					w.T.Fatal(err)
				}
				changed = true
			}
		}
		w.Settle()
		if !changed {
			return
		}
	}
	w.T.Error("the rollout does not come to rest")
}

func sizesByImage(w *controllertest.World) map[string]int32 {
	list, err := w.Client.AppsV1().ReplicaSets("shop").List(w.Ctx, metav1.ListOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	got := map[string]int32{}
	for _, s := range list.Items {
		got[s.Spec.Template.Spec.Containers[0].Image] += *s.Spec.Replicas
	}
	return got
}

func get(w *controllertest.World) *appsv1.Deployment {
	d, err := w.Client.AppsV1().Deployments("shop").Get(w.Ctx, "web", metav1.GetOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	return d
}

func update(w *controllertest.World, change func(d *appsv1.Deployment)) {
	d := get(w)
	change(d)
	d.Generation++
	if _, err := w.Client.AppsV1().Deployments("shop").Update(w.Ctx, d, metav1.UpdateOptions{}); err != nil {
		w.T.Fatal(err)
	}
	w.Settle()
	play(w)
}

func start(env *controller.Env) (controller.Runner, error) { return New(env, 1) }

func TestRollingUpdateReplacesAndUndoGoesBack(t *testing.T) {
	controllertest.Run(t, []runtime.Object{deployment(4, "25%", "25%")}, start, func(w *controllertest.World) {
		play(w)
		if d := get(w); d.Annotations[revisionAnnotation] != "1" || d.Status.AvailableReplicas != 4 {
			t.Fatalf("after the start: revision %q, %d available", d.Annotations[revisionAnnotation], d.Status.AvailableReplicas)
		}
		update(w, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "web:2" })
		if diff := cmp.Diff(map[string]int32{"web:1": 0, "web:2": 4}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
		if c := condition(&get(w).Status, appsv1.DeploymentProgressing); c.Reason != "NewReplicaSetAvailable" {
			t.Errorf("after the rollout Progressing says %s", c.Reason)
		}
		update(w, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "web:1" })
		if diff := cmp.Diff(map[string]int32{"web:1": 4, "web:2": 0}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
		if got := get(w).Annotations[revisionAnnotation]; got != "3" {
			t.Errorf("after the undo the revision is %s, want 3", got)
		}
		events := w.Events()
		name := "web-" + templateHash(&deployment(1, "1", "1").Spec.Template, nil)
		if want := fmt.Sprintf("Normal ScalingReplicaSet Scaled up replica set %s from 0 to 4", name); !slices.Contains(events, want) {
			t.Errorf("no event %q in %q", want, events)
		}
	})
}

func TestBadImageStopsTheRollout(t *testing.T) {
	controllertest.Run(t, []runtime.Object{deployment(4, "25%", "25%")}, start, func(w *controllertest.World) {
		play(w)
		update(w, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = "bad" })
		if diff := cmp.Diff(map[string]int32{"web:1": 3, "bad": 2}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
		w.Pass(601 * time.Second)
		if c := condition(&get(w).Status, appsv1.DeploymentProgressing); c.Reason != "ProgressDeadlineExceeded" {
			t.Errorf("after the deadline Progressing says %s", c.Reason)
		}
	})
}

func TestPausedDeploymentScalesAndDoesNotRoll(t *testing.T) {
	controllertest.Run(t, []runtime.Object{deployment(4, "25%", "25%")}, start, func(w *controllertest.World) {
		play(w)
		update(w, func(d *appsv1.Deployment) {
			d.Spec.Paused, d.Spec.Replicas = true, ptr.To[int32](6)
			d.Spec.Template.Spec.Containers[0].Image = "web:2"
		})
		if diff := cmp.Diff(map[string]int32{"web:1": 6}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
		if c := condition(&get(w).Status, appsv1.DeploymentProgressing); c.Reason != "DeploymentPaused" {
			t.Errorf("Progressing says %s", c.Reason)
		}
		update(w, func(d *appsv1.Deployment) { d.Spec.Paused = false })
		if diff := cmp.Diff(map[string]int32{"web:1": 0, "web:2": 6}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHistoryIsCutToTheLimit(t *testing.T) {
	d := deployment(1, "1", "0")
	d.Spec.RevisionHistoryLimit = ptr.To[int32](1)
	controllertest.Run(t, []runtime.Object{d}, start, func(w *controllertest.World) {
		play(w)
		for _, image := range []string{"web:2", "web:3", "web:4"} {
			update(w, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
		}
		if diff := cmp.Diff(map[string]int32{"web:3": 0, "web:4": 1}, sizesByImage(w)); diff != "" {
			t.Error(diff)
		}
	})
}
