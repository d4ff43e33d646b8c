package validation

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	required  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferred = "preferredDuringSchedulingIgnoredDuringExecution"
	weights   = "must be in the range 1-100"
)

func affinity(path *field.Path, a *corev1.Affinity, options PodOptions) field.ErrorList {
	if a == nil {
		return nil
	}
	var faults field.ErrorList
	if a.NodeAffinity != nil {
		faults = append(faults, nodeAffinity(path.Child("nodeAffinity"), a.NodeAffinity, options)...)
	}
	if a.PodAffinity != nil {
		faults = append(faults, podAffinity(path.Child("podAffinity"), a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
			a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution, options)...)
	}
	if a.PodAntiAffinity != nil {
		faults = append(faults, podAffinity(path.Child("podAntiAffinity"), a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution,
			a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution, options)...)
	}
	return faults
}

func nodeAffinity(path *field.Path, a *corev1.NodeAffinity, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	if a.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		faults = append(faults, NodeSelector(path.Child(required), a.RequiredDuringSchedulingIgnoredDuringExecution, options.NodeValues)...)
	}
	for i, term := range a.PreferredDuringSchedulingIgnoredDuringExecution {
		at := path.Child(preferred).Index(i)
		if term.Weight <= 0 || term.Weight > 100 {
			faults = append(faults, field.Invalid(at.Child("weight"), term.Weight, weights))
		}
		faults = append(faults, nodeSelectorTerm(at.Child("preference"), term.Preference, true)...) // what no node has is not preferred
	}
	return faults
}

// NodeSelector judges a choice of nodes. tolerant lets values stand that no label can have.
func NodeSelector(path *field.Path, s *corev1.NodeSelector, tolerant bool) field.ErrorList {
	terms := path.Child("nodeSelectorTerms")
	if len(s.NodeSelectorTerms) == 0 {
		return field.ErrorList{field.Required(terms, "must have at least one node selector term")}
	}
	var faults field.ErrorList
	for i, term := range s.NodeSelectorTerms {
		faults = append(faults, nodeSelectorTerm(terms.Index(i), term, tolerant)...)
	}
	return faults
}

func nodeSelectorTerm(path *field.Path, term corev1.NodeSelectorTerm, tolerant bool) field.ErrorList {
	var faults field.ErrorList
	for i, r := range term.MatchExpressions {
		faults = append(faults, nodeLabelRequirement(path.Child("matchExpressions").Index(i), r, tolerant)...)
	}
	for i, r := range term.MatchFields {
		faults = append(faults, nodeFieldRequirement(path.Child("matchFields").Index(i), r)...)
	}
	return faults
}

func nodeLabelRequirement(path *field.Path, r corev1.NodeSelectorRequirement, tolerant bool) field.ErrorList {
	var faults field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			faults = append(faults, field.Required(path.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			faults = append(faults, field.Forbidden(path.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			faults = append(faults, field.Required(path.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"))
		}
	default:
		faults = append(faults, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	faults = append(faults, QualifiedName(path.Child("key"), r.Key)...)
	if !tolerant {
		for i, value := range r.Values {
			faults = append(faults, Invalid(path.Child("values").Index(i), value, utilvalidation.IsValidLabelValue(value))...)
		}
	}
	return faults
}

func nodeFieldRequirement(path *field.Path, r corev1.NodeSelectorRequirement) field.ErrorList {
	var faults field.ErrorList
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			faults = append(faults, field.Required(path.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		faults = append(faults, field.Invalid(path.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	if r.Key != metav1.ObjectNameField {
		return append(faults, field.Invalid(path.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, value := range r.Values {
		faults = append(faults, Invalid(path.Child("values").Index(i), value, utilvalidation.IsDNS1123Subdomain(value))...)
	}
	return faults
}

func podAffinity(path *field.Path, hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	for i := range hard {
		faults = append(faults, podAffinityTerm(path.Child(required).Index(i), &hard[i], options)...)
	}
	for i := range soft {
		at := path.Child(preferred).Index(i)
		if soft[i].Weight <= 0 || soft[i].Weight > 100 {
			faults = append(faults, field.Invalid(at.Child("weight"), soft[i].Weight, weights))
		}
		faults = append(faults, podAffinityTerm(at.Child("podAffinityTerm"), &soft[i].PodAffinityTerm, options)...)
	}
	return faults
}

func podAffinityTerm(path *field.Path, term *corev1.PodAffinityTerm, options PodOptions) field.ErrorList {
	faults := LabelSelector(path.Child("labelSelector"), term.LabelSelector, options.SelectorValues)
	faults = append(faults, LabelSelector(path.Child("namespaceSelector"), term.NamespaceSelector, options.SelectorValues)...)
	for _, name := range term.Namespaces {
		faults = append(faults, DNSLabel(path.Child("namespace"), name)...)
	}
	faults = append(faults, matchLabelKeysOfTerm(path, term)...)
	if term.TopologyKey == "" {
		faults = append(faults, field.Required(path.Child("topologyKey"), "can not be empty"))
	}
	return append(faults, QualifiedName(path.Child("topologyKey"), term.TopologyKey)...)
}

// matchLabelKeysOfTerm judges the keys whose values come from the pod's own labels. The server writes
// them into the selector when the pod is made, so a key that a client gave both ways is found there twice.
func matchLabelKeysOfTerm(path *field.Path, term *corev1.PodAffinityTerm) field.ErrorList {
	match := path.Child("matchLabelKeys")
	faults := labelKeyNames(match, term.MatchLabelKeys, term.LabelSelector)
	faults = append(faults, labelKeyNames(path.Child("mismatchLabelKeys"), term.MismatchLabelKeys, term.LabelSelector)...)
	faults = append(faults, keysSelected(path, term.MatchLabelKeys, term.LabelSelector)...)
	for i, key := range term.MatchLabelKeys {
		if slices.Contains(term.MismatchLabelKeys, key) {
			faults = append(faults, field.Invalid(match.Index(i), key, "exists in both matchLabelKeys and mismatchLabelKeys"))
		}
	}
	return faults
}

// keysSelected refuses keys beside a selector that a client also gave in it. The server adds one requirement for each
// key: that one is no fault.
func keysSelected(path *field.Path, keys []string, selector *metav1.LabelSelector) field.ErrorList {
	if selector == nil {
		return nil
	}
	var faults field.ErrorList
	found := map[string]int{}
	for key := range selector.MatchLabels {
		found[key]++
	}
	for _, e := range selector.MatchExpressions {
		found[e.Key]++
	}
	for i, key := range keys {
		if found[key] > 1 {
			faults = append(faults, field.Invalid(path.Index(i), key, "exists in both matchLabelKeys and labelSelector"))
		}
	}
	return faults
}

func labelKeyNames(path *field.Path, keys []string, selector *metav1.LabelSelector) field.ErrorList {
	if len(keys) == 0 {
		return nil
	}
	if selector == nil {
		return field.ErrorList{field.Forbidden(path, "must not be specified when labelSelector is not set")}
	}
	var faults field.ErrorList
	for i, key := range keys {
		faults = append(faults, QualifiedName(path.Index(i), key)...)
	}
	return faults
}

// spread judges the constraints of spreading over topologies.
func spread(path *field.Path, list []corev1.TopologySpreadConstraint, options PodOptions) field.ErrorList {
	var faults field.ErrorList
	type pair struct {
		key  string
		when corev1.UnsatisfiableConstraintAction
	}
	for i := range list {
		c, at := &list[i], path.Index(i)
		if c.MaxSkew <= 0 {
			faults = append(faults, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "must be greater than zero"))
		}
		if c.TopologyKey == "" {
			faults = append(faults, field.Required(at.Child("topologyKey"), "can not be empty"))
		}
		faults = append(faults, OneOfAny(at.Child("whenUnsatisfiable"), c.WhenUnsatisfiable, corev1.DoNotSchedule, corev1.ScheduleAnyway)...)
		if slices.ContainsFunc(list[i+1:], func(o corev1.TopologySpreadConstraint) bool {
			return pair{o.TopologyKey, o.WhenUnsatisfiable} == pair{c.TopologyKey, c.WhenUnsatisfiable}
		}) {
			faults = append(faults, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"),
				"{"+c.TopologyKey+", "+string(c.WhenUnsatisfiable)+"}"))
		}
		faults = append(faults, minDomains(at.Child("minDomains"), c)...)
		faults = append(faults, inclusion(at.Child("nodeAffinityPolicy"), c.NodeAffinityPolicy)...)
		faults = append(faults, inclusion(at.Child("nodeTaintsPolicy"), c.NodeTaintsPolicy)...)
		faults = append(faults, labelKeyNames(at.Child("matchLabelKeys"), c.MatchLabelKeys, c.LabelSelector)...)
		faults = append(faults, keysSelected(at, c.MatchLabelKeys, c.LabelSelector)...)
		faults = append(faults, LabelSelector(at.Child("labelSelector"), c.LabelSelector, options.SelectorValues)...)
	}
	return faults
}

func minDomains(path *field.Path, c *corev1.TopologySpreadConstraint) field.ErrorList {
	if c.MinDomains == nil {
		return nil
	}
	var faults field.ErrorList
	if *c.MinDomains <= 0 {
		faults = append(faults, field.Invalid(path, *c.MinDomains, "must be greater than zero"))
	}
	if c.WhenUnsatisfiable != corev1.DoNotSchedule {
		faults = append(faults, field.Invalid(path, *c.MinDomains,
			"can only use minDomains if whenUnsatisfiable="+string(corev1.DoNotSchedule)+", not "+string(c.WhenUnsatisfiable)))
	}
	return faults
}

func inclusion(path *field.Path, policy *corev1.NodeInclusionPolicy) field.ErrorList {
	if policy == nil {
		return nil
	}
	return OneOfAny(path, *policy, corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore)
}

// Tolerations judges the taints that a pod bears.
func Tolerations(path *field.Path, list []corev1.Toleration) field.ErrorList {
	var faults field.ErrorList
	for i, t := range list {
		at := path.Index(i)
		if t.Key != "" {
			faults = append(faults, QualifiedName(at.Child("key"), t.Key)...)
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			faults = append(faults, field.Invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			faults = append(faults, field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			if texts := utilvalidation.IsValidLabelValue(t.Value); len(texts) != 0 {
				faults = append(faults, field.Invalid(at.Child("operator"), t.Value, strings.Join(texts, ";")))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				faults = append(faults, field.Invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'"))
			}
		case corev1.TolerationOpLt, corev1.TolerationOpGt: // known, and switched off
			faults = append(faults, field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{
				corev1.TolerationOpEqual, corev1.TolerationOpExists, corev1.TolerationOpLt, corev1.TolerationOpGt}))
		default:
			faults = append(faults, OneOfAny(at.Child("operator"), t.Operator, corev1.TolerationOpEqual, corev1.TolerationOpExists)...)
		}
		if t.Effect != "" {
			faults = append(faults, OneOfAny(at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		}
	}
	return faults
}
