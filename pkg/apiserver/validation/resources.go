package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	podresources "k8s.io/component-helpers/resource"

	"github.com/sampan-project/sampan/pkg/apiserver/names"
)

const mustBeInteger = "must be an integer"

// names answers the names of a list, sorted, so that faults come in one order.
func resourceNames(list corev1.ResourceList) []corev1.ResourceName {
	names := slices.AppendSeq(make([]corev1.ResourceName, 0, len(list)), maps.Keys(list))
	slices.Sort(names)
	return names
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// IsExtendedResource says whether a resource is one that a device plugin offers.
func IsExtendedResource(name corev1.ResourceName) bool {
	if isNative(name) || strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) {
		return false
	}
	return names.IsKey(corev1.DefaultResourceRequestsPrefix + string(name))
}

func canOvercommit(name corev1.ResourceName) bool { return isNative(name) && !isHugePages(name) }

func isContainerResource(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || isHugePages(name)
}

// ContainerResourceName refuses names of resources that a container cannot ask for.
func ContainerResourceName(path *field.Path, name corev1.ResourceName) field.ErrorList {
	faults := ResourceName(path, name)
	switch {
	case !strings.Contains(string(name), "/"):
		if !isContainerResource(name) {
			faults = append(faults, field.Invalid(path, string(name), "must be a standard resource for containers"))
		}
	case !isNative(name) && !IsExtendedResource(name):
		faults = append(faults, field.Invalid(path, string(name), "doesn't follow extended resource name standard"))
	}
	return faults
}

// Quantity refuses amounts below zero and parts of what comes only whole.
func Quantity(path *field.Path, name corev1.ResourceName, q resource.Quantity) field.ErrorList {
	var faults field.ErrorList
	if q.Sign() < 0 {
		faults = append(faults, field.Invalid(path, q.String(), notNegative))
	}
	if (IsExtendedResource(name) || isCounted(name)) && q.MilliValue()%1000 != 0 {
		faults = append(faults, field.Invalid(path, q, mustBeInteger))
	}
	return faults
}

func hugePages(path *field.Path, name corev1.ResourceName, q resource.Quantity, tolerant bool) field.ErrorList {
	if !isHugePages(name) || tolerant || wholePages(name, q) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, q.String(), fmt.Sprintf("%s is not positive integer multiple of %s", q.String(), name))}
}

// wholePages says whether q holds nothing but whole pages of the size that the name ends with.
func wholePages(name corev1.ResourceName, q resource.Quantity) bool {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	return err == nil && size.Sign() > 0 && size.MilliValue()%1000 == 0 && q.Value()%size.Value() == 0
}

func containerResourcesOf(path *field.Path, r *corev1.ResourceRequirements, s *surroundings) field.ErrorList {
	faults := requirements(path, r, s.options.IndivisibleHugePages, ContainerResourceName)
	return append(faults, resourceClaims(path.Child("claims"), r.Claims, s.claims)...)
}

// requirements judges requests and limits; judgeName says which resources may be named.
func requirements(path *field.Path, r *corev1.ResourceRequirements, tolerant bool, judgeName func(*field.Path, corev1.ResourceName) field.ErrorList) field.ErrorList {
	var faults field.ErrorList
	limits, requests := path.Child("limits"), path.Child("requests")
	basic, huge := false, false
	note := func(name corev1.ResourceName) {
		basic = basic || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		huge = huge || isHugePages(name)
	}
	for _, name := range resourceNames(r.Limits) {
		at := limits.Key(string(name))
		faults = append(faults, judgeName(at, name)...)
		faults = append(faults, Quantity(at, name, r.Limits[name])...)
		faults = append(faults, hugePages(at, name, r.Limits[name], tolerant)...)
		note(name)
	}
	for _, name := range resourceNames(r.Requests) {
		at := requests.Key(string(name))
		faults = append(faults, judgeName(at, name)...)
		faults = append(faults, Quantity(at, name, r.Requests[name])...)
		faults = append(faults, withinLimit(requests, limits, name, r)...)
		faults = append(faults, hugePages(at, name, r.Requests[name], tolerant)...)
		note(name)
	}
	if huge && !basic {
		faults = append(faults, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return faults
}

func withinLimit(requests, limits *field.Path, name corev1.ResourceName, r *corev1.ResourceRequirements) field.ErrorList {
	asked := r.Requests[name]
	limit, limited := r.Limits[name]
	switch {
	case !limited:
		if !canOvercommit(name) {
			return field.ErrorList{field.Required(limits, "Limit must be set for non overcommitable resources")}
		}
	case asked.Cmp(limit) != 0 && !canOvercommit(name):
		return field.ErrorList{field.Invalid(requests, asked.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))}
	case asked.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(requests, asked.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))}
	}
	return nil
}

// Requirements judges the requests and limits of a container outside of any pod.
func Requirements(path *field.Path, r *corev1.ResourceRequirements) field.ErrorList {
	return requirements(path, r, false, ContainerResourceName)
}

// resourceClaims judges which of the pod's claims, or of their requests, a container uses; one that it uses as a whole
// it uses once.
func resourceClaims(path *field.Path, claims []corev1.ResourceClaim, known sets.Set[string]) field.ErrorList {
	var faults field.ErrorList
	wholly, partly, parts, missing := sets.New[string](), sets.New[string](), map[string]int{}, ""
	for i, claim := range claims {
		at := path.Index(i)
		if claim.Name == "" {
			faults = append(faults, field.Required(at, ""))
			continue
		}
		part := claim.Name + "/" + claim.Request
		switch {
		case wholly.Has(claim.Name):
			faults = append(faults, field.Duplicate(at, claim.Name))
		case claim.Request == "":
			for range parts[claim.Name] {
				faults = append(faults, field.Duplicate(at, claim.Name))
			}
			wholly.Insert(claim.Name)
		default:
			faults = append(faults, DNSLabel(at.Child("request"), claim.Request)...)
			if partly.Has(part) {
				faults = append(faults, field.Duplicate(at, part))
			} else {
				parts[claim.Name]++
			}
			partly.Insert(part)
		}
		if !known.Has(claim.Name) {
			if missing == "" {
				missing = claimsToName(known) // once: there may be as many of both as a request can hold
			}
			fault := field.NotFound(at, claim.Name)
			fault.Detail = missing
			faults = append(faults, fault)
		}
	}
	return faults
}

// claimsToName says of which names one must be that a container uses.
func claimsToName(known sets.Set[string]) string {
	const text = "must be one of the names in pod.spec.resourceClaims"
	if len(known) == 0 {
		return text + " which is empty"
	}
	return text + ": " + strings.Join(sets.List(known), ", ")
}

// podResources judges what a pod asks for as a whole.
func podResources(path *field.Path, s *surroundings) field.ErrorList {
	r := s.spec.Resources
	if r == nil {
		return nil
	}
	if s.spec.OS != nil && s.spec.OS.Name == corev1.Windows {
		return field.ErrorList{field.Forbidden(path, "may not be set for a windows pod")}
	}
	var faults field.ErrorList
	if len(r.Claims) > 0 {
		faults = append(faults, field.Forbidden(path.Child("claims"), "claims may not be set for Resources at pod-level"))
	}
	faults = append(faults, requirements(path, r, s.options.IndivisibleHugePages, podResourceName)...)
	faults = append(faults, resourceClaims(path.Child("claims"), r.Claims, s.claims)...)
	return append(faults, containersWithinPod(path, s.spec)...)
}

func podResourceName(path *field.Path, name corev1.ResourceName) field.ErrorList {
	if faults := ResourceName(path, name); len(faults) > 0 {
		return faults
	}
	if !podresources.IsSupportedPodLevelResource(name) {
		return field.ErrorList{field.NotSupported(path, name, sets.List(podresources.SupportedPodLevelResources()))}
	}
	return nil
}

// containersWithinPod holds a pod's request to be at least the sum of its containers', its limit of huge pages too, and
// each container's limit within the pod's.
func containersWithinPod(path *field.Path, spec *corev1.PodSpec) field.ErrorList {
	pod, none := &corev1.Pod{Spec: *spec}, podresources.PodResourcesOptions{}
	faults := atLeastSum(path.Child("requests"), spec.Resources.Requests, podresources.AggregateContainerRequests(pod, none), "requests")
	limits := podresources.AggregateContainerLimits(pod, none)
	maps.DeleteFunc(limits, func(name corev1.ResourceName, _ resource.Quantity) bool { return !isHugePages(name) })
	faults = append(faults, atLeastSum(path.Child("limits"), spec.Resources.Limits, limits, "limits")...)
	for i := range spec.Containers {
		for _, name := range resourceNames(spec.Containers[i].Resources.Limits) {
			limit, set := spec.Resources.Limits[name]
			own := spec.Containers[i].Resources.Limits[name]
			if set && own.Cmp(limit) > 0 {
				faults = append(faults, field.Invalid(path.Child("containers").Index(i).Key(string(name)).Child("limits"), own.String(),
					fmt.Sprintf("must be less than or equal to pod limits of %s", limit.String())))
			}
		}
	}
	return faults
}

// atLeastSum refuses amounts of a pod that its containers' together exceed.
func atLeastSum(path *field.Path, own, sums corev1.ResourceList, what string) field.ErrorList {
	var faults field.ErrorList
	for _, name := range resourceNames(sums) {
		amount, set := own[name]
		sum := sums[name]
		if set && sum.Cmp(amount) > 0 {
			faults = append(faults, field.Invalid(path.Key(string(name)), amount.String(),
				fmt.Sprintf("must be greater than or equal to aggregate container %s of %s", what, sum.String())))
		}
	}
	return faults
}

func resizePolicy(path *field.Path, c *corev1.Container, restart corev1.RestartPolicy) field.ErrorList {
	var faults field.ErrorList
	seen := sets.New[corev1.ResourceName]()
	for i, p := range c.ResizePolicy {
		if seen.Has(p.ResourceName) {
			faults = append(faults, field.Duplicate(path.Index(i), p.ResourceName))
		}
		seen.Insert(p.ResourceName)
		faults = append(faults, OneOf(path, p.ResourceName, corev1.ResourceCPU, corev1.ResourceMemory)...)
		faults = append(faults, OneOf(path, p.RestartPolicy, corev1.NotRequired, corev1.RestartContainer)...)
		if restart == corev1.RestartPolicyNever && p.RestartPolicy != corev1.NotRequired {
			faults = append(faults, field.Invalid(path, p.RestartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))
		}
	}
	return faults
}

// overhead judges what running the pod costs beside its containers.
func overhead(path *field.Path, list corev1.ResourceList, tolerant bool) field.ErrorList {
	return requirements(path, &corev1.ResourceRequirements{Limits: list}, tolerant, ContainerResourceName)
}
