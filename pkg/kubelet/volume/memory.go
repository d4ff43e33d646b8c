package volume

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// memoryLimit is the size in bytes of a memory-backed emptyDir: the least of what the node gives to pods,
// what the pod may use when all its containers are limited, and what the volume says. 0: none is known.
func memoryLimit(pod *corev1.Pod, own *resource.Quantity, allocatable corev1.ResourceList) int64 {
	least := int64(0)
	take := func(q resource.Quantity) {
		if v := q.Value(); v > 0 && (least == 0 || v < least) {
			least = v
		}
	}
	take(allocatable[corev1.ResourceMemory])
	if limited(pod) {
		take(resourcehelper.PodLimits(pod, resourcehelper.PodResourcesOptions{})[corev1.ResourceMemory])
	}
	if own != nil {
		take(*own)
	}
	return least
}

// limited tells whether the pod as a whole cannot use more memory than its limits say.
func limited(pod *corev1.Pod) bool {
	if r := pod.Spec.Resources; r != nil && r.Limits.Memory().Sign() > 0 {
		return true
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Resources.Limits.Memory().IsZero() {
				return false
			}
		}
	}
	return true
}
