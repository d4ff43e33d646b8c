package cgroup

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

const (
	guaranteedOOM = -997
	bestEffortOOM = 1000
	// kubernetes' own daemons have -999: a guaranteed pod is killed before them.
	nodeCritical = "system-node-critical"
)

// QOS is the class of service that the pod's requests and limits put it in.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass
	}
	requests, limits, guaranteed := corev1.ResourceList{}, corev1.ResourceList{}, true
	if r := pod.Spec.Resources; r != nil && (counts(r.Requests) || counts(r.Limits)) {
		guaranteed = add(requests, limits, *r)
	} else {
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				guaranteed = add(requests, limits, list[i].Resources) && guaranteed
			}
		}
	}
	if len(requests) == 0 && len(limits) == 0 {
		return corev1.PodQOSBestEffort
	}
	for name, request := range requests {
		if limit, ok := limits[name]; !ok || limit.Cmp(request) != 0 {
			guaranteed = false
		}
	}
	if guaranteed && len(requests) == len(limits) {
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

func counts(list corev1.ResourceList) bool {
	return positive(list, corev1.ResourceCPU) || positive(list, corev1.ResourceMemory)
}

func positive(list corev1.ResourceList, name corev1.ResourceName) bool {
	q, ok := list[name]
	return ok && q.Sign() > 0
}

// add sums up cpu and memory, and says whether both are limited.
func add(requests, limits corev1.ResourceList, r corev1.ResourceRequirements) bool {
	both := true
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		sum(requests, r.Requests, name)
		both = sum(limits, r.Limits, name) && both
	}
	return both
}

func sum(into, list corev1.ResourceList, name corev1.ResourceName) bool {
	if !positive(list, name) {
		return false
	}
	total, ok := into[name]
	if !ok {
		total = resource.Quantity{}
	}
	total.Add(list[name])
	into[name] = total
	return true
}

// OOMScoreAdj tells the kernel whom to kill first when the node, which has the given bytes of memory, runs
// out of it: the more memory a container uses beyond its request, the sooner.
func OOMScoreAdj(pod *corev1.Pod, c *corev1.Container, memory int64) int {
	if pod.Spec.PriorityClassName == nodeCritical {
		return guaranteedOOM
	}
	switch QOS(pod) {
	case corev1.PodQOSGuaranteed:
		return guaranteedOOM
	case corev1.PodQOSBestEffort:
		return bestEffortOOM
	}
	if memory <= 0 {
		return bestEffortOOM - 1
	}
	score := 1000 - 1000*memoryRequest(pod, c)/memory
	// Never as safe as guaranteed pods, never as exposed as pods without requests.
	return int(min(max(score, 1000+guaranteedOOM), bestEffortOOM-1))
}

// memoryRequest is the container's request and its share of what the pod as a whole requests beyond its
// containers' requests. A sidecar counts at least as much as the least of the containers that it serves.
func memoryRequest(pod *corev1.Pod, c *corev1.Container) int64 {
	request := c.Resources.Requests.Memory().Value()
	if r := pod.Spec.Resources; r != nil && positive(r.Requests, corev1.ResourceMemory) {
		rest, n := r.Requests.Memory().Value(), int64(0)
		for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
			for i := range list {
				rest -= list[i].Resources.Requests.Memory().Value()
				n++
			}
		}
		if rest > 0 && n > 0 {
			request += rest / n
		}
	}
	if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways || len(pod.Spec.Containers) == 0 {
		return request
	}
	least := pod.Spec.Containers[0].Resources.Requests.Memory().Value()
	for i := range pod.Spec.Containers {
		least = min(least, pod.Spec.Containers[i].Resources.Requests.Memory().Value())
	}
	return max(request, least)
}
