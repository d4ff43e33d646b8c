package validation

import (
	"math"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodTemplate judges a template where it stands in a kind's spec.
func PodTemplate(path *field.Path, t *corev1.PodTemplateSpec, options PodOptions) field.ErrorList {
	faults := TemplateMetadata(path, t, options)
	faults = append(faults, PodSpec(path.Child("spec"), &t.Spec, nil, options)...)
	faults = append(faults, profilesMatch(path.Child("spec"), t.Annotations, &t.Spec)...)
	if len(t.Spec.EphemeralContainers) > 0 {
		faults = append(faults, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return faults
}

// TemplateMetadata judges the labels and annotations of a template.
func TemplateMetadata(path *field.Path, t *corev1.PodTemplateSpec, options PodOptions) field.ErrorList {
	faults := metav1validation.ValidateLabels(t.Labels, path.Child("labels"))
	faults = append(faults, apivalidation.ValidateAnnotations(t.Annotations, path.Child("annotations"))...)
	return append(faults, podAnnotations(path.Child("annotations"), t.Annotations, &t.Spec, options)...)
}

// PodSpec judges the spec of a pod or of a template; meta is the metadata of the pod, nil of a template.
func PodSpec(path *field.Path, s *corev1.PodSpec, meta *metav1.ObjectMeta, options PodOptions) field.ErrorList {
	around := &surroundings{spec: s, options: options, claims: claimNames(s.ResourceClaims)}
	if s.TerminationGracePeriodSeconds != nil {
		around.grace = *s.TerminationGracePeriodSeconds
	}
	known, faults := volumes(path.Child("volumes"), s.Volumes, meta, options)
	around.volumes = known
	faults = append(faults, podClaims(path.Child("resourceClaims"), s.ResourceClaims, meta)...)
	faults = append(faults, containers(path.Child("containers"), around)...)
	faults = append(faults, initContainers(path.Child("initContainers"), around)...)
	faults = append(faults, ephemeralContainers(path.Child("ephemeralContainers"), around)...)
	faults = append(faults, podResources(path.Child("resources"), around)...)
	faults = append(faults, hostNetworkPorts(path, s)...)
	faults = append(faults, OneOf(path.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	faults = append(faults, OneOf(path.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	faults = append(faults, metav1validation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector"))...)
	faults = append(faults, podSecurity(path, s, options)...)
	faults = append(faults, affinity(path.Child("affinity"), s.Affinity, options)...)
	faults = append(faults, dnsConfig(path.Child("dnsConfig"), s.DNSConfig, s.DNSPolicy, options)...)
	faults = append(faults, gates(path, s)...)
	faults = append(faults, spread(path.Child("topologySpreadConstraints"), s.TopologySpreadConstraints, options)...)
	faults = append(faults, hostProcess(path, s, options)...)
	faults = append(faults, hostUsers(path, s, options)...)
	faults = append(faults, hostnameOverride(path, s)...)
	faults = append(faults, podNames(path, s)...)
	faults = append(faults, Tolerations(path.Child("tolerations"), s.Tolerations)...)
	faults = append(faults, hostAliases(path.Child("hostAliases"), s.HostAliases, options)...)
	faults = append(faults, classes(path, s, options)...)
	faults = append(faults, operatingSystem(path, s)...)
	return append(faults, fileVolumes(path, s)...)
}

func claimNames(claims []corev1.PodResourceClaim) sets.Set[string] {
	found := sets.New[string]()
	for _, c := range claims {
		if c.Name != "" {
			found.Insert(c.Name)
		}
	}
	return found
}

func podClaims(path *field.Path, claims []corev1.PodResourceClaim, meta *metav1.ObjectMeta) field.ErrorList {
	var faults field.ErrorList
	mirror := false
	if meta != nil {
		_, mirror = meta.Annotations[corev1.MirrorPodAnnotationKey]
	}
	seen := sets.New[string]()
	for i, c := range claims {
		if mirror {
			faults = append(faults, field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
			continue
		}
		at := path.Index(i)
		name := at.Child("name")
		switch {
		case c.Name == "":
			faults = append(faults, field.Required(name, ""))
		case seen.Has(c.Name):
			faults = append(faults, field.Duplicate(name, c.Name))
		default:
			faults = append(faults, DNSLabel(name, c.Name)...)
			seen.Insert(c.Name)
		}
		switch {
		case c.ResourceClaimName != nil && c.ResourceClaimTemplateName != nil:
			faults = append(faults, field.Invalid(at, GoNames(c), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
		case c.ResourceClaimName == nil && c.ResourceClaimTemplateName == nil:
			faults = append(faults, field.Invalid(at, GoNames(c), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
		}
		if c.ResourceClaimName != nil {
			faults = append(faults, DNSSubdomain(at.Child("resourceClaimName"), *c.ResourceClaimName)...)
		}
		if c.ResourceClaimTemplateName != nil {
			faults = append(faults, DNSSubdomain(at.Child("resourceClaimTemplateName"), *c.ResourceClaimTemplateName)...)
		}
	}
	return faults
}

func gates(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	for i, g := range s.ReadinessGates {
		faults = append(faults, qualified(path.Child("readinessGates").Index(i).Child("conditionType"), string(g.ConditionType))...)
	}
	seen := sets.New[string]()
	for i, g := range s.SchedulingGates {
		at := path.Child("schedulingGates").Index(i)
		faults = append(faults, QualifiedName(at, g.Name)...)
		if seen.Has(g.Name) {
			faults = append(faults, field.Duplicate(at, g.Name))
		}
		seen.Insert(g.Name)
	}
	return faults
}

func podNames(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	var faults field.ErrorList
	if s.ServiceAccountName != "" {
		faults = append(faults, DNSSubdomain(path.Child("serviceAccountName"), s.ServiceAccountName)...)
	}
	if s.NodeName != "" {
		faults = append(faults, DNSSubdomain(path.Child("nodeName"), s.NodeName)...)
	}
	faults = append(faults, deadline(path.Child("activeDeadlineSeconds"), s.ActiveDeadlineSeconds)...)
	if s.Hostname != "" {
		faults = append(faults, DNSLabel(path.Child("hostname"), s.Hostname)...)
	}
	if s.Subdomain != "" {
		faults = append(faults, DNSLabel(path.Child("subdomain"), s.Subdomain)...)
	}
	return faults
}

func deadline(path *field.Path, seconds *int64) field.ErrorList {
	if seconds == nil || *seconds >= 1 && *seconds <= math.MaxInt32 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, *seconds, utilvalidation.InclusiveRangeError(1, math.MaxInt32))}
}

func classes(path *field.Path, s *corev1.PodSpec, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	if s.PriorityClassName != "" {
		faults = append(faults, DNSSubdomain(path.Child("priorityClassName"), s.PriorityClassName)...)
	}
	if s.RuntimeClassName != nil {
		faults = append(faults, DNSSubdomain(path.Child("runtimeClassName"), *s.RuntimeClassName)...)
	}
	if s.PreemptionPolicy != nil {
		faults = append(faults, OneOf(path.Child("preemptionPolicy"), *s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if s.Overhead != nil {
		faults = append(faults, overhead(path.Child("overhead"), s.Overhead, options.IndivisibleHugePages)...)
	}
	return faults
}

// hostnameOverride judges the name that a pod gives itself instead of its own.
func hostnameOverride(path *field.Path, s *corev1.PodSpec) field.ErrorList {
	if s.HostnameOverride == nil {
		return nil
	}
	var faults field.ErrorList
	at := path.Child("hostnameOverride")
	if isTrue(s.SetHostnameAsFQDN) {
		faults = append(faults, field.Forbidden(at, "may not be specified when setHostnameAsFQDN is true"))
	}
	if s.HostNetwork {
		faults = append(faults, field.Forbidden(at, "may not be specified when hostNetwork is true"))
	}
	const maxHostname = 64 // of Linux' sethostname
	if len(*s.HostnameOverride) > maxHostname {
		faults = append(faults, field.TooLong(at, *s.HostnameOverride, maxHostname))
	}
	return append(faults, Invalid(at, *s.HostnameOverride, utilvalidation.IsDNS1123Subdomain(*s.HostnameOverride))...)
}
