package downward

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "n", UID: "u", Labels: map[string]string{"b": "2", "a/x": "say \"hi\"\n"}, Annotations: map[string]string{"Zone": "z"}},
		Spec: corev1.PodSpec{
			NodeName: "node", ServiceAccountName: "sa",
			InitContainers: []corev1.Container{{Name: "i"}},
			Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{
				Limits:   corev1.ResourceList{"cpu": resource.MustParse("1500m"), "hugepages-2Mi": resource.MustParse("4Mi")},
				Requests: corev1.ResourceList{"memory": resource.MustParse("100M")},
			}}},
		},
		Status: corev1.PodStatus{HostIP: "1.1.1.1", HostIPs: []corev1.HostIP{{IP: "1.1.1.1"}, {IP: "fd::1"}}, PodIP: "2.2.2.2", PodIPs: []corev1.PodIP{{IP: "2.2.2.2"}, {IP: "fd::2"}}},
	}
}

func TestFieldsOfAPod(t *testing.T) {
	for path, want := range map[string]string{
		"metadata.name": "p", "metadata.namespace": "n", "metadata.uid": "u",
		"metadata.labels": "a/x=\"say \\\"hi\\\"\\n\"\nb=\"2\"", "metadata.labels['b']": "2", "metadata.labels['none']": "",
		"metadata.annotations": `Zone="z"`, "metadata.annotations['Zone']": "z",
		"spec.nodeName": "node", "spec.serviceAccountName": "sa",
		"status.hostIP": "1.1.1.1", "status.hostIPs": "1.1.1.1,fd::1", "status.podIP": "2.2.2.2", "status.podIPs": "2.2.2.2,fd::2",
	} {
		if got, err := Field(pod(), path); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string]string{
		"spec.hostname":         "unsupported fieldPath: spec.hostname",
		"spec.nodeName['x']":    `fieldPath "spec.nodeName['x']" does not support subscript`,
		"metadata.labels['/ ']": "invalid key subscript in metadata.labels['/ ']: ",
	} {
		if _, err := Field(pod(), path); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

func TestResourcesOfAContainerRoundUpAndDefaultToTheNode(t *testing.T) {
	node := corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("8Gi")}
	for _, c := range []struct{ container, name, divisor, want string }{
		{"", "limits.cpu", "0", "2"}, {"", "limits.cpu", "1m", "1500"}, {"", "limits.memory", "1Mi", "8192"},
		{"", "requests.memory", "1Mi", "96"}, {"", "requests.cpu", "1", "0"}, {"i", "limits.cpu", "1", "4"},
		{"", "limits.hugepages-2Mi", "1Mi", "4"}, {"", "limits.ephemeral-storage", "1", "0"},
	} {
		s := &corev1.ResourceFieldSelector{ContainerName: c.container, Resource: c.name, Divisor: resource.MustParse(c.divisor)}
		if got, err := Resource(pod(), "c", s, node); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	for name, want := range map[string]string{"limits.pods": "unsupported container resource : limits.pods", "cpu": "unsupported container resource : cpu"} {
		if _, err := Resource(pod(), "c", &corev1.ResourceFieldSelector{Resource: name}, node); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Resource(pod(), "c", &corev1.ResourceFieldSelector{ContainerName: "x", Resource: "limits.cpu"}, node); err == nil || err.Error() != "container x not found" {
		t.Error(err)
	}
}
