package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// QOS is the class that the kubelet evicts and protects by: Guaranteed where every container is given as
// much CPU and memory as it may ever use, BestEffort where none asks for any, Burstable between. A pod's
// own resources stand in for those of its containers.
func QOS(spec *corev1.PodSpec) corev1.PodQOSClass {
	var all []corev1.ResourceRequirements
	if r := spec.Resources; r != nil && len(r.Limits)+len(r.Requests) > 0 {
		all = append(all, *r)
	} else {
		for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
			all = append(all, c.Resources)
		}
	}
	asked, guaranteed := false, true
	for _, r := range all {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := r.Requests[name], r.Limits[name]
			asked = asked || request.Sign() > 0 || limit.Sign() > 0
			guaranteed = guaranteed && limit.Sign() > 0 && (request.IsZero() || request.Cmp(limit) == 0)
		}
	}
	switch {
	case !asked:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}

// DropSwitchedOff removes fields whose features are off in this version. What an old object has of them it
// keeps.
func DropSwitchedOff(spec, old *corev1.PodSpec) {
	if old == nil || old.SchedulingGroup == nil {
		spec.SchedulingGroup = nil
	}
	dropStopSignals(spec, old)
	hasBundle, hasCertificate := false, false
	if old != nil {
		eachProjection(old, func(p *corev1.VolumeProjection) {
			hasBundle = hasBundle || p.ClusterTrustBundle != nil
			hasCertificate = hasCertificate || p.PodCertificate != nil
		})
	}
	eachProjection(spec, func(p *corev1.VolumeProjection) {
		if !hasBundle && p.ClusterTrustBundle != nil {
			p.ClusterTrustBundle = nil
		}
		if !hasCertificate && p.PodCertificate != nil {
			p.PodCertificate = nil
		}
	})
}

// dropStopSignals takes the signals off that containers ask to be stopped by, and the lifecycles that hold
// nothing else.
func dropStopSignals(spec, old *corev1.PodSpec) {
	has := false
	if old != nil {
		eachContainer(nil, old, func(_ containerAt, c *corev1.Container) {
			has = has || c.Lifecycle != nil && c.Lifecycle.StopSignal != nil
		})
	}
	if has {
		return
	}
	drop := func(l **corev1.Lifecycle) {
		if *l == nil || (*l).StopSignal == nil {
			return
		}
		if (*l).StopSignal = nil; **l == (corev1.Lifecycle{}) {
			*l = nil
		}
	}
	for i := range spec.Containers {
		drop(&spec.Containers[i].Lifecycle)
	}
	for i := range spec.InitContainers {
		drop(&spec.InitContainers[i].Lifecycle)
	}
	for i := range spec.EphemeralContainers {
		drop(&spec.EphemeralContainers[i].Lifecycle)
	}
}

// DropSwitchedOffStatus does for a pod's status what DropSwitchedOff does for its spec.
func DropSwitchedOffStatus(status, old *corev1.PodStatus) {
	if len(old.NodeAllocatableResourceClaimStatuses) == 0 {
		status.NodeAllocatableResourceClaimStatuses = nil
	}
	digests := false
	each := func(s *corev1.PodStatus, visit func(*corev1.ContainerStatus)) {
		for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses, s.EphemeralContainerStatuses} {
			for i := range list {
				visit(&list[i])
			}
		}
	}
	each(old, func(c *corev1.ContainerStatus) {
		digests = digests || slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMountStatus) bool { return m.VolumeStatus != nil })
	})
	each(status, func(c *corev1.ContainerStatus) {
		for i := range c.VolumeMounts {
			if !digests && c.VolumeMounts[i].VolumeStatus != nil {
				c.VolumeMounts[i].VolumeStatus = nil
			}
		}
	})
}

func eachProjection(spec *corev1.PodSpec, visit func(p *corev1.VolumeProjection)) {
	for i := range spec.Volumes {
		if v := spec.Volumes[i].Projected; v != nil {
			for j := range v.Sources {
				visit(&v.Sources[j])
			}
		}
	}
}

// SelectByOwnLabels writes the values that a pod's own labels have for matchLabelKeys and
// mismatchLabelKeys into the selectors beside them, so that the scheduler reads selectors alone.
func SelectByOwnLabels(pod *corev1.Pod) {
	for i := range pod.Spec.TopologySpreadConstraints {
		c := &pod.Spec.TopologySpreadConstraints[i]
		merge(c.LabelSelector, pod.Labels, c.MatchLabelKeys, metav1.LabelSelectorOpIn)
	}
	if pod.Spec.Affinity == nil {
		return
	}
	terms := func(hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm) {
		for i := range hard {
			mergeTerm(&hard[i], pod.Labels)
		}
		for i := range soft {
			mergeTerm(&soft[i].PodAffinityTerm, pod.Labels)
		}
	}
	if a := pod.Spec.Affinity.PodAffinity; a != nil {
		terms(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a := pod.Spec.Affinity.PodAntiAffinity; a != nil {
		terms(a.RequiredDuringSchedulingIgnoredDuringExecution, a.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func mergeTerm(t *corev1.PodAffinityTerm, labels map[string]string) {
	merge(t.LabelSelector, labels, t.MatchLabelKeys, metav1.LabelSelectorOpIn)
	merge(t.LabelSelector, labels, t.MismatchLabelKeys, metav1.LabelSelectorOpNotIn)
}

func merge(selector *metav1.LabelSelector, labels map[string]string, keys []string, operator metav1.LabelSelectorOperator) {
	if selector == nil {
		return
	}
	for _, key := range keys {
		if value, has := labels[key]; has {
			selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: []string{value}})
		}
	}
}
