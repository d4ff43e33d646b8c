package core

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestFieldsThatReplicationControllersCannotExpress(t *testing.T) {
	controller := func(app string, annotations map[string]string) *corev1.ReplicationController {
		rc := &corev1.ReplicationController{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n", Annotations: annotations},
			Spec: corev1.ReplicationControllerSpec{Template: &corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			}},
		}
		defaultReplicationController(rc)
		return rc
	}
	for _, c := range []struct {
		what, annotation, app string
		faults                []string
	}{
		{"the selector is kept", "non-convertible.kubernetes.io/selector", "a", nil},
		{"the selector changes", "non-convertible.kubernetes.io/selector", "b",
			[]string{`spec.selector: Invalid value: {"app":"b"}: cannot update non-convertible selector`}},
		{"another field", "non-convertible.kubernetes.io/other", "a", []string{`other: Not found: "x": unknown non-convertible field`}},
		{"another annotation", "example.com/selector", "b", nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			var got []string
			old := controller("a", map[string]string{c.annotation: "x"})
			for _, f := range validateReplicationController(context.Background(), controller(c.app, nil), old) {
				got = append(got, f.Error())
			}
			if !slices.Equal(got, c.faults) {
				t.Errorf("faults %q, want %q", got, c.faults)
			}
		})
	}
}
