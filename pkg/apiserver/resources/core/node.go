package core

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// Node declares nodes. streams are the subresources that reach into the node: proxy.
func Node(streams ...resource.Subresource[*corev1.Node]) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Node]{
		Kind:          corev1.SchemeGroupVersion.WithKind("Node"),
		Plural:        "nodes",
		ShortNames:    []string{"no"},
		ClusterScoped: true,
		WholeUpdate:   true,
		Prefix:        "minions",
		Default:       defaultNode,
		Prepare: func(_ context.Context, n, old *corev1.Node) {
			// A kubelet registers itself with a status; later changes go through the subresource.
			if old != nil {
				n.Status = *old.Status.DeepCopy()
			}
			dropNodeConfig(n, old)
		},
		Validate: func(_ context.Context, n, old *corev1.Node) field.ErrorList {
			faults := validateNewNode(n)
			if old != nil {
				faults = append(faults, validateChangedNode(n, old)...)
			}
			return faults
		},
		Warn:    warnNode,
		Reset:   []string{"status"},
		Columns: nodeColumns(),
		Row:     nodeRow,
		Fields: func(n *corev1.Node) map[string]string {
			return map[string]string{"spec.unschedulable": strconv.FormatBool(n.Spec.Unschedulable)}
		},
		FieldNames: []string{"spec.unschedulable"},
		Subresources: append([]resource.Subresource[*corev1.Node]{resource.Status(corev1.SchemeGroupVersion.WithKind("Node"), resource.UpdatePart[*corev1.Node]{
			Prepare: func(_ context.Context, n, old *corev1.Node) {
				n.Spec = *old.Spec.DeepCopy()
				dropNodeConfig(n, old)
			},
			Validate: func(_ context.Context, n, old *corev1.Node) field.ErrorList { return validateChangedNode(n, old) },
		})}, streams...),
	})
}

// defaultNode keeps the pod network and the list of pod networks together, and lets all of a node's
// capacity be allocatable where nothing else is said.
func defaultNode(n *corev1.Node) {
	switch s := &n.Spec; {
	case s.PodCIDR != "" && (len(s.PodCIDRs) == 0 || s.PodCIDRs[0] != s.PodCIDR):
		s.PodCIDRs = []string{s.PodCIDR}
	case s.PodCIDR == "" && len(s.PodCIDRs) > 0:
		s.PodCIDR = s.PodCIDRs[0]
	}
	if n.Status.Allocatable == nil && n.Status.Capacity != nil {
		n.Status.Allocatable = n.Status.Capacity.DeepCopy()
	}
	defaults.Resources(n.Status.Capacity)
	defaults.Resources(n.Status.Allocatable)
}

// dropNodeConfig forgets the configuration that kubelets once took from the API, but where it stands.
func dropNodeConfig(n, old *corev1.Node) {
	if old == nil || old.Spec.ConfigSource == nil {
		n.Spec.ConfigSource = nil
	}
	if old == nil || old.Status.Config == nil {
		n.Status.Config = nil
	}
}

func warnNode(_ context.Context, n, _ *corev1.Node) []string {
	var warnings []string
	if n.Spec.ConfigSource != nil {
		warnings = append(warnings, "spec.configSource: the feature is removed")
	}
	if n.Spec.DoNotUseExternalID != "" {
		warnings = append(warnings, "spec.externalID: this field is deprecated, and is unused by Kubernetes")
	}
	for i, value := range n.Spec.PodCIDRs {
		warnings = append(warnings, utilvalidation.GetWarningsForCIDR(field.NewPath("spec", "podCIDRs").Index(i), value)...)
	}
	return warnings
}

// validateNewNode judges a node by itself.
func validateNewNode(n *corev1.Node) field.ErrorList {
	meta := field.NewPath("metadata")
	faults := validateNodeAnnotations(meta.Child("annotations"), n)
	faults = append(faults, validateTaints(meta.Child("taints"), n.Spec.Taints)...)
	faults = append(faults, validateNodeResources(n)...)
	if s := n.Status.NodeInfo.Swap; s != nil && s.Capacity != nil && *s.Capacity <= 0 {
		faults = append(faults, field.Invalid(meta.Child("nodeSwapStatus", "capacity"), *s.Capacity, "must be greater than zero"))
	}
	faults = append(faults, validateDeclaredFeatures(field.NewPath("status", "declaredFeatures"), n.Status.DeclaredFeatures)...)
	return append(faults, validatePodNetworks(field.NewPath("spec", "podCIDRs"), n.Spec.PodCIDRs)...)
}

// validateChangedNode judges a node and what may not change, of whole nodes and of their status alike.
func validateChangedNode(n, old *corev1.Node) field.ErrorList {
	meta, spec := field.NewPath("metadata"), field.NewPath("spec")
	faults := validateNodeAnnotations(meta.Child("annotations"), n)
	faults = append(faults, validateNodeResources(n)...)
	faults = append(faults, validateDeclaredFeatures(field.NewPath("status", "declaredFeatures"), n.Status.DeclaredFeatures)...)
	faults = append(faults, validateNodeAddresses(field.NewPath("status", "addresses"), n.Status.Addresses)...)
	faults = append(faults, podNetworksStay(spec.Child("podCIDRs"), n.Spec.PodCIDRs, old.Spec.PodCIDRs)...)
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		faults = append(faults, field.Forbidden(spec.Child("providerID"), `node updates may not change providerID except from "" to valid`))
	}
	faults = append(faults, validateTaints(meta.Child("taints"), n.Spec.Taints)...)
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		faults = append(faults, field.Forbidden(spec.Child("externalID"), "may not be updated"))
	}
	return faults
}

func validateTaints(path *field.Path, taints []corev1.Taint) field.ErrorList {
	var faults field.ErrorList
	type identity struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := map[identity]bool{}
	for i := range taints {
		t, at := &taints[i], path.Index(i)
		faults = append(faults, validation.QualifiedName(at.Child("key"), t.Key)...)
		if texts := utilvalidation.IsValidLabelValue(t.Value); len(texts) > 0 {
			faults = append(faults, field.Invalid(at.Child("value"), t.Value, strings.Join(texts, ";")))
		}
		faults = append(faults, validation.OneOf(at.Child("effect"), t.Effect,
			corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		if id := (identity{t.Key, t.Effect}); seen[id] {
			twice := field.Duplicate(at, validation.GoNames(*t))
			twice.Detail = "taints must be unique by key and effect pair"
			faults = append(faults, twice)
		} else {
			seen[id] = true
		}
	}
	return faults
}

func validateNodeResources(n *corev1.Node) field.ErrorList {
	var faults field.ErrorList
	for _, part := range []struct {
		name string
		list corev1.ResourceList
	}{{"capacity", n.Status.Capacity}, {"allocatable", n.Status.Allocatable}} {
		names := make([]string, 0, len(part.list))
		for name := range part.list {
			names = append(names, string(name))
		}
		slices.Sort(names)
		for _, name := range names {
			kind := corev1.ResourceName(name)
			faults = append(faults, validation.Quantity(field.NewPath("status", part.name, name), kind, part.list[kind])...)
		}
	}
	return faults
}

func validateNodeAddresses(path *field.Path, list []corev1.NodeAddress) field.ErrorList {
	var faults field.ErrorList
	for i, a := range list {
		if slices.Contains(list[:i], a) {
			faults = append(faults, field.Duplicate(path.Index(i), validation.GoNames(a)))
		}
	}
	return faults
}

func validatePodNetworks(path *field.Path, list []string) field.ErrorList {
	var faults field.ErrorList
	for i, value := range list {
		faults = append(faults, validation.Network(path.Index(i), value)...)
	}
	if len(list) < 2 {
		return faults
	}
	dual, err := netutils.IsDualStackCIDRStrings(list)
	if err != nil {
		faults = append(faults, field.InternalError(path, fmt.Errorf("invalid PodCIDRs. failed to check with dual stack with error:%w", err)))
	}
	if !dual || len(list) > 2 {
		faults = append(faults, field.Invalid(path, list, "may specify no more than one CIDR for each IP family"))
	}
	return faults
}

// podNetworksStay refuses to take from a node the networks that its pods live in.
func podNetworksStay(path *field.Path, now, was []string) field.ErrorList {
	if len(was) == 0 {
		return nil
	}
	refusal := field.Forbidden(path, `node updates may not change podCIDR except from "" to valid`)
	if len(now) != len(was) {
		return field.ErrorList{refusal}
	}
	var faults field.ErrorList
	for i := range was {
		if now[i] != was[i] {
			faults = append(faults, refusal)
		}
	}
	return faults
}

// validateNodeAnnotations judges what was written into annotations before there were fields.
func validateNodeAnnotations(path *field.Path, n *corev1.Node) field.ErrorList {
	var faults field.ErrorList
	const key = "scheduler.alpha.kubernetes.io/taints"
	if text := n.Annotations[key]; text != "" {
		var taints []corev1.Taint
		if err := json.Unmarshal([]byte(text), &taints); err != nil {
			faults = append(faults, field.Invalid(path, key, err.Error()))
		} else {
			faults = append(faults, validateTaints(path.Child(key), taints)...)
		}
	}
	return append(faults, validateAvoidPods(path, n.Annotations[corev1.PreferAvoidPodsAnnotationKey])...)
}

// validateAvoidPods judges the annotation by which a node asks not to be given some controllers' pods.
func validateAvoidPods(path *field.Path, text string) field.ErrorList {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var avoid corev1.AvoidPods
	if err := json.Unmarshal([]byte(text), &avoid); err != nil {
		return field.ErrorList{field.Invalid(path.Child("AvoidPods"), corev1.PreferAvoidPodsAnnotationKey, err.Error())}
	}
	var faults field.ErrorList
	for i, a := range avoid.PreferAvoidPods {
		at := path.Child(corev1.PreferAvoidPodsAnnotationKey).Index(i).Child("PodSignature")
		if a.PodSignature.PodController == nil {
			faults = append(faults, field.Required(at, ""))
		} else if c := a.PodSignature.PodController; c.Controller == nil || !*c.Controller {
			faults = append(faults, field.Invalid(at.Child("PodController").Child("Controller"), c.Controller, "must point to a controller"))
		}
	}
	return faults
}
