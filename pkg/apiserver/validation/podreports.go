package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// claimStatuses judges which objects are reported to stand for the claims that a pod names.
func claimStatuses(status *field.Path, pod *corev1.Pod) field.ErrorList {
	if len(pod.Status.ResourceClaimStatuses) == 0 {
		return nil
	}
	var faults field.ErrorList
	path := status.Child("resourceClaimStatuses")
	known, seen := claimNames(pod.Spec.ResourceClaims), sets.New[string]()
	for i, s := range pod.Status.ResourceClaimStatuses {
		at := path.Index(i)
		if !known.Has(s.Name) {
			faults = append(faults, field.Invalid(at.Child("name"), s.Name, "must match the name of an entry in `spec.resourceClaims`"))
		}
		if seen.Has(s.Name) {
			faults = append(faults, field.Duplicate(at.Child("name"), s.Name))
		}
		seen.Insert(s.Name)
		faults = append(faults, WhereSet(at.Child("resourceClaimName"), s.ResourceClaimName, DNSSubdomain)...)
	}
	return faults
}

// extendedClaim judges the claim that was made for what containers ask for by the names of extended resources.
func extendedClaim(status *field.Path, pod *corev1.Pod) field.ErrorList {
	s := pod.Status.ExtendedResourceClaimStatus
	if s == nil {
		return nil
	}
	path := status.Child("extendedResourceClaimStatus")
	asked := map[string]corev1.ResourceList{}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			asked[list[i].Name] = list[i].Resources.Requests
		}
	}
	var faults field.ErrorList
	mappings := path.Child("requestMappings")
	if len(s.RequestMappings) == 0 {
		faults = append(faults, field.Required(mappings, "at least one request mapping is required"))
	}
	for i, m := range s.RequestMappings {
		at := mappings.Index(i)
		if requests, found := asked[m.ContainerName]; !found {
			faults = append(faults, field.Invalid(at.Child("containerName"), m.ContainerName, "must match the name of an entry in spec.initContainers.name or spec.containers.name"))
		} else if _, found := requests[corev1.ResourceName(m.ResourceName)]; !found {
			faults = append(faults, field.Invalid(at.Child("resourceName"), m.ResourceName,
				"must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests"))
		}
		faults = append(faults, DNSLabel(path.Child("requestName"), m.RequestName)...)
		if slices.Contains(s.RequestMappings[:i], m) {
			faults = append(faults, field.Duplicate(at.Child("containerName"), m.ContainerName), field.Duplicate(at.Child("resourceName"), m.ResourceName),
				field.Duplicate(at.Child("requestName"), m.RequestName))
		}
	}
	return append(faults, FilledWith(path.Child("resourceClaimName"), s.ResourceClaimName, DNSSubdomain)...)
}

// reportedContainers judges what is reported of containers' users and devices.
func reportedContainers(path *field.Path, pod *corev1.Pod) field.ErrorList {
	var faults field.ErrorList
	parts := []struct {
		name       string
		list       []corev1.ContainerStatus
		containers []corev1.Container
	}{
		{"containerStatuses", pod.Status.ContainerStatuses, pod.Spec.Containers},
		{"initContainerStatuses", pod.Status.InitContainerStatuses, pod.Spec.InitContainers},
		{"ephemeralContainerStatuses", pod.Status.EphemeralContainerStatuses, nil},
	}
	for _, part := range parts {
		for i := range part.list {
			if user := part.list[i].User; user != nil && user.Linux != nil {
				faults = append(faults, reportedUser(path.Child(part.name).Index(i).Child("user", "linux"), user.Linux, pod.Spec.OS)...)
			}
		}
	}
	for n, part := range parts {
		for i := range part.list {
			s := &part.list[i]
			if len(s.AllocatedResourcesStatus) == 0 {
				continue
			}
			at := path.Child(part.name).Index(i).Child("allocatedResourcesStatus")
			if n == 2 {
				faults = append(faults, field.Forbidden(at, "must not be specified in container status"))
			} else {
				faults = append(faults, reportedResources(at, s, part.containers)...)
			}
		}
	}
	return faults
}

func reportedUser(path *field.Path, user *corev1.LinuxContainerUser, os *corev1.PodOS) field.ErrorList {
	switch {
	case os == nil || os.Name == corev1.Linux:
	case os.Name == corev1.Windows:
		return field.ErrorList{field.Forbidden(path, "cannot be set for a windows pod")}
	default:
		return nil
	}
	faults := append(userID(path.Child("uid"), &user.UID), groupID(path.Child("gid"), &user.GID)...)
	for i, id := range user.SupplementalGroups {
		faults = append(faults, groupID(path.Child("supplementalGroups").Index(i), &id)...)
	}
	return faults
}

func reportedResources(path *field.Path, s *corev1.ContainerStatus, containers []corev1.Container) field.ErrorList {
	var faults field.ErrorList
	n := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == s.Name })
	for i := range s.AllocatedResourcesStatus {
		r, at := &s.AllocatedResourcesStatus[i], path.Index(i)
		if n >= 0 {
			faults = append(faults, asksFor(at.Child("name"), &containers[n].Resources, string(r.Name))...)
		}
		seen := sets.New[corev1.ResourceID]()
		for j, h := range r.Resources {
			in := at.Child("resources").Index(j)
			faults = append(faults, OneOfAny(in.Child("health"), h.Health, corev1.ResourceHealthStatusHealthy,
				corev1.ResourceHealthStatusUnhealthy, corev1.ResourceHealthStatusUnknown)...)
			switch message := in.Child("message"); {
			case h.Message == nil:
			case *h.Message == "":
				faults = append(faults, field.Required(message, "must be non-empty if specified"))
			case len(*h.Message) > corev1.ResourceHealthMessageMaxLength:
				faults = append(faults, field.TooLong(message, *h.Message, corev1.ResourceHealthMessageMaxLength))
			}
			if seen.Has(h.ResourceID) {
				faults = append(faults, field.Duplicate(in.Child("resourceID"), h.ResourceID))
			}
			seen.Insert(h.ResourceID)
		}
	}
	return faults
}

// asksFor refuses the name of what a container did not ask for: a resource, or a claim behind its prefix.
func asksFor(path *field.Path, r *corev1.ResourceRequirements, name string) field.ErrorList {
	claim, is := strings.CutPrefix(name, "claim:")
	if !is {
		if _, asked := r.Requests[corev1.ResourceName(name)]; asked {
			return nil
		}
		return field.ErrorList{field.Invalid(path, name, "must match one of the container's resource requests")}
	}
	for _, c := range r.Claims {
		own := c.Name
		if c.Request != "" {
			own = fmt.Sprintf("%s/%s", c.Name, c.Request)
		}
		if own == claim {
			return nil
		}
	}
	return field.ErrorList{field.Invalid(path, name, "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty")}
}
