package status

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
)

func bubble(t *testing.T, test func(t *testing.T, m *Manager, client *fake.Clientset)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client := fake.NewClientset(known())
		test(t, New(ctx, client, clock.RealClock{}, logr.Discard()), client)
		cancel()
		synctest.Wait()
	})
}

func known() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}}
}

func verbs(client *fake.Clientset) string {
	var out []string
	for _, a := range client.Actions() {
		out = append(out, a.GetVerb())
	}
	return strings.Join(out, " ")
}

func TestStatusIsWrittenOnceAndOnlyWhenItChanged(t *testing.T) {
	bubble(t, func(t *testing.T, m *Manager, client *fake.Clientset) {
		m.Set("u", corev1.PodStatus{Phase: corev1.PodPending})
		synctest.Wait()
		if got := verbs(client); got != "" {
			t.Errorf("written before the apiserver was known to have the pod: %s", got)
		}
		m.Seen("u", known())
		synctest.Wait()
		m.Set("u", corev1.PodStatus{Phase: corev1.PodPending})
		m.Set("u", corev1.PodStatus{Phase: corev1.PodRunning})
		synctest.Wait()
		if got := verbs(client); got != "patch patch" {
			t.Errorf("requests: %s", got)
		}
		p := client.Actions()[1].(clienttesting.PatchActionImpl)
		if string(p.Patch) != `{"metadata":{"uid":"u"},"status":{"phase":"Running"}}` || p.Subresource != "status" {
			t.Errorf("%s of %q", p.Patch, p.Subresource)
		}
	})
}

func TestWritesAreMergedWhileTheApiserverIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, m *Manager, client *fake.Clientset) {
		var away atomic.Bool
		away.Store(true)
		client.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away.Load(), nil, errors.New("away")
		})
		m.Seen("u", known())
		m.Set("u", corev1.PodStatus{Phase: corev1.PodPending})
		time.Sleep(time.Minute)
		tries := len(client.Actions())
		if tries < 3 || tries > 20 {
			t.Errorf("%d attempts in a minute", tries)
		}
		m.Set("u", corev1.PodStatus{Phase: corev1.PodRunning})
		m.Set("u", corev1.PodStatus{Phase: corev1.PodFailed})
		away.Store(false)
		time.Sleep(time.Minute)
		if n := len(client.Actions()); n != tries+1 {
			t.Errorf("%d writes of what only the last mattered of", n-tries)
		}
		if p, _ := client.CoreV1().Pods("ns").Get(t.Context(), "p", metav1.GetOptions{}); p.Status.Phase != corev1.PodFailed {
			t.Errorf("phase %s", p.Status.Phase)
		}
	})
}

func TestPodIsDeletedAfterItsLastStatus(t *testing.T) {
	bubble(t, func(t *testing.T, m *Manager, client *fake.Clientset) {
		p := known()
		now := metav1.Now()
		p.DeletionTimestamp = &now
		m.Seen("u", p)
		m.Set("u", corev1.PodStatus{Phase: corev1.PodSucceeded})
		m.Finish("u")
		synctest.Wait()
		if got := verbs(client); !strings.HasSuffix(got, "patch delete") {
			t.Fatalf("requests: %s", got)
		}
		o := client.Actions()[len(client.Actions())-1].(clienttesting.DeleteActionImpl).DeleteOptions
		if *o.GracePeriodSeconds != 0 || *o.Preconditions.UID != "u" {
			t.Errorf("options %v", o)
		}
	})
}

func TestPatchLeavesWhatOthersWrite(t *testing.T) {
	condition := func(kind string, status corev1.ConditionStatus) corev1.PodCondition {
		return corev1.PodCondition{Type: corev1.PodConditionType(kind), Status: status}
	}
	target := known()
	target.Status.NominatedNodeName = "n"
	target.Status.Conditions = []corev1.PodCondition{condition("Ready", "False"), condition("x/gate", "True")}
	// The kubelet's view of the gate is old.
	wanted := corev1.PodStatus{Conditions: []corev1.PodCondition{condition("Ready", "False"), condition("x/gate", "False")}}
	if patch, err := Patch(target, wanted); err != nil || patch != nil {
		t.Errorf("patch %s (%v), although nothing of the kubelet's changed", patch, err)
	}
	wanted.Conditions[0].Status = "True"
	patch, err := Patch(target, wanted)
	if err != nil || strings.Contains(string(patch), "gate\",\"status") || !strings.Contains(string(patch), `"status":"True"`) {
		t.Errorf("patch %s (%v)", patch, err)
	}
	got := Merge(target.Status.Conditions, wanted.Conditions)
	slices.SortFunc(got, func(a, b corev1.PodCondition) int { return strings.Compare(string(a.Type), string(b.Type)) })
	if diff := cmp.Diff([]corev1.PodCondition{condition("Ready", "True"), condition("x/gate", "True")}, got); diff != "" {
		t.Error(diff)
	}
}
