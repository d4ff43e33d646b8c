package defaults_test

import (
	"reflect"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/sampan-project/sampan/pkg/defaults"
)

// TestAWholePodIsNotWrittenInto: its parts may be those of a state that others read. The race detector sees writes that
// leave the same.
func TestAWholePodIsNotWrittenInto(t *testing.T) {
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}
	container := corev1.Container{
		Name: "c", Image: "c", Resources: corev1.ResourceRequirements{Limits: limits}, Ports: []corev1.ContainerPort{{ContainerPort: 80}},
		LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{}}},
	}
	pod := &corev1.Pod{
		Spec: corev1.PodSpec{
			HostNetwork: true, Containers: []corev1.Container{container}, InitContainers: []corev1.Container{container},
			EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon(container)}},
			Resources:           &corev1.ResourceRequirements{Limits: limits}, Overhead: limits,
			Volumes: []corev1.Volume{{Name: "v"}, {Name: "w", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}},
		},
		Status: corev1.PodStatus{PodIP: "10.0.0.1", ContainerStatuses: []corev1.ContainerStatus{{AllocatedResources: limits}}},
	}
	pod = pod.DeepCopy() // no two parts are one
	defaults.Pod(pod)
	was := pod.DeepCopy()
	var reading sync.WaitGroup
	reading.Go(func() {
		if !reflect.DeepEqual(pod, was) {
			t.Error("the pod has changed")
		}
	})
	next := *pod
	defaults.Pod(&next)
	reading.Wait()
	if !reflect.DeepEqual(&next, was) {
		t.Errorf("more was filled in the second time:\n%+v\n%+v", was, &next)
	}
}

// TestImagesArePulledAgain where they may have changed: not those that are none.
func TestImagesArePulledAgain(t *testing.T) {
	a := strings.Repeat
	for image, want := range map[string]corev1.PullPolicy{
		"a": "Always", "a:latest": "Always", "A": "IfNotPresent", "a:v1": "IfNotPresent",
		a("a", 63): "Always", a("a", 64): "IfNotPresent", "x/" + a("a", 64): "Always",
		a("b", 247): "Always", a("b", 248): "IfNotPresent", // in library/
		"docker.io/" + a("b", 247): "Always", "docker.io/" + a("b", 248): "IfNotPresent",
		"x/" + a("b", 253): "Always", "x/" + a("b", 254): "IfNotPresent",
		"x.io:80/" + a("b", 255) + ":latest": "Always", "x.io:80/" + a("b", 256) + ":latest": "IfNotPresent",
		"x.y_z/" + a("b", 249): "Always", "x.y_z/" + a("b", 250): "IfNotPresent",
		"a:latest@sha256:" + a("0", 64): "Always", "a:latest@sha256:" + a("0", 63): "IfNotPresent", "a@sha256:" + a("0", 64): "IfNotPresent",
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
		defaults.Pod(pod)
		if got := pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

func TestResourcesOfAWholePodAreCompletedFromThoseOfItsContainers(t *testing.T) {
	list := func(pairs ...string) corev1.ResourceList {
		out := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return out
	}
	type needs = corev1.ResourceRequirements
	for name, c := range map[string]struct {
		own        *needs
		containers needs
		want       *needs
	}{
		"none of its own": {nil, needs{Limits: list("cpu", "1")}, nil},
		"no limit of its own": {&needs{Requests: list("cpu", "1")}, needs{Requests: list("memory", "1Gi")},
			&needs{Requests: list("cpu", "1")}},
		"a limit, and what containers ask for": {&needs{Limits: list("cpu", "2", "memory", "2Gi")}, needs{Requests: list("cpu", "1")},
			&needs{Limits: list("cpu", "2", "memory", "2Gi"), Requests: list("cpu", "1", "memory", "2Gi")}},
		"huge pages of containers": {&needs{Limits: list("cpu", "1")}, needs{Limits: list("hugepages-2Mi", "4Mi")},
			&needs{Limits: list("cpu", "1", "hugepages-2Mi", "4Mi"), Requests: list("cpu", "1", "hugepages-2Mi", "4Mi")}},
		"huge pages that are asked for": {&needs{Requests: list("hugepages-2Mi", "2Mi")}, needs{Limits: list("hugepages-2Mi", "4Mi")},
			&needs{Requests: list("hugepages-2Mi", "2Mi")}},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Resources: c.own, Containers: []corev1.Container{{Name: "c", Resources: c.containers}}}}
		defaults.Pod(pod)
		if got := pod.Spec.Resources; !equality.Semantic.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
