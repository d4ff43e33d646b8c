package object

import (
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func podWith(uid, configMap, secret string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: uid, UID: types.UID(uid)},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}}}}}},
			Volumes:    []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}},
		},
	}
}

// recorder counts the watches that were opened and not ended, by resource.
func recorder(c *fake.Clientset) *atomic.Int32 {
	var open atomic.Int32
	c.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		w, err := c.Tracker().Watch(a.GetResource(), a.GetNamespace())
		if err != nil {
			return true, nil, err
		}
		open.Add(1)
		return true, &counted{Interface: w, open: &open}, nil
	})
	return &open
}

type counted struct {
	watch.Interface
	open *atomic.Int32
	done atomic.Bool
}

func (c *counted) Stop() {
	if c.done.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	c.Interface.Stop()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.After(20*time.Second), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("it never came to pass that %s", what)
		case <-tick.C:
		}
	}
}

func TestObjectsAreWatchedWhileAPodRefersToThem(t *testing.T) {
	ctx := t.Context()
	client := fake.NewClientset(
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Data: map[string]string{"k": "1"}})
	open := recorder(client)
	news := make(chan []types.UID, 100)
	w := NewWatched(ctx, client, func(pods []types.UID) { news <- pods })

	if _, err := w.ConfigMap(ctx, "ns", "c"); err == nil || err.Error() != `object "ns"/"c" not registered` {
		t.Fatalf("an object that nobody refers to: %v", err)
	}
	w.Register(podWith("a", "c", "s"))
	w.Register(podWith("b", "c", "s"))
	w.Register(podWith("b", "c", "s"))
	c, err := w.ConfigMap(ctx, "ns", "c")
	if err != nil || c.Data["k"] != "1" {
		t.Fatalf("%v, %v", c, err)
	}
	if _, err := w.Secret(ctx, "ns", "s"); !apierrors.IsNotFound(err) || err.Error() != `secret "s" not found` {
		t.Fatalf("an absent secret: %v", err)
	}
	eventually(t, "two watches are open", func() bool { return open.Load() == 2 })

	changed := c.DeepCopy()
	changed.Data["k"] = "2"
	if _, err := client.CoreV1().ConfigMaps("ns").Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the change is seen", func() bool {
		c, err := w.ConfigMap(ctx, "ns", "c")
		return err == nil && c.Data["k"] == "2"
	})
	eventually(t, "both pods are told", func() bool { return len(<-news) == 2 })

	w.Unregister("a")
	if open.Load() != 2 {
		t.Error("a watch that the other pod needs was ended")
	}
	w.Unregister("b")
	eventually(t, "no watch is open", func() bool { return open.Load() == 0 })
}

func TestImmutableObjectsAreNotWatchedOn(t *testing.T) {
	ctx := t.Context()
	yes := true
	client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}, Immutable: &yes})
	open := recorder(client)
	w := NewWatched(ctx, client, nil)
	w.Register(podWith("a", "c", ""))
	if _, err := w.ConfigMap(ctx, "ns", "c"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "no watch is open", func() bool { return open.Load() == 0 })
	if _, err := w.ConfigMap(ctx, "ns", "c"); err != nil {
		t.Errorf("it is still known: %v", err)
	}
}
