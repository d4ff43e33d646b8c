package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TakeResources copies from another spec what a resize may change: resources and resize policies of
// containers and sidecars, and the pod's own resources.
func TakeResources(spec, from *corev1.PodSpec) {
	if len(spec.Containers) == len(from.Containers) {
		for i := range spec.Containers {
			spec.Containers[i].Resources = from.Containers[i].Resources
			spec.Containers[i].ResizePolicy = from.Containers[i].ResizePolicy
		}
	}
	if len(spec.InitContainers) == len(from.InitContainers) {
		for i := range spec.InitContainers {
			if IsSidecar(&spec.InitContainers[i]) {
				spec.InitContainers[i].Resources = from.InitContainers[i].Resources
				spec.InitContainers[i].ResizePolicy = from.InitContainers[i].ResizePolicy
			}
		}
	}
	spec.Resources = from.Resources
}

// Resize judges a change of what a running pod may use.
func Resize(pod, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	faults := wholePod(pod, OptionsFor(&old.Spec, &old.ObjectMeta))
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return append(faults, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return append(faults, field.Forbidden(field.NewPath(""), "windows pods cannot be resized"))
	}
	if QOS(&pod.Spec) != old.Status.QOSClass {
		faults = append(faults, field.Invalid(spec, pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	compare := func(path *field.Path, now, was []corev1.Container) {
		for i := range min(len(now), len(was)) {
			faults = append(faults, kept(path.Index(i).Child("resources"), &now[i].Resources, &was[i].Resources)...)
		}
	}
	compare(spec.Child("containers"), pod.Spec.Containers, old.Spec.Containers)
	compare(spec.Child("initContainers"), pod.Spec.InitContainers, old.Spec.InitContainers)
	if pod.Spec.Resources != nil && old.Spec.Resources != nil {
		faults = append(faults, kept(spec.Child("resources"), pod.Spec.Resources, old.Spec.Resources)...)
	}
	if !equality.Semantic.DeepEqual(withoutComputing(&pod.Spec), withoutComputing(&old.Spec)) {
		faults = append(faults, field.Forbidden(spec, "only cpu and memory resources are mutable"))
	}
	return faults
}

// kept refuses that a limit or request goes: what a running container was given cannot become unbounded.
func kept(path *field.Path, now, was *corev1.ResourceRequirements) field.ErrorList {
	var faults field.ErrorList
	if lost(now.Limits, was.Limits) {
		faults = append(faults, field.Forbidden(path.Child("limits"), "resource limits cannot be removed"))
	}
	if lost(now.Requests, was.Requests) {
		faults = append(faults, field.Forbidden(path.Child("requests"), "resource requests cannot be removed"))
	}
	return faults
}

func lost(now, was corev1.ResourceList) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		_, had := was[name]
		if _, has := now[name]; had && !has {
			return true
		}
	}
	return false
}

// withoutComputing copies a spec without its amounts of CPU and memory.
func withoutComputing(spec *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	clear := func(r *corev1.ResourceRequirements) {
		for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
			delete(list, corev1.ResourceCPU)
			delete(list, corev1.ResourceMemory)
		}
	}
	for i := range rest.Containers {
		clear(&rest.Containers[i].Resources)
		rest.Containers[i].ResizePolicy = nil
	}
	for i := range rest.InitContainers {
		clear(&rest.InitContainers[i].Resources)
		rest.InitContainers[i].ResizePolicy = nil
	}
	if rest.Resources != nil {
		clear(rest.Resources)
	}
	return rest
}
