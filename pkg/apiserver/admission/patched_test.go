package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestWhatIsMadeOfAnObjectIsOfItsKind(t *testing.T) {
	events := eventsv1.SchemeGroupVersion.WithKind("Event")
	secret := Kinded(&corev1.Secret{}, corev1.SchemeGroupVersion.WithKind("Secret"))
	for _, c := range []struct {
		kind schema.GroupVersionKind
		made runtime.Object
		want string
	}{
		{events, Kinded(&eventsv1.Event{}, events), ""},
		{events, secret, "converting (v1.Secret) to (core.Event): unknown conversion"},
		{corev1.SchemeGroupVersion.WithKind("ConfigMap"), secret, "converting (v1.Secret) to (core.ConfigMap): unknown conversion"},
	} {
		got := ""
		if _, err := (&Attributes{Kind: c.kind}).From(c.made); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("a %T for a %s: %q, want %q", c.made, c.kind, got, c.want)
		}
	}
}
