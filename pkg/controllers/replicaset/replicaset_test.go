package replicaset

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
)

func web(replicas int32) *appsv1.ReplicaSet {
	labels := map[string]string{"app": "web"}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "set", Generation: 1, ResourceVersion: "1"},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}},
		},
	}
}

func pod(name, app string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: "uid-of-pod", Labels: map[string]string{"app": app}}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
}

func start(env *controller.Env) (controller.Runner, error) { return New(env, 2) }

func owned(w *controllertest.World) (mine, others []string) {
	list, err := w.Client.CoreV1().Pods("shop").List(w.Ctx, metav1.ListOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	for _, p := range list.Items {
		if ref := metav1.GetControllerOf(&p); ref != nil && ref.UID == "set" {
			mine = append(mine, p.Name)
		} else {
			others = append(others, p.Name)
		}
	}
	return mine, others
}

func scale(w *controllertest.World, n int32) {
	s, err := w.Client.AppsV1().ReplicaSets("shop").Get(w.Ctx, "web", metav1.GetOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	s.Spec.Replicas = new(n)
	if _, err := w.Client.AppsV1().ReplicaSets("shop").Update(w.Ctx, s, metav1.UpdateOptions{}); err != nil {
		w.T.Fatal(err)
	}
	w.Settle()
}

func TestNumberOfPodsFollowsReplicas(t *testing.T) {
	controllertest.Run(t, []runtime.Object{web(3)}, start, func(w *controllertest.World) {
		for _, n := range []int32{3, 40, 2, 0} {
			scale(w, n)
			if mine, _ := owned(w); len(mine) != int(n) {
				t.Errorf("asked for %d, have %d", n, len(mine))
			}
		}
		created := 0
		for _, e := range w.Events() {
			if strings.HasPrefix(e, "Normal SuccessfulCreate Created pod: web-") {
				created++
			}
		}
		if created != 40 {
			t.Errorf("%d pods were created, want 40: no more than needed", created)
		}
	})
}

func TestDeletedPodIsReplaced(t *testing.T) {
	controllertest.Run(t, []runtime.Object{web(2)}, start, func(w *controllertest.World) {
		before, _ := owned(w)
		if err := w.Client.CoreV1().Pods("shop").Delete(w.Ctx, before[0], metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		after, _ := owned(w)
		if len(after) != 2 || slices.Contains(after, before[0]) {
			t.Errorf("had %v, deleted the first, have %v", before, after)
		}
	})
}

func TestMatchingOrphansAreAdoptedAndStrangersReleased(t *testing.T) {
	orphan := pod("orphan", "web")
	stranger := pod("stranger", "other")
	stranger.UID = "uid-of-stranger"
	stranger.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(web(2), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	controllertest.Run(t, []runtime.Object{web(2), orphan, stranger}, start, func(w *controllertest.World) {
		mine, others := owned(w)
		if len(mine) != 2 || !slices.Contains(mine, "orphan") {
			t.Errorf("mine are %v, want two with the orphan", mine)
		}
		if !slices.Equal(others, []string{"stranger"}) {
			t.Errorf("others are %v, want the stranger", others)
		}
	})
}

func TestRefusedPodsAreToldInConditionAndEvent(t *testing.T) {
	refuse := func(env *controller.Env) (controller.Runner, error) {
		env.Client.(interface {
			PrependReactor(verb, resource string, reaction clienttesting.ReactionFunc)
		}).PrependReactor("create", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("no room in the quota")
		})
		return New(env, 1)
	}
	controllertest.Run(t, []runtime.Object{web(100)}, refuse, func(w *controllertest.World) {
		s, err := w.Client.AppsV1().ReplicaSets("shop").Get(w.Ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if c := s.Status.Conditions; len(c) != 1 || c[0].Type != appsv1.ReplicaSetReplicaFailure || c[0].Reason != "FailedCreate" || c[0].Message != "no room in the quota" {
			t.Errorf("conditions are %v", c)
		}
		attempts := 0
		for _, a := range w.Client.Actions() {
			if a.Matches("create", "pods") {
				attempts++
			}
		}
		if attempts > 20 {
			t.Errorf("%d attempts in a second: the quota should be asked one by one", attempts)
		}
	})
}

func TestStatusCountsReadyAndAvailable(t *testing.T) {
	controllertest.Run(t, []runtime.Object{web(2)}, start, func(w *controllertest.World) {
		mine, _ := owned(w)
		p, err := w.Client.CoreV1().Pods("shop").Get(w.Ctx, mine[0], metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}}
		if _, err := w.Client.CoreV1().Pods("shop").UpdateStatus(w.Ctx, p, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		s, err := w.Client.AppsV1().ReplicaSets("shop").Get(w.Ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(s.Status.Replicas, s.Status.FullyLabeledReplicas, s.Status.ReadyReplicas, s.Status.AvailableReplicas, s.Status.ObservedGeneration); got != "2 2 1 1 1" {
			t.Errorf("replicas, labelled, ready, available, generation are %s", got)
		}
	})
}
