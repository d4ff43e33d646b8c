package validation

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/names"
)

var systemConditions = []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized}

// ConditionTrue says whether a condition of a pod holds.
func ConditionTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

const notNegativeCount = "must be a non-negative integer"

// PodStatusUpdate judges what is reported of a pod.
func PodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	status := field.NewPath("status")
	faults := annotationUpdates(field.NewPath("metadata", "annotations"), pod, old, PodOptions{DeletionCost: deletionCost(old.Annotations) != nil})
	for i, c := range pod.Status.Conditions {
		if c.ObservedGeneration < 0 {
			faults = append(faults, field.Invalid(status.Child("conditions").Index(i).Child("observedGeneration"), c.ObservedGeneration, notNegativeCount))
		}
		if !slices.Contains(systemConditions, c.Type) && !names.IsKey(string(c.Type)) {
			faults = append(faults, qualified(status.Child("conditions").Index(i).Child("Type"), string(c.Type))...)
		}
	}
	if name := pod.Status.NominatedNodeName; name != "" && name != old.Status.NominatedNodeName {
		faults = append(faults, DNSSubdomain(status.Child("nominatedNodeName"), name)...)
		if old.Spec.NodeName != "" {
			faults = append(faults, field.Forbidden(status.Child("nominatedNodeName"), "may not be set on pods that are already bound to a node"))
		}
	}
	if pod.Status.ObservedGeneration < 0 {
		faults = append(faults, field.Invalid(status.Child("observedGeneration"), pod.Status.ObservedGeneration, notNegativeCount))
	}
	if pod.Status.QOSClass != old.Status.QOSClass {
		faults = append(faults, Unchanged(status.Child("qosClass"), pod.Status.QOSClass, old.Status.QOSClass)...)
	}
	faults = append(faults, stateTransitions(status, "containerStatuses", pod.Status.ContainerStatuses, old.Status.ContainerStatuses, &old.Spec, old.Spec.Containers)...)
	faults = append(faults, stateTransitions(status, "initContainerStatuses", pod.Status.InitContainerStatuses, old.Status.InitContainerStatuses, &old.Spec, old.Spec.InitContainers)...)
	faults = append(faults, ephemeralTransitions(status, "ephemeralContainerStatuses", pod.Status.EphemeralContainerStatuses, old.Status.EphemeralContainerStatuses)...)
	faults = append(faults, claimStatuses(status, pod)...)
	faults = append(faults, extendedClaim(status, pod)...)
	faults = append(faults, addresses(status, "podIPs", podIPs(pod), podIPs(old), pod.Status.PodIPs)...)
	if all := pod.Status.HostIPs; len(all) > 0 && all[0].IP != pod.Status.HostIP {
		faults = append(faults, field.Invalid(status.Child("hostIPs").Index(0).Child("ip"), all[0].IP, "must be equal to `hostIP`"))
	}
	faults = append(faults, addresses(status, "hostIPs", hostIPs(pod), hostIPs(old), pod.Status.HostIPs)...)
	return append(faults, reportedContainers(status, pod)...)
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

// stateTransitions refuses that a container which its policy forbids to restart is reported to run again.
func stateTransitions(status *field.Path, list string, now, was []corev1.ContainerStatus, spec *corev1.PodSpec, containers []corev1.Container) field.ErrorList {
	if restartsAll(spec.InitContainers) || restartsAll(spec.Containers) {
		return nil
	}
	return noTransitionFromTerminated(status, list, now, was, func(s *corev1.ContainerStatus) bool {
		i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
		return i >= 0 && mayRestart(&containers[i], spec.RestartPolicy, s.State.Terminated.ExitCode)
	})
}

// ephemeralTransitions is stateTransitions for containers that only look into a pod.
func ephemeralTransitions(status *field.Path, list string, now, was []corev1.ContainerStatus) field.ErrorList {
	return noTransitionFromTerminated(status, list, now, was, func(*corev1.ContainerStatus) bool { return false })
}

func noTransitionFromTerminated(status *field.Path, list string, now, was []corev1.ContainerStatus, may func(*corev1.ContainerStatus) bool) field.ErrorList {
	var faults field.ErrorList
	for i := range was {
		if was[i].State.Terminated == nil || may(&was[i]) {
			continue
		}
		if slices.ContainsFunc(now, func(s corev1.ContainerStatus) bool { return s.Name == was[i].Name && s.State.Terminated == nil }) {
			faults = append(faults, field.Forbidden(status.Child(list).Index(i).Child("state"), "may not be transitioned to non-terminated state"))
		}
	}
	return faults
}

// restartsAll says whether the end of one of these containers may have all of the pod's start anew.
func restartsAll(containers []corev1.Container) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.Action == corev1.ContainerRestartRuleActionRestartAllContainers
		})
	})
}

// mayRestart says whether a container may run again after it ended so: by a rule of its own, its own policy, or its pod's.
func mayRestart(c *corev1.Container, policy corev1.RestartPolicy, exitCode int32) bool {
	if c.RestartPolicy != nil {
		if slices.ContainsFunc(c.RestartPolicyRules, func(r corev1.ContainerRestartRule) bool {
			return r.ExitCodes != nil && slices.Contains(r.ExitCodes.Values, exitCode) == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn)
		}) {
			return true
		}
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	return policy == corev1.RestartPolicyAlways || policy == corev1.RestartPolicyOnFailure && exitCode != 0
}

// addresses judges a list of the addresses of a pod or its host: at most one of each family. shown is the list that
// clients know.
func addresses(status *field.Path, list string, now, was []string, shown any) field.ErrorList {
	var faults field.ErrorList
	for i, ip := range now {
		if !slices.Contains(was, ip) {
			faults = append(faults, utilvalidation.IsValidIPForLegacyField(status.Child(list).Index(i), ip, true, nil)...)
		}
	}
	if len(now) < 2 {
		return faults
	}
	dual, err := netutils.IsDualStackIPStrings(now)
	if err != nil {
		faults = append(faults, field.InternalError(status.Child(list), fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(now) > 2 {
		faults = append(faults, field.Invalid(status.Child(list), GoNames(shown), "may specify no more than one IP for each IP family"))
	}
	return faults
}
