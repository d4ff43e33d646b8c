package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func TestPodsAreResizedWithinTheirNode(t *testing.T) {
	cfg := &Config{Access: resourcetest.New()}
	amounts := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	}
	for name, os := range map[string]string{"penguin": "linux", "window": "windows"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: os}}, Status: corev1.NodeStatus{Allocatable: amounts("2", "1Gi")}}
		if _, err := cfg.Access.Create(t.Context(), nodes, n); err != nil {
			t.Fatal(err)
		}
	}
	pod := func(node, cpu, memory string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c",
			Resources: corev1.ResourceRequirements{Requests: amounts(cpu, memory)}}}}}
	}
	const refused, lacks = `pods "p" is forbidden: `, `pods "p" is forbidden: Node didn't have enough allocatable resources: `
	for name, c := range map[string]struct {
		subresource  string
		old, pod     *corev1.Pod
		refusal, why string
	}{
		"all that there is":       {"resize", pod("penguin", "1", "1"), pod("penguin", "2", "1Gi"), "", ""},
		"too much":                {"resize", pod("penguin", "1", "1"), pod("penguin", "2001m", "1073741825"), lacks + "cpu, requested: 2001, allocatable: 2000; memory, requested: 1073741825, allocatable: 1073741824", "NodeCapacity"},
		"too much, as before":     {"resize", pod("penguin", "3", "1"), pod("penguin", "3", "1"), "", ""},
		"too much, but no resize": {"", pod("penguin", "1", "1"), pod("penguin", "3", "1"), "", ""},
		"on no node yet":          {"resize", pod("", "1", "1"), pod("", "3", "1"), "", ""},
		"on a node that is gone":  {"resize", pod("gone", "1", "1"), pod("gone", "2", "1"), refused + `node "gone" not found`, ""},
		"on another system":       {"resize", pod("window", "1", "1"), pod("window", "2", "1"), refused + `pod resize is only supported on linux nodes, node "window" is "windows"`, "UnsupportedPlatform"},
	} {
		err := podResize(cfg).Validate(t.Context(), &admission.Attributes{Operation: admission.Update, Resource: corev1.SchemeGroupVersion.WithResource("pods"),
			Subresource: c.subresource, Namespace: "n", Name: "p", Object: c.pod, OldObject: c.old})
		if c.refusal == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || err.Error() != c.refusal || !apierrors.IsForbidden(err) || apierrors.HasStatusCause(err, metav1.CauseType(c.why)) != (c.why != "") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
