package plugins

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// TestEveryImageOfAPodIsPulled: for no kind of container, nor for a volume, is it enough that the image is on the node.
func TestEveryImageOfAPodIsPulled(t *testing.T) {
	never := corev1.Container{ImagePullPolicy: corev1.PullNever}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{never}, Containers: []corev1.Container{never},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(never)}},
		Volumes:             []corev1.Volume{{VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "r", PullPolicy: corev1.PullNever}}}},
	}}
	stored := pod.DeepCopy()
	for _, subresource := range []string{"", "ephemeralcontainers"} {
		now := *pod // which has parts in common with what is stored
		if err := alwaysPullImages(nil).Admit(t.Context(), &admission.Attributes{Resource: corev1.SchemeGroupVersion.WithResource("pods"), Subresource: subresource, Object: &now}); err != nil {
			t.Fatal(err)
		}
		for kind, policy := range map[string]corev1.PullPolicy{
			"init": now.Spec.InitContainers[0].ImagePullPolicy, "regular": now.Spec.Containers[0].ImagePullPolicy,
			"ephemeral": now.Spec.EphemeralContainers[0].ImagePullPolicy, "volume": now.Spec.Volumes[0].Image.PullPolicy,
		} {
			if policy != corev1.PullAlways {
				t.Errorf("pods/%s: the image of the %s container or volume is pulled %s", subresource, kind, policy)
			}
		}
		if d := cmp.Diff(stored, pod); d != "" {
			t.Errorf("the state before was written into:\n%s", d)
		}
	}
}
