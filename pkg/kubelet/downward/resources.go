package downward

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resource answers a resourceFieldRef: a limit or request of a container (own when the selector names
// none), in units of the divisor, rounded up. A limit that is not set is what the node can give:
// allocatable.
func Resource(pod *corev1.Pod, own string, s *corev1.ResourceFieldSelector, allocatable corev1.ResourceList) (string, error) {
	name := s.ContainerName
	name = cmp.Or(name, own)
	r, ok := resourcesOf(pod, name)
	if !ok {
		return "", fmt.Errorf("container %s not found", name)
	}
	kind, what, _ := strings.Cut(s.Resource, ".")
	resourceName := corev1.ResourceName(what)
	if !supported(kind, resourceName) {
		return "", fmt.Errorf("unsupported container resource : %v", s.Resource)
	}
	var q resource.Quantity
	if kind == "limits" {
		if q = r.Limits[resourceName]; q.IsZero() {
			q = allocatable[resourceName]
		}
	} else {
		q = r.Requests[resourceName]
	}
	divisor := s.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if resourceName == corev1.ResourceCPU {
		return ceilOf(q.MilliValue(), divisor.MilliValue()), nil
	}
	return ceilOf(q.Value(), divisor.Value()), nil
}

func supported(kind string, name corev1.ResourceName) bool {
	if kind != "limits" && kind != "requests" {
		return false
	}
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func ceilOf(value, divisor int64) string {
	return strconv.FormatInt(int64(math.Ceil(float64(value)/float64(divisor))), 10)
}

func resourcesOf(pod *corev1.Pod, name string) (corev1.ResourceRequirements, bool) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return pod.Spec.Containers[i].Resources, true
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return pod.Spec.InitContainers[i].Resources, true
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if pod.Spec.EphemeralContainers[i].Name == name {
			return pod.Spec.EphemeralContainers[i].Resources, true
		}
	}
	return corev1.ResourceRequirements{}, false
}
