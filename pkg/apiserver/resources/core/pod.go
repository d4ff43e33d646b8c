// Package core declares the resources of the core group.
package core

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/names"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	podvalidation "github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// PodDeps is what pods need beside their own key.
type PodDeps struct {
	Access resource.Access
	Clock  clock.PassiveClock
	// Streams are the subresources that reach into the pod on its node: log, exec, attach, portforward, proxy.
	Streams []resource.Subresource[*corev1.Pod]
}

// Pod declares pods.
func Pod(d PodDeps) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Pod]{
		Kind:        corev1.SchemeGroupVersion.WithKind("Pod"),
		Plural:      "pods",
		ShortNames:  []string{"po"},
		Categories:  []string{"all"},
		WholeUpdate: true,
		Shares:      true,
		Default:     defaults.Pod,
		Prepare: func(ctx context.Context, pod, old *corev1.Pod) {
			if old != nil {
				pod.Status = old.Status
				podvalidation.DropSwitchedOff(&pod.Spec, &old.Spec)
				return
			}
			prepareNewPod(ctx, pod, d)
		},
		Validate:      validatePod,
		Warn:          warnPod,
		Spec:          func(p *corev1.Pod) any { return &p.Spec },
		Reset:         []string{"status"},
		Grace:         podGrace,
		ReturnDeleted: true,
		Columns:       podColumns(),
		Row:           podRow,
		RowConditions: podRowConditions,
		Fields:        podFields,
		FieldNames: []string{"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
			"status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"},
		FieldAliases: map[string]string{"spec.host": "spec.nodeName"}, // clients of long ago
		Indexed:      []string{"spec.nodeName"},
		Subresources: append([]resource.Subresource[*corev1.Pod]{
			podStatus(),
			podBinding(d),
			podEviction(d),
			podEphemeralContainers(),
			podResize(),
		}, d.Streams...),
	})
}

func prepareNewPod(ctx context.Context, pod *corev1.Pod, d PodDeps) {
	podvalidation.DropSwitchedOff(&pod.Spec, nil)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: podvalidation.QOS(&pod.Spec)}
	if len(pod.Spec.SchedulingGates) > 0 {
		setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
			Reason: corev1.PodReasonSchedulingGated, Message: "Scheduling is blocked due to non-empty scheduling gates"}, d)
	}
	podvalidation.SelectByOwnLabels(pod)
	for _, text := range podvalidation.AppArmorFromAnnotations(pod) {
		request.Warn(ctx, text)
	}
}

func validatePod(ctx context.Context, pod, old *corev1.Pod) field.ErrorList {
	if old == nil {
		return podvalidation.Pod(ctx, pod)
	}
	return podvalidation.PodUpdate(ctx, pod, old, resource.SpecIsJudged(ctx))
}

// warnPod speaks at creation only: updates come from machines.
func warnPod(_ context.Context, pod, old *corev1.Pod) []string {
	if old != nil {
		return nil
	}
	var warnings []string
	if !names.IsLabel(pod.Name) {
		texts := validation.IsDNS1123Label(pod.Name)
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", texts))
	}
	return append(warnings, podvalidation.PodWarnings(nil, &pod.ObjectMeta, &pod.Spec)...)
}

// warnPodStatus tells of addresses that are not spelled as they should be.
func warnPodStatus(_ context.Context, pod, _ *corev1.Pod) []string {
	var warnings []string
	warn := func(list string, i int, ip string) {
		if len(validation.GetWarningsForIP(nil, ip)) > 0 { // seldom: the path is made then
			warnings = append(warnings, validation.GetWarningsForIP(field.NewPath("status", list).Index(i).Child("ip"), ip)...)
		}
	}
	for i, ip := range pod.Status.PodIPs {
		warn("podIPs", i, ip.IP)
	}
	for i, ip := range pod.Status.HostIPs {
		warn("hostIPs", i, ip.IP)
	}
	return warnings
}

// podGrace is how long a pod may take to end: no time where nothing of it runs.
func podGrace(pod *corev1.Pod, asked *int64) int64 {
	var seconds int64
	if asked != nil {
		seconds = *asked
	} else if pod.Spec.TerminationGracePeriodSeconds != nil {
		seconds = *pod.Spec.TerminationGracePeriodSeconds
	}
	finished := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	if pod.Spec.NodeName == "" || finished {
		return 0
	}
	if seconds < 0 {
		return 1
	}
	return seconds
}

func podFields(pod *corev1.Pod) map[string]string {
	fields := map[string]string{
		"spec.nodeName":            pod.Spec.NodeName,
		"spec.restartPolicy":       string(pod.Spec.RestartPolicy),
		"spec.schedulerName":       pod.Spec.SchedulerName,
		"spec.serviceAccountName":  pod.Spec.ServiceAccountName,
		"spec.hostNetwork":         strconv.FormatBool(pod.Spec.HostNetwork),
		"status.phase":             string(pod.Status.Phase),
		"status.podIP":             "",
		"status.nominatedNodeName": pod.Status.NominatedNodeName,
	}
	if len(pod.Status.PodIPs) > 0 {
		fields["status.podIP"] = pod.Status.PodIPs[0].IP
	}
	return fields
}

func podStatus() resource.Subresource[*corev1.Pod] {
	return resource.Subresource[*corev1.Pod]{
		Name:  "status",
		Kind:  corev1.SchemeGroupVersion.WithKind("Pod"),
		Verbs: []string{"get", "patch", "update"},
		Update: &resource.UpdatePart[*corev1.Pod]{
			Prepare: func(_ context.Context, pod, old *corev1.Pod) {
				pod.Spec = old.Spec
				// Old kubelets send owners back wrong, and none may end a deletion by this way.
				pod.OwnerReferences = old.OwnerReferences
				pod.DeletionTimestamp = old.DeletionTimestamp
				if pod.Status.QOSClass == "" {
					pod.Status.QOSClass = old.Status.QOSClass
				}
				keepObservedGenerations(&pod.Status, &old.Status)
				podvalidation.DropSwitchedOffStatus(&pod.Status, &old.Status)
			},
			Validate: func(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
				return podvalidation.PodStatusUpdate(pod, old)
			},
			Warn:  warnPodStatus,
			Reset: []string{"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"},
		},
	}
}

// keepObservedGenerations gives a status, and its conditions, the generations back that a client which does not
// know the field has left out. Conditions of one type are matched in their order.
func keepObservedGenerations(status, old *corev1.PodStatus) {
	if status.ObservedGeneration == 0 {
		status.ObservedGeneration = old.ObservedGeneration
	}
	seen := map[corev1.PodConditionType][]int64{}
	for _, c := range old.Conditions {
		seen[c.Type] = append(seen[c.Type], c.ObservedGeneration)
	}
	for i := range status.Conditions {
		c := &status.Conditions[i]
		was := seen[c.Type]
		if len(was) == 0 {
			continue
		}
		seen[c.Type] = was[1:]
		if c.ObservedGeneration == 0 && was[0] != 0 {
			c.ObservedGeneration = was[0]
		}
	}
}

func podEphemeralContainers() resource.Subresource[*corev1.Pod] {
	return resource.Subresource[*corev1.Pod]{
		Name:  "ephemeralcontainers",
		Kind:  corev1.SchemeGroupVersion.WithKind("Pod"),
		Verbs: []string{"get", "patch", "update"},
		Update: &resource.UpdatePart[*corev1.Pod]{
			Prepare: func(_ context.Context, pod, old *corev1.Pod) {
				asked := pod.Spec.EphemeralContainers
				keepAllOf(pod, old)
				pod.Spec.EphemeralContainers = asked
			},
			Validate: func(ctx context.Context, pod, old *corev1.Pod) field.ErrorList {
				return podvalidation.EphemeralContainersUpdate(ctx, pod, old)
			},
			Counts: true,
		},
	}
}

func podResize() resource.Subresource[*corev1.Pod] {
	return resource.Subresource[*corev1.Pod]{
		Name:  "resize",
		Kind:  corev1.SchemeGroupVersion.WithKind("Pod"),
		Verbs: []string{"get", "patch", "update"},
		Update: &resource.UpdatePart[*corev1.Pod]{
			Prepare: func(_ context.Context, pod, old *corev1.Pod) {
				asked := pod.Spec.DeepCopy()
				keepAllOf(pod, old)
				podvalidation.TakeResources(&pod.Spec, asked)
			},
			Validate: func(ctx context.Context, pod, old *corev1.Pod) field.ErrorList {
				return podvalidation.Resize(ctx, pod, old)
			},
			Counts: true,
		},
	}
}

// keepAllOf undoes every change but to what identifies the pod and the write.
func keepAllOf(pod, old *corev1.Pod) {
	metav1.ResetObjectMetaForStatus(&pod.ObjectMeta, &old.ObjectMeta)
	pod.Spec, pod.Status = *old.Spec.DeepCopy(), old.Status
}

var (
	podResource    = corev1.Resource("pods")
	budgetResource = policyv1.Resource("poddisruptionbudgets")
)
