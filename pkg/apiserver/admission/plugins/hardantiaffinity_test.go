package plugins

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

func TestRequiredAntiAffinityIsOfNodes(t *testing.T) {
	terms := func(keys ...string) (out []corev1.PodAffinityTerm) {
		for _, k := range keys {
			out = append(out, corev1.PodAffinityTerm{TopologyKey: k})
		}
		return out
	}
	required := func(keys ...string) *corev1.Affinity {
		return &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms(keys...)}}
	}
	const refusal = `pods "p" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey `
	const allowed = ` but only key kubernetes.io/hostname is allowed`
	for name, c := range map[string]struct {
		subresource string
		affinity    *corev1.Affinity
		want        string
	}{
		"no affinity":      {"", nil, ""},
		"no anti-affinity": {"", &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: terms("zone")}}, ""},
		"preferred": {"", &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{Weight: 1, PodAffinityTerm: terms("zone")[0]}}}}, ""},
		"of nodes":           {"", required(corev1.LabelHostname), ""},
		"of zones":           {"", required("zone"), refusal + "zone" + allowed},
		"of nodes and zones": {"", required(corev1.LabelHostname, "zone", "region"), refusal + "zone" + allowed},
		"in its status":      {"status", required("zone"), ""},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{Affinity: c.affinity}}
		err := hardAntiAffinity(nil).Validate(t.Context(), &admission.Attributes{
			Operation: admission.Create, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Subresource: c.subresource, Namespace: "n", Object: pod,
		})
		if got := errText(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
