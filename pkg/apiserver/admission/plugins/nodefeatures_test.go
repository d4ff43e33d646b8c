package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func TestPodsAreChangedAsTheirNodeDeclaresToBeAbleTo(t *testing.T) {
	cfg := &Config{Access: resourcetest.New()}
	const whole, initial = "InPlacePodLevelResourcesVerticalScaling", "InPlacePodVerticalScalingInitContainers"
	for name, declared := range map[string][]string{"old": nil, "new": {whole, initial}} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{DeclaredFeatures: declared}}
		if _, err := cfg.Access.Create(t.Context(), nodes, n); err != nil {
			t.Fatal(err)
		}
	}
	amounts := func(cpu string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}
	}
	pod := func(generation int64, node, pod, init, regular string) *corev1.Pod {
		all := amounts(pod)
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Generation: generation},
			Spec: corev1.PodSpec{NodeName: node, Resources: &all,
				InitContainers: []corev1.Container{{Name: "i", Resources: amounts(init)}},
				Containers:     []corev1.Container{{Name: "c", Resources: amounts(regular)}}},
		}
	}
	const refused = `pods "p" is forbidden: pod update requires features `
	const lacking = ` which are not available on node "old"`
	for name, c := range map[string]struct {
		subresource string
		old, pod    *corev1.Pod
		want        string
	}{
		"a container":             {"resize", pod(1, "old", "3", "1", "1"), pod(2, "old", "3", "1", "2"), ""},
		"the pod":                 {"resize", pod(1, "old", "3", "1", "1"), pod(2, "old", "4", "1", "1"), refused + whole + lacking},
		"both":                    {"resize", pod(1, "old", "3", "1", "1"), pod(2, "old", "4", "2", "1"), refused + whole + ", " + initial + lacking},
		"by the pod itself":       {"", pod(1, "old", "3", "1", "1"), pod(2, "old", "4", "1", "1"), refused + whole + lacking},
		"both, where it can":      {"resize", pod(1, "new", "3", "1", "1"), pod(2, "new", "4", "2", "1"), ""},
		"by its status":           {"status", pod(1, "old", "3", "1", "1"), pod(2, "old", "4", "1", "1"), ""},
		"of one generation":       {"resize", pod(1, "old", "3", "1", "1"), pod(1, "old", "4", "1", "1"), ""},
		"on no node yet":          {"resize", pod(1, "", "3", "1", "1"), pod(2, "", "4", "1", "1"), ""},
		"the pod of a lost node":  {"resize", pod(1, "gone", "3", "1", "1"), pod(2, "gone", "4", "1", "1"), `pods "p" is forbidden: node "gone" not found`},
		"a container of the same": {"resize", pod(1, "gone", "3", "1", "1"), pod(2, "gone", "3", "1", "2"), ""},
	} {
		err := nodeFeatures(cfg).Validate(t.Context(), &admission.Attributes{
			Operation: admission.Update, Resource: corev1.SchemeGroupVersion.WithResource("pods"),
			Subresource: c.subresource, Namespace: "n", Name: "p", Object: c.pod, OldObject: c.old,
		})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
