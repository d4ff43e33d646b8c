package validation

import (
	"cmp"
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TakeResources copies from another spec what a resize may change: resources and resize policies of containers, and the
// pod's own resources. Where it has not the same containers, they are copied as they are: that is refused.
func TakeResources(spec, from *corev1.PodSpec) {
	spec.Containers = withResourcesOf(spec.Containers, from.Containers)
	spec.InitContainers = withResourcesOf(spec.InitContainers, from.InitContainers)
	spec.Resources = from.Resources
}

func withResourcesOf(list, from []corev1.Container) []corev1.Container {
	if !slices.EqualFunc(list, from, func(a, b corev1.Container) bool { return a.Name == b.Name }) {
		return from
	}
	for i := range list {
		list[i].Resources, list[i].ResizePolicy = from[i].Resources, from[i].ResizePolicy
	}
	return list
}

// Resize judges a change of what a running pod may use.
func Resize(ctx context.Context, pod, old *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods cannot be resized")}
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "windows pods cannot be resized")}
	}
	faults := wholePod(pod, OptionsFor(ctx, &old.Spec, &old.ObjectMeta))
	if QOS(&pod.Spec) != cmp.Or(old.Status.QOSClass, QOS(&old.Spec)) {
		faults = append(faults, field.Invalid(spec, pod.Status.QOSClass, "Pod QOS Class may not change as a result of resizing"))
	}
	if !resizable(old.Status.ContainerStatuses) {
		faults = append(faults, field.Forbidden(spec, "Pod running on node without support for resize"))
	}
	faults = append(faults, ownResize(spec, &pod.Spec, &old.Spec)...)
	moved := append(sameContainers(spec, "containers", pod.Spec.Containers, old.Spec.Containers),
		sameContainers(spec, "initContainers", pod.Spec.InitContainers, old.Spec.InitContainers)...)
	if len(moved) > 0 {
		return append(faults, moved...)
	}
	for _, part := range []struct {
		name     string
		now, was []corev1.Container
	}{{"initContainers", pod.Spec.InitContainers, old.Spec.InitContainers}, {"containers", pod.Spec.Containers, old.Spec.Containers}} {
		for i := range part.now {
			faults = append(faults, kept(spec.Child(part.name).Index(i).Child("resources"), &part.now[i].Resources, &part.was[i].Resources, "")...)
		}
	}
	faults = append(faults, onlyComputing(spec, &pod.Spec, &old.Spec)...)
	if len(faults) == 0 && !equality.Semantic.DeepEqual(withoutComputing(&pod.Spec), withoutComputing(&old.Spec)) {
		faults = append(faults, field.Forbidden(spec, onlyComputingChanges))
	}
	return faults
}

const onlyComputingChanges = "only cpu and memory resources are mutable"

// resizable says whether the node that runs these containers reports what they may use: an old one could not resize them.
func resizable(statuses []corev1.ContainerStatus) bool {
	i := slices.IndexFunc(statuses, func(s corev1.ContainerStatus) bool { return s.State.Running != nil })
	return i < 0 || statuses[i].Resources != nil
}

// ownResize judges the change of what the pod as a whole may use.
func ownResize(spec *field.Path, now, was *corev1.PodSpec) field.ErrorList {
	set := func(r *corev1.ResourceRequirements) bool { return r != nil && len(r.Requests)+len(r.Limits) > 0 }
	if !set(now.Resources) && !set(was.Resources) {
		return nil
	}
	path := spec.Child("resources")
	var faults field.ErrorList
	switch {
	case was.Resources != nil && now.Resources == nil:
		return field.ErrorList{field.Forbidden(path, "pod-level resources cannot be removed")}
	case was.Resources != nil:
		faults = kept(path, now.Resources, was.Resources, "pod-level ")
	}
	if !equality.Semantic.DeepEqual(restOf(now.Resources), restOf(was.Resources)) {
		faults = append(faults, field.Forbidden(spec, "only cpu and memory resources are mutable at pod-level"))
	}
	return faults
}

// sameContainers refuses other containers, and the same in another order.
func sameContainers(spec *field.Path, name string, now, was []corev1.Container) field.ErrorList {
	path := spec.Child(name)
	if len(now) != len(was) {
		return field.ErrorList{field.Forbidden(path, name+" may not be added or removed on resize")}
	}
	var faults field.ErrorList
	for i := range was {
		if now[i].Name != was[i].Name {
			faults = append(faults, field.Forbidden(path.Index(i).Child("name"), name+" may not be renamed or reordered on resize"))
		}
	}
	return faults
}

// kept refuses that a limit or request goes: what a running container was given cannot become unbounded.
func kept(path *field.Path, now, was *corev1.ResourceRequirements, whose string) field.ErrorList {
	var faults field.ErrorList
	if lost(now.Requests, was.Requests) {
		faults = append(faults, field.Forbidden(path.Child("requests"), whose+"resource requests cannot be removed"))
	}
	if lost(now.Limits, was.Limits) {
		faults = append(faults, field.Forbidden(path.Child("limits"), whose+"resource limits cannot be removed"))
	}
	return faults
}

func lost(now, was corev1.ResourceList) bool {
	for name := range was {
		if _, has := now[name]; !has {
			return true
		}
	}
	return false
}

// onlyComputing refuses changes of containers' other resources, and of what an init container would have to be started
// again for.
func onlyComputing(spec *field.Path, now, was *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	// One that uses claims is never taken for the same: upstream drops the claims of one of the two that it compares.
	same := func(a, b *corev1.Container) bool {
		return len(b.Resources.Claims) == 0 && equality.Semantic.DeepEqual(restOf(&a.Resources), restOf(&b.Resources)) && equality.Semantic.DeepEqual(a.ResizePolicy, b.ResizePolicy)
	}
	for i := range now.Containers {
		if !same(&now.Containers[i], &was.Containers[i]) {
			faults = append(faults, field.Forbidden(spec, onlyComputingChanges))
		}
	}
	for i := range now.InitContainers {
		c, at := &now.InitContainers[i], spec.Child("initContainers").Index(i)
		if !same(c, &was.InitContainers[i]) {
			faults = append(faults, field.Forbidden(at, "only cpu and memory resources for init or sidecar containers are mutable"))
		}
		if IsSidecar(c) || equality.Semantic.DeepEqual(c, &was.InitContainers[i]) {
			continue
		}
		for _, p := range c.ResizePolicy {
			if p.RestartPolicy == corev1.RestartContainer {
				faults = append(faults, field.Forbidden(at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"))
			}
		}
	}
	return faults
}

// restOf copies requirements, where there are any, without their amounts of CPU and memory; nothing is left of none.
func restOf(r *corev1.ResourceRequirements) corev1.ResourceRequirements {
	if r == nil {
		return corev1.ResourceRequirements{}
	}
	rest := r.DeepCopy()
	for _, list := range []corev1.ResourceList{rest.Limits, rest.Requests} {
		delete(list, corev1.ResourceCPU)
		delete(list, corev1.ResourceMemory)
	}
	return *rest
}

// withoutComputing copies a spec without what a resize may change.
func withoutComputing(spec *corev1.PodSpec) *corev1.PodSpec {
	rest := spec.DeepCopy()
	for _, list := range [][]corev1.Container{rest.Containers, rest.InitContainers} {
		for i := range list {
			list[i].Resources = restOf(&list[i].Resources)
		}
	}
	rest.Resources = nil
	return rest
}
