package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

var systemConditions = []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized}

// ConditionTrue says whether a condition of a pod holds.
func ConditionTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

// PodStatusUpdate judges what is reported of a pod.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	status := field.NewPath("status")
	faults := annotationUpdates(field.NewPath("metadata", "annotations"), pod, old, PodOptions{DeletionCost: deletionCost(old.Annotations) != nil})
	for i, c := range pod.Status.Conditions {
		at := status.Child("conditions").Index(i)
		if c.ObservedGeneration < 0 {
			faults = append(faults, field.Invalid(at.Child("observedGeneration"), c.ObservedGeneration, notNegative))
		}
		if !slices.Contains(systemConditions, c.Type) {
			faults = append(faults, qualified(at.Child("Type"), string(c.Type))...)
		}
	}
	if name := pod.Status.NominatedNodeName; name != "" && name != old.Status.NominatedNodeName {
		faults = append(faults, DNSSubdomain(status.Child("nominatedNodeName"), name)...)
	}
	if pod.Status.ObservedGeneration < 0 {
		faults = append(faults, field.Invalid(status.Child("observedGeneration"), pod.Status.ObservedGeneration, notNegative))
	}
	faults = append(faults, Unchanged(status.Child("qosClass"), pod.Status.QOSClass, old.Status.QOSClass)...)
	faults = append(faults, restarts(status.Child("containerStatuses"), pod.Status.ContainerStatuses, old.Status.ContainerStatuses, &old.Spec, old.Spec.Containers)...)
	faults = append(faults, restarts(status.Child("initContainerStatuses"), pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, &old.Spec, old.Spec.InitContainers)...)
	faults = append(faults, addresses(status.Child("podIPs"), podIPs(pod), podIPs(old))...)
	return append(faults, addresses(status.Child("hostIPs"), hostIPs(pod), hostIPs(old))...)
}

func podIPs(pod *corev1.Pod) []string {
	var ips []string
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

func hostIPs(pod *corev1.Pod) []string {
	var ips []string
	for _, ip := range pod.Status.HostIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

// restarts refuses that a container which its policy forbids to restart is reported to run again.
func restarts(path *field.Path, now, was []corev1.ContainerStatus, spec *corev1.PodSpec, containers []corev1.Container) field.ErrorList {
	if spec.RestartPolicy == corev1.RestartPolicyAlways {
		return nil
	}
	var faults field.ErrorList
	for i, old := range was {
		if old.State.Terminated == nil || mayRestart(&old, spec, containers) {
			continue
		}
		for _, s := range now {
			if s.Name == old.Name && s.State.Terminated == nil {
				faults = append(faults, field.Forbidden(path.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return faults
}

func mayRestart(s *corev1.ContainerStatus, spec *corev1.PodSpec, containers []corev1.Container) bool {
	if s.State.Terminated.ExitCode != 0 && spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		return true
	}
	for _, c := range containers {
		if c.Name == s.Name {
			return c.RestartPolicy != nil && *c.RestartPolicy != corev1.ContainerRestartPolicyNever || len(c.RestartPolicyRules) > 0
		}
	}
	return false
}

// addresses judges the addresses of a pod or its host: at most one of each family.
func addresses(path *field.Path, now, was []string) field.ErrorList {
	if len(now) == 0 || slices.Equal(now, was) {
		return nil
	}
	var faults field.ErrorList
	for i, ip := range now {
		faults = append(faults, utilvalidation.IsValidIPForLegacyField(path.Index(i), ip, true, was)...)
	}
	if len(now) < 2 {
		return faults
	}
	dual, err := netutils.IsDualStackIPStrings(now)
	if err != nil {
		faults = append(faults, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(now) > 2 {
		faults = append(faults, field.Invalid(path, now, "may specify no more than one IP for each IP family"))
	}
	return faults
}
