package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/defaults"
)

// TestWhatWasJudgedIsJudgedAlike changes the metadata of a pod whose spec was found without fault: leaving the spec out gives the
// same faults.
func TestWhatWasJudgedIsJudgedAlike(t *testing.T) {
	of := func(annotations, labels map[string]string, node string) *corev1.Pod {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", Annotations: annotations, Labels: labels}, Spec: corev1.PodSpec{
			NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}},
			Volumes: []corev1.Volume{{Name: "v"}}, Tolerations: []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}},
		}}
		defaults.Pod(pod)
		return pod
	}
	all := []map[string]string{
		nil, {"a": "b"}, {"a": "c"}, {corev1.MirrorPodAnnotationKey: "m"}, {corev1.PodDeletionCost: "1"}, {corev1.PodDeletionCost: "one"},
		{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "c": "unconfined"}, {corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "d": "runtime/default"},
		{corev1.SeccompPodAnnotationKey: "no"}, {corev1.SeccompPodAnnotationKey: "unconfined"}, {"scheduler.alpha.kubernetes.io/tolerations": "{"},
		{"scheduler.alpha.kubernetes.io/tolerations": `[{"key":"k","operator":"no"}]`},
	}
	compared, refused := 0, 0
	for _, node := range []string{"", "node"} {
		for _, was := range all {
			for _, is := range all {
				old, pod := of(was, nil, node), of(is, map[string]string{"a": "b"}, node)
				if len(PodSpec(nil, &old.Spec, &old.ObjectMeta, PodOptions{})) > 0 {
					t.Fatal("the spec itself has faults")
				}
				whole := PodUpdate(t.Context(), pod, old, false)
				if d := cmp.Diff(whole, PodUpdate(t.Context(), pod, old, true), cmp.AllowUnexported()); d != "" {
					t.Errorf("%v after %v: judged whole (-) and without the spec (+):\n%s", is, was, d)
				}
				if compared++; len(whole) > 0 {
					refused++
				}
			}
		}
	}
	if refused < compared/4 || refused == compared {
		t.Errorf("%d of %d changes were refused", refused, compared)
	}
}
