package quota

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	podresources "k8s.io/component-helpers/resource"
)

// computing are the names of what pods ask a node for that a quota can limit under names of their own.
var computing = sets.New(
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
	corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage,
)

// mustBeSet are the names that every container has to give an amount for where a quota limits them.
var mustBeSet = sets.New(
	corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
	corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory,
)

// pods counts pods, and what those that have not ended ask for and are limited to.
func pods() Counter {
	r := schema.GroupResource{Resource: "pods"}
	return Counter{
		Resource: r,
		Charged: func(w Write) bool {
			return w.Create && w.Subresource == "" || !w.Create && w.Subresource == "resize"
		},
		Counts: func(name corev1.ResourceName) bool {
			return name == CountName(r) || name == corev1.ResourcePods || computing.Has(name) || isHugePages(name) || isExtendedRequest(name)
		},
		Use: func(obj runtime.Object, now time.Time) corev1.ResourceList {
			pod, is := obj.(*corev1.Pod)
			if !is {
				return nil
			}
			use := corev1.ResourceList{CountName(r): decimal(1)}
			if Holds(pod, now) {
				use = Add(use, usedByPod(pod))
			}
			return use
		},
		InScope: func(s corev1.ScopedResourceSelectorRequirement, obj runtime.Object) (bool, error) {
			pod, is := obj.(*corev1.Pod)
			if !is {
				return false, nil
			}
			return podInScope(s, pod)
		},
		Requires: podRequires,
	}
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// isExtendedRequest: of resources that nodes advertise only what is asked for can be limited, as they cannot be
// promised twice.
func isExtendedRequest(name corev1.ResourceName) bool {
	what, request := strings.CutPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	return request && (!isNative(corev1.ResourceName(what)) || strings.HasPrefix(what, resourcev1.ResourceDeviceClassPrefix))
}

func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

func isExtended(name corev1.ResourceName) bool {
	if strings.HasPrefix(string(name), resourcev1.ResourceDeviceClassPrefix) {
		return true
	}
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// Holds says whether a pod still holds what it asked for: it has neither ended nor outlived the time that it
// was given to end, as pods of lost nodes do.
func Holds(pod *corev1.Pod, now time.Time) bool {
	if pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return false
	}
	if pod.DeletionTimestamp == nil || pod.DeletionGracePeriodSeconds == nil {
		return true
	}
	return !now.After(pod.DeletionTimestamp.Add(time.Duration(*pod.DeletionGracePeriodSeconds) * time.Second))
}

func usedByPod(pod *corev1.Pod) corev1.ResourceList {
	options := podresources.PodResourcesOptions{UseStatusResources: true, InPlacePodLevelResourcesVerticalScalingEnabled: true}
	use := used(podresources.PodRequests(pod, options), podresources.PodLimits(pod, options))
	use[corev1.ResourcePods] = decimal(1)
	return use
}

// used gives requests and limits the names that quotas know them by.
func used(requests, limits corev1.ResourceList) corev1.ResourceList {
	use := corev1.ResourceList{}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if q, asked := requests[name]; asked {
			use[name], use[corev1.DefaultResourceRequestsPrefix+name] = q, q
		}
		if q, limited := limits[name]; limited {
			use["limits."+name] = q
		}
	}
	for name, q := range requests {
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			use[name], use[corev1.DefaultResourceRequestsPrefix+name] = q, q
		}
		if isExtended(name) {
			use[corev1.DefaultResourceRequestsPrefix+name] = q
		}
	}
	return use
}

// podRequires: where CPU or memory is limited, every container says how much it asks for, or the pod does for
// all of them.
func podRequires(names []corev1.ResourceName, obj runtime.Object) error {
	pod, is := obj.(*corev1.Pod)
	if !is || podresources.IsPodLevelResourcesSet(pod) {
		return nil
	}
	missing := map[corev1.ResourceName]sets.Set[string]{}
	for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range list {
			has := used(list[i].Resources.Requests, list[i].Resources.Limits)
			for _, name := range names {
				if _, set := has[name]; set || !mustBeSet.Has(name) {
					continue
				}
				if missing[name] == nil {
					missing[name] = sets.New[string]()
				}
				missing[name].Insert(list[i].Name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var parts []string
	for name, containers := range missing {
		parts = append(parts, fmt.Sprintf("%s for: %s", name, strings.Join(sets.List(containers), ",")))
	}
	slices.Sort(parts)
	return fmt.Errorf("must specify %s", strings.Join(parts, "; "))
}

func podInScope(s corev1.ScopedResourceSelectorRequirement, pod *corev1.Pod) (bool, error) {
	switch s.ScopeName {
	case corev1.ResourceQuotaScopeTerminating:
		return terminating(pod), nil
	case corev1.ResourceQuotaScopeNotTerminating:
		return !terminating(pod), nil
	case corev1.ResourceQuotaScopeBestEffort:
		return bestEffort(pod), nil
	case corev1.ResourceQuotaScopeNotBestEffort:
		return !bestEffort(pod), nil
	case corev1.ResourceQuotaScopePriorityClass:
		return selects(s, pod.Spec.PriorityClassName)
	case corev1.ResourceQuotaScopeCrossNamespacePodAffinity:
		return looksAbroad(pod), nil
	}
	return false, nil
}

// terminating: it ends by itself after a time.
func terminating(pod *corev1.Pod) bool {
	return pod.Spec.ActiveDeadlineSeconds != nil && *pod.Spec.ActiveDeadlineSeconds >= 0
}

// bestEffort: nothing of it asks for CPU or memory, or is limited in them.
func bestEffort(pod *corev1.Pod) bool {
	if pod.Status.QOSClass != "" {
		return pod.Status.QOSClass == corev1.PodQOSBestEffort
	}
	all := []corev1.ResourceRequirements{}
	if podresources.IsPodLevelResourcesSet(pod) {
		all = append(all, *pod.Spec.Resources)
	} else {
		for _, c := range slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers) {
			all = append(all, c.Resources)
		}
	}
	for _, r := range all {
		for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
			if list.Cpu().Sign() > 0 || list.Memory().Sign() > 0 {
				return false
			}
		}
	}
	return true
}

// looksAbroad: where it may run depends on pods of other namespaces.
func looksAbroad(pod *corev1.Pod) bool {
	a := pod.Spec.Affinity
	if a == nil {
		return false
	}
	var terms []corev1.PodAffinityTerm
	add := func(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm) {
		terms = append(terms, hard...)
		for _, t := range soft {
			terms = append(terms, t.PodAffinityTerm)
		}
	}
	if a.PodAffinity != nil {
		add(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		add(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool { return len(t.Namespaces) > 0 || t.NamespaceSelector != nil })
}
