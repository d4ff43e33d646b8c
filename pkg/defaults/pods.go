package defaults

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
)

// PodTemplate fills in what pods and pod templates have in common.
func PodTemplate(template *corev1.PodTemplateSpec) {
	dropInitAnnotations(template.Annotations)
	PodSpec(&template.Spec)
}

// PodSpec fills in what the specs of pods and of pod templates have in common.
func PodSpec(spec *corev1.PodSpec) {
	fill(&spec.DNSPolicy, corev1.DNSClusterFirst)
	fill(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	set(&spec.SecurityContext, corev1.PodSecurityContext{})
	set(&spec.TerminationGracePeriodSeconds, int64(corev1.DefaultTerminationGracePeriodSeconds))
	fill(&spec.SchedulerName, corev1.DefaultSchedulerName)
	// The older field is kept equal for those who still read it.
	fill(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	for i := range spec.Volumes {
		Volume(&spec.Volumes[i])
	}
	for i := range spec.InitContainers {
		Container(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		Container(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		Container((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	Resources(spec.Overhead)
	if spec.Resources != nil {
		requirements(spec.Resources)
	}
}

// Pod fills in a pod's defaults: those of its spec, and what templates leave open until there is a pod. Where nothing is
// missing it writes only into the pod itself: what that refers to, others may be reading.
func Pod(pod *corev1.Pod) {
	dropInitAnnotations(pod.Annotations)
	PodSpec(&pod.Spec)
	spec := &pod.Spec
	if g := spec.TerminationGracePeriodSeconds; *g < 0 { // a template may say so; what is made of it gets the least
		least := int64(1)
		spec.TerminationGracePeriodSeconds = &least
	}
	for i := range spec.InitContainers {
		requestsFromLimits(&spec.InitContainers[i].Resources)
	}
	for i := range spec.Containers {
		requestsFromLimits(&spec.Containers[i].Resources)
	}
	podLimits(pod)
	podRequests(pod)
	set(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	if spec.HostNetwork {
		hostPorts(spec.Containers)
		hostPorts(spec.InitContainers)
	}
	podAddresses(&pod.Status)
	statusResources(&pod.Status)
}

// podLimits limits the huge pages of a pod that states any resources of its own to those of its containers together,
// where it says nothing of them itself.
func podLimits(pod *corev1.Pod) {
	own := pod.Spec.Resources
	if own == nil || len(own.Requests) == 0 && len(own.Limits) == 0 {
		return
	}
	for name, sum := range resource.AggregateContainerLimits(pod, resource.PodResourcesOptions{}) {
		_, asked := own.Requests[name]
		if _, limited := own.Limits[name]; asked || limited || !isHugePages(name) {
			continue
		}
		if own.Limits == nil {
			own.Limits = corev1.ResourceList{}
		}
		own.Limits[name] = sum
	}
}

// podRequests completes requests at the level of the pod, where the pod has any limit of its own: by what its
// containers ask for together, else by the pod's limit.
func podRequests(pod *corev1.Pod) {
	own := pod.Spec.Resources
	if own == nil || len(own.Limits) == 0 {
		return
	}
	asked := own.Requests
	if asked == nil {
		asked = corev1.ResourceList{}
	}
	for name, sum := range resource.AggregateContainerRequests(pod, resource.PodResourcesOptions{}) {
		_, set := asked[name]
		if !set && resource.IsSupportedPodLevelResource(name) && !isHugePages(name) {
			asked[name] = sum
		}
	}
	for name, limit := range own.Limits {
		if _, set := asked[name]; !set && resource.IsSupportedPodLevelResource(name) {
			asked[name] = limit.DeepCopy()
		}
	}
	if own.Requests == nil && len(asked) > 0 {
		own.Requests = asked
	}
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// podAddresses keeps the single address and the list of addresses in step; where they differ the single
// one was written by a client that does not know of the list.
func podAddresses(status *corev1.PodStatus) {
	switch {
	case status.PodIP != "" && (len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP):
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	case len(status.PodIPs) > 0:
		status.PodIP = status.PodIPs[0].IP
	}
}

func statusResources(status *corev1.PodStatus) {
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range list {
			Resources(list[i].AllocatedResources)
			if list[i].Resources != nil {
				requirements(list[i].Resources)
			}
		}
	}
}

// dropInitAnnotations removes annotations in which init containers were kept before they had a field; a
// node that knew them would run them.
func dropInitAnnotations(annotations map[string]string) {
	for _, key := range []string{
		"pod.beta.kubernetes.io/init-containers", "pod.alpha.kubernetes.io/init-containers",
		"pod.beta.kubernetes.io/init-container-statuses", "pod.alpha.kubernetes.io/init-container-statuses",
	} {
		delete(annotations, key)
	}
}
