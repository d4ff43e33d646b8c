package validation

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodOptions let faults stand that an object was already stored with, before they were judged.
type PodOptions struct {
	// Unprivileged lets nothing stand: it refuses privileged containers, and those that run on a Windows host.
	Unprivileged bool
	// SelectorValues: label values in selectors that nothing can have.
	SelectorValues bool
	// IndivisibleHugePages: amounts that are no multiple of the page size.
	IndivisibleHugePages bool
	// NamespacedSysctls: settings of the host's own namespaces.
	NamespacedSysctls bool
	// DeletionCost: an annotation that is no number.
	DeletionCost bool
	// NodeValues: values in the choice of nodes that no label can have.
	NodeValues bool
	// SELinuxPolicy: any way to change the labels of volumes.
	SELinuxPolicy bool
	// OwnUsersOnHostNetwork and OwnUsersWithDevices: what does not go with a user namespace of one's own.
	OwnUsersOnHostNetwork, OwnUsersWithDevices bool
	// InitRestarts: init containers that a resize would restart.
	InitRestarts bool
	// TokenPaths: tokens outside of their volume.
	TokenPaths bool
	// OldNameservers and OldAliasIPs may stay as they are spelled.
	OldNameservers, OldAliasIPs []string
}

type unprivilegedKey struct{}

// ForbidPrivileged makes the options that are found in ctx refuse privileged containers.
func ForbidPrivileged(ctx context.Context) context.Context {
	return context.WithValue(ctx, unprivilegedKey{}, true)
}

// OptionsFor says what an update from an old spec may leave as it is; old is nil on create.
func OptionsFor(ctx context.Context, old *corev1.PodSpec, meta *metav1.ObjectMeta) PodOptions {
	unprivileged := ctx.Value(unprivilegedKey{}) != nil
	if old == nil {
		return PodOptions{Unprivileged: unprivileged}
	}
	o := PodOptions{
		Unprivileged:         unprivileged,
		SelectorValues:       selectorsHaveBadValues(old),
		IndivisibleHugePages: hasIndivisiblePages(old),
		NamespacedSysctls:    old.SecurityContext != nil && len(sysctls(field.NewPath(""), old.SecurityContext.Sysctls, old, PodOptions{})) > 0,
		DeletionCost:         meta != nil && deletionCost(meta.Annotations) != nil,
	}
	if a := old.Affinity; a != nil && a.NodeAffinity != nil {
		o.NodeValues = NodesHaveBadValues(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	o.bearUsers(old)
	o.bearContainers(old)
	if old.DNSConfig != nil {
		o.OldNameservers = old.DNSConfig.Nameservers
	}
	for _, alias := range old.HostAliases {
		o.OldAliasIPs = append(o.OldAliasIPs, alias.IP)
	}
	return o
}

// bearUsers finds what old has that does not go with a user namespace of its own, or with labels of volumes.
func (o *PodOptions) bearUsers(old *corev1.PodSpec) {
	o.SELinuxPolicy = old.SecurityContext != nil && old.SecurityContext.SELinuxChangePolicy != nil
	if old.HostUsers != nil && !*old.HostUsers {
		o.OwnUsersOnHostNetwork = old.HostNetwork
		eachContainer(nil, old, func(_ containerAt, c *corev1.Container) {
			o.OwnUsersWithDevices = o.OwnUsersWithDevices || len(c.VolumeDevices) > 0
		})
	}
}

// bearContainers finds what old has in its init containers and volumes.
func (o *PodOptions) bearContainers(old *corev1.PodSpec) {
	for i := range old.InitContainers {
		c := &old.InitContainers[i]
		o.InitRestarts = o.InitRestarts || !IsSidecar(c) && slices.ContainsFunc(c.ResizePolicy, func(p corev1.ContainerResizePolicy) bool {
			return p.RestartPolicy == corev1.RestartContainer
		})
	}
	eachProjection(old, func(p *corev1.VolumeProjection) {
		o.TokenPaths = o.TokenPaths || p.ServiceAccountToken != nil && len(localNonReservedPath(nil, p.ServiceAccountToken.Path)) > 0
	})
}

func selectorsHaveBadValues(s *corev1.PodSpec) bool {
	for _, c := range s.TopologySpreadConstraints {
		if metav1validation.LabelSelectorHasInvalidLabelValue(c.LabelSelector) {
			return true
		}
	}
	var terms []corev1.PodAffinityTerm
	if a := s.Affinity; a != nil && a.PodAffinity != nil {
		terms = append(terms, a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
		for _, t := range a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			terms = append(terms, t.PodAffinityTerm)
		}
	}
	if a := s.Affinity; a != nil && a.PodAntiAffinity != nil {
		terms = append(terms, a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution...)
		for _, t := range a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			terms = append(terms, t.PodAffinityTerm)
		}
	}
	return slices.ContainsFunc(terms, func(t corev1.PodAffinityTerm) bool {
		return metav1validation.LabelSelectorHasInvalidLabelValue(t.LabelSelector)
	})
}

// NodesHaveBadValues says whether a choice of nodes, which may be none, names values that no label can have.
func NodesHaveBadValues(s *corev1.NodeSelector) bool {
	if s == nil {
		return false
	}
	return slices.ContainsFunc(s.NodeSelectorTerms, func(t corev1.NodeSelectorTerm) bool {
		return slices.ContainsFunc(t.MatchExpressions, func(r corev1.NodeSelectorRequirement) bool {
			return slices.ContainsFunc(r.Values, func(v string) bool { return len(utilvalidation.IsValidLabelValue(v)) > 0 })
		})
	})
}

func hasIndivisiblePages(s *corev1.PodSpec) bool {
	found := false
	eachContainer(nil, s, func(_ containerAt, c *corev1.Container) {
		for _, list := range []corev1.ResourceList{c.Resources.Limits, c.Resources.Requests} {
			for name, q := range list {
				found = found || len(hugePages(nil, name, q, false)) > 0
			}
		}
	})
	return found
}
