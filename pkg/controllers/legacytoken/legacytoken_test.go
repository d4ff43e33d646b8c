package legacytoken

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
)

const (
	ns   = "n"
	used = accounttoken.LastUsedLabel
	bad  = accounttoken.InvalidSinceLabel
)

// The world's time begins with the year 2000; thirty days before that is 1999-12-02.
const period = 30 * 24 * time.Hour

// token is one that its account lists, of long ago.
func token(name string, labels map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ns, Name: name, UID: "v", Labels: labels, CreationTimestamp: metav1.NewTime(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)),
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "a", corev1.ServiceAccountUIDKey: "u"},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}
}

func tracked(since string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: accounttoken.TrackingConfigMap},
		Data:       map[string]string{accounttoken.TrackingSince: since},
	}
}

func run(t *testing.T, objects []runtime.Object, body func(w *controllertest.World)) {
	t.Helper()
	controllertest.Run(t, objects, func(env *controller.Env) (controller.Runner, error) { return New(env, period) }, body)
}

// fate is what a token has become: "gone", since when it is marked, or "".
func fate(w *controllertest.World, name string) string {
	w.T.Helper()
	s, err := w.Client.CoreV1().Secrets(ns).Get(w.Ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "gone"
	} else if err != nil {
		w.T.Fatal(err)
	}
	return s.Labels[bad]
}

func TestTokensThatNobodyUsesAreMarkedAndThenDeleted(t *testing.T) {
	const today = "2000-01-01"
	pod := func(name string, spec corev1.PodSpec) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: spec}
	}
	objects := []runtime.Object{
		tracked("1999-12-01"),
		pod("mounts", corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "mounted"}}}}}),
		pod("pulls", corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pulled"}}}),
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "a", UID: "u"}}
	rows := []struct {
		name   string
		labels map[string]string
		change func(*corev1.Secret)
		want   string
	}{
		{"unused", nil, nil, today},
		{"used-too-long-ago", map[string]string{used: "1999-12-01"}, nil, today},
		{"used", map[string]string{used: "1999-12-02"}, nil, ""},
		{"used-who-knows-when", map[string]string{used: "yesterday"}, nil, ""},
		{"young", nil, func(s *corev1.Secret) {
			s.CreationTimestamp = metav1.NewTime(time.Date(1999, 12, 2, 0, 0, 1, 0, time.UTC))
		}, ""},
		{"mounted", nil, nil, ""},
		{"pulled", nil, nil, ""},
		{"marked-without-a-day", map[string]string{bad: "x"}, nil, today},
		{"marked", map[string]string{bad: "1999-12-02"}, nil, "1999-12-02"},
		{"marked-long-ago", map[string]string{bad: "1999-12-01"}, nil, "gone"},
		{"marked-and-used", map[string]string{bad: "1999-12-01", used: "1999-12-30"}, nil, "1999-12-01"},
		{"going", nil, func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }, ""},
		{"of-another-type", nil, func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, ""},
		{"of-no-account", nil, func(s *corev1.Secret) { s.Annotations = nil }, ""},
		{"of-an-account-before", nil, func(s *corev1.Secret) { s.Annotations[corev1.ServiceAccountUIDKey] = "other" }, ""},
		{"made-by-hand", nil, nil, ""},
	}
	for _, r := range rows {
		s := token(r.name, r.labels)
		if r.change != nil {
			r.change(s)
		}
		objects = append(objects, s)
		if r.name != "made-by-hand" {
			account.Secrets = append(account.Secrets, corev1.ObjectReference{Name: r.name})
		}
	}
	run(t, append(objects, account), func(w *controllertest.World) {
		for _, r := range rows {
			if got := fate(w, r.name); got != r.want {
				t.Errorf("%s: %q, want %q", r.name, got, r.want)
			}
		}
		for _, a := range w.Client.Actions() {
			if d, is := a.(clienttesting.DeleteAction); is && d.GetDeleteOptions().Preconditions == nil {
				t.Errorf("%s is deleted whatever has become of it", d.GetName())
			}
		}
		w.Pass(period)
		if got := fate(w, "unused"); got != today {
			t.Errorf("deleted in the period in which it was marked: %q", got)
		}
		w.Pass(every)
		if got := fate(w, "unused"); got != "gone" {
			t.Errorf("marked for more than a period, it is %q", got)
		}
	})
}

// TestNothingEndsBeforeUseWasTracked for a whole period, for a token without a label may have been used.
func TestNothingEndsBeforeUseWasTracked(t *testing.T) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "a", UID: "u"}, Secrets: []corev1.ObjectReference{{Name: "s"}}}
	for _, since := range []string{"1999-12-02", "long ago", ""} {
		run(t, []runtime.Object{tracked(since), account, token("s", nil)}, func(w *controllertest.World) {
			if got := fate(w, "s"); got != "" {
				t.Errorf("tracked since %q: %q", since, got)
			}
		})
	}
	run(t, []runtime.Object{account, token("s", nil)}, func(w *controllertest.World) {
		if got := fate(w, "s"); got != "" {
			t.Errorf("not tracked: %q", got)
		}
		if _, err := w.Client.CoreV1().ConfigMaps("kube-system").Create(w.Ctx, tracked("1999-01-01"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(every)
		if got := fate(w, "s"); got != "2000-01-02" {
			t.Errorf("tracked a day later: %q", got)
		}
	})
}
