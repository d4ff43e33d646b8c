package validation

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const changeable = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// wholePod judges a pod beside its metadata, in any write.
func wholePod(pod *corev1.Pod, options PodOptions) field.ErrorList {
	spec := field.NewPath("spec")
	faults := podAnnotations(field.NewPath("metadata", "annotations"), pod.Annotations, &pod.Spec, options)
	faults = append(faults, PodSpec(spec, &pod.Spec, &pod.ObjectMeta, options)...)
	if pod.Spec.ServiceAccountName == "" {
		for i, v := range pod.Spec.Volumes {
			if v.Projected == nil {
				continue
			}
			for j, source := range v.Projected.Sources {
				if source.ServiceAccountToken != nil {
					faults = append(faults, field.Forbidden(spec.Child("volumes").Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"),
						"must not be specified when serviceAccountName is not set"))
				}
			}
		}
	}
	faults = append(faults, imagesTrimmed(spec.Child("containers"), pod.Spec.Containers)...)
	return append(faults, imagesTrimmed(spec.Child("initContainers"), pod.Spec.InitContainers)...)
}

// Pod judges a pod that is to be created.
func Pod(ctx context.Context, pod *corev1.Pod) field.ErrorList {
	spec := field.NewPath("spec")
	faults := wholePod(pod, OptionsFor(ctx, nil, nil))
	if len(pod.Spec.EphemeralContainers) > 0 {
		faults = append(faults, field.Forbidden(spec.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		faults = append(faults, field.Forbidden(spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return append(faults, profilesMatch(spec, pod.Annotations, &pod.Spec)...)
}

// PodUpdate judges a change to a pod: next to nothing of its spec may differ. judged says that the spec is the old one,
// and was found without fault before.
func PodUpdate(ctx context.Context, pod, old *corev1.Pod, judged bool) field.ErrorList {
	spec, annotations := field.NewPath("spec"), field.NewPath("metadata", "annotations")
	if judged {
		options := PodOptions{DeletionCost: deletionCost(old.Annotations) != nil}
		return append(podAnnotations(annotations, pod.Annotations, &pod.Spec, options), annotationUpdates(annotations, pod, old, options)...)
	}
	options := OptionsFor(ctx, &old.Spec, &old.ObjectMeta)
	faults := wholePod(pod, options)
	faults = append(faults, annotationUpdates(annotations, pod, old, options)...)
	for _, pair := range []struct {
		name     string
		new, old []corev1.Container
	}{{"containers", pod.Spec.Containers, old.Spec.Containers}, {"initContainers", pod.Spec.InitContainers, old.Spec.InitContainers}} {
		at := spec.Child(pair.name)
		if len(pair.new) != len(pair.old) {
			return append(faults, field.Forbidden(at, "pod updates may not add or remove containers"))
		}
		for i, c := range pair.new {
			if c.Image == "" {
				faults = append(faults, field.Required(at.Index(i).Child("image"), ""))
			}
		}
		faults = append(faults, imagesTrimmed(at, pair.new)...)
	}
	more, stop := deadlineUpdate(spec.Child("activeDeadlineSeconds"), pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds)
	if faults = append(faults, more...); stop {
		return faults
	}
	faults = append(faults, onlyAddedTolerations(spec.Child("tolerations"), pod.Spec.Tolerations, old.Spec.Tolerations)...)
	faults = append(faults, onlyRemovedGates(spec.Child("schedulingGates"), pod.Spec.SchedulingGates, old.Spec.SchedulingGates)...)
	if reflect.DeepEqual(&pod.Spec, &old.Spec) || equality.Semantic.DeepEqual(&pod.Spec, &old.Spec) {
		return faults
	}
	rest, more := withoutChangeable(spec, &pod.Spec, &old.Spec)
	faults = append(faults, more...)
	if !equality.Semantic.DeepEqual(rest, &old.Spec) {
		faults = append(faults, field.Forbidden(spec, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			changeable, diff.Diff(GoNames(old.Spec), GoNames(*rest)))))
	}
	return faults
}

// withoutChangeable copies a spec with all that may change set back to the old one's.
func withoutChangeable(path *field.Path, spec, old *corev1.PodSpec) (*corev1.PodSpec, field.ErrorList) {
	rest := spec.DeepCopy()
	for i := range rest.Containers {
		rest.Containers[i].Image = old.Containers[i].Image
	}
	for i := range rest.InitContainers {
		rest.InitContainers[i].Image = old.InitContainers[i].Image
	}
	rest.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	rest.SchedulingGates = old.SchedulingGates
	rest.Tolerations = old.Tolerations
	if was := old.TerminationGracePeriodSeconds; was != nil && *was < 0 && rest.TerminationGracePeriodSeconds != nil && *rest.TerminationGracePeriodSeconds == 1 {
		rest.TerminationGracePeriodSeconds = was
	}
	var faults field.ErrorList
	if len(old.SchedulingGates) > 0 {
		faults = narrowedScheduling(path, rest, old)
	}
	return rest, faults
}

// narrowedScheduling lets a pod that is held back from the scheduler be bound to fewer nodes.
func narrowedScheduling(path *field.Path, rest, old *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	if !equality.Semantic.DeepEqual(rest.NodeSelector, old.NodeSelector) {
		for key, value := range old.NodeSelector {
			if now, kept := rest.NodeSelector[key]; !kept || now != value {
				faults = append(faults, field.Invalid(path.Child("nodeSelector"), rest.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
				break
			}
		}
		rest.NodeSelector = old.NodeSelector
	}
	var now, was *corev1.NodeAffinity
	if rest.Affinity != nil {
		now = rest.Affinity.NodeAffinity
	}
	if old.Affinity != nil {
		was = old.Affinity.NodeAffinity
	}
	if equality.Semantic.DeepEqual(now, was) {
		return faults
	}
	faults = append(faults, narrowedAffinity(path.Child("affinity", "nodeAffinity"), now, was)...)
	switch {
	case rest.Affinity == nil:
		rest.Affinity = &corev1.Affinity{NodeAffinity: was}
	case old.Affinity == nil && rest.Affinity.PodAffinity == nil && rest.Affinity.PodAntiAffinity == nil:
		rest.Affinity = nil
	default:
		rest.Affinity.NodeAffinity = was
	}
	return faults
}

func narrowedAffinity(path *field.Path, now, was *corev1.NodeAffinity) field.ErrorList {
	if was == nil || was.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	at := path.Child(required, "nodeSelectorTerms")
	var terms []corev1.NodeSelectorTerm
	if now != nil && now.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		terms = now.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	old := was.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if len(old) > 0 && len(terms) != len(old) {
		return field.ErrorList{field.Invalid(at, GoNames(terms), "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	var faults field.ErrorList
	for i := range old {
		if !startsWith(terms[i].MatchExpressions, old[i].MatchExpressions) || !startsWith(terms[i].MatchFields, old[i].MatchFields) ||
			len(old[i].MatchExpressions)+len(old[i].MatchFields) == 0 && len(terms[i].MatchExpressions)+len(terms[i].MatchFields) > 0 {
			faults = append(faults, field.Invalid(at.Index(i), GoNames(terms[i]), "only additions are allowed (no mutations or deletions)"))
		}
	}
	return faults
}

func startsWith(list, prefix []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(prefix) && equality.Semantic.DeepEqual(list[:len(prefix)], prefix)
}

func deadlineUpdate(path *field.Path, now, was *int64) (faults field.ErrorList, stop bool) {
	switch {
	case now == nil && was != nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}, false
	case now == nil:
		return nil, false
	case *now < 0 || *now > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, *now, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}, true
	case was != nil && *was < *now:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}, true
	}
	return nil, false
}

func onlyAddedTolerations(path *field.Path, now, was []corev1.Toleration) field.ErrorList {
	for _, old := range was {
		if !slices.ContainsFunc(now, func(t corev1.Toleration) bool {
			// How long it is borne may be changed.
			t.TolerationSeconds = old.TolerationSeconds
			return equality.Semantic.DeepEqual(t, old)
		}) {
			return field.ErrorList{field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return Tolerations(path, now)
}

func onlyRemovedGates(path *field.Path, now, was []corev1.PodSchedulingGate) field.ErrorList {
	var faults field.ErrorList
	for i, gate := range now {
		if !slices.Contains(was, gate) && !slices.Contains(now[i+1:], gate) { // told of its last place
			faults = append(faults, field.Forbidden(path.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name)))
		}
	}
	return faults
}

// annotationUpdates guards annotations that decide what the kubelet does with a pod, and judges all of them; where the
// whole pod is judged, that is told twice.
func annotationUpdates(path *field.Path, pod, old *corev1.Pod, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	guard := func(key, verb string) {
		switch {
		case strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix):
			faults = append(faults, field.Forbidden(path.Key(key), "may not "+verb+" AppArmor annotations"))
		case key == corev1.MirrorPodAnnotationKey:
			faults = append(faults, field.Forbidden(path.Key(key), "may not "+verb+" mirror pod annotation"))
		}
	}
	for key, was := range old.Annotations {
		if now, kept := pod.Annotations[key]; !kept || now != was {
			guard(key, "remove or update")
		}
	}
	for key := range pod.Annotations {
		if _, known := old.Annotations[key]; !known {
			guard(key, "add")
		}
	}
	return append(faults, podAnnotations(path, pod.Annotations, &pod.Spec, options)...)
}

// EphemeralContainersUpdate judges containers that are added to a running pod: they can only be added.
func EphemeralContainersUpdate(ctx context.Context, pod, old *corev1.Pod) field.ErrorList {
	if _, mirror := old.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return field.ErrorList{field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers")}
	}
	options := OptionsFor(ctx, &old.Spec, &old.ObjectMeta)
	faults := wholePod(pod, options)
	faults = append(faults, annotationUpdates(field.NewPath("metadata", "annotations"), pod, old, options)...)
	path := field.NewPath("spec", "ephemeralContainers")
	byName := map[string]*corev1.EphemeralContainer{}
	for i := range pod.Spec.EphemeralContainers {
		byName[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		now, kept := byName[was.Name]
		if !kept {
			faults = append(faults, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		} else if !equality.Semantic.DeepEqual(was, now) {
			faults = append(faults, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name,
				diff.Diff(GoNames(was), GoNames(now)))))
		}
	}
	return faults
}
