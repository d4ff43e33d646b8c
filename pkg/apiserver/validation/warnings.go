package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// oldNodeLabels says since when a label of nodes has another name, and which.
var oldNodeLabels = map[string][2]string{
	"beta.kubernetes.io/arch":                  {"v1.14", "kubernetes.io/arch"},
	"beta.kubernetes.io/os":                    {"v1.14", "kubernetes.io/os"},
	"failure-domain.beta.kubernetes.io/region": {"v1.17", "topology.kubernetes.io/region"},
	"failure-domain.beta.kubernetes.io/zone":   {"v1.17", "topology.kubernetes.io/zone"},
	"beta.kubernetes.io/instance-type":         {"v1.17", "node.kubernetes.io/instance-type"},
}

// obsoleteNodeLabels have no other name that means the same.
var obsoleteNodeLabels = map[string]string{
	"app.kubernetes.io/created-by":                  "deprecated since v1.9",
	"scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
	"node-role.kubernetes.io/master":                `use "node-role.kubernetes.io/control-plane" instead`,
}

// PodWarnings tells what of a pod, or of a template at path, does less than its author may think. path is
// nil for a pod.
func PodWarnings(path *field.Path, meta *metav1.ObjectMeta, spec *corev1.PodSpec) []string {
	w := &warner{}
	metadata, at := field.NewPath("metadata"), field.NewPath("spec")
	if path != nil {
		metadata, at = path.Child("metadata"), path.Child("spec")
	}
	w.scheduling(at, spec)
	notes := metadata.Child("annotations")
	w.annotations(notes, meta.Annotations)
	for i := range spec.Volumes {
		w.oldVolumes(at.Child("volumes").Index(i), &spec.Volumes[i])
	}
	for i := range spec.Volumes {
		w.files(&spec.Volumes[i])
	}
	w.hostAliases(at.Child("hostAliases"), spec.HostAliases)
	w.pullSecrets(at.Child("imagePullSecrets"), spec.ImagePullSecrets)
	for _, name := range countedInBytes {
		w.fraction(at.Child("overhead"), spec.Overhead, name)
	}
	w.seccompAnnotation(notes, meta.Annotations, corev1.SeccompPodAnnotationKey,
		spec.SecurityContext != nil && spec.SecurityContext.SeccompProfile != nil)
	eachContainer(at, spec, func(at containerAt, c *corev1.Container) {
		w.seccompAnnotation(notes, meta.Annotations, corev1.SeccompContainerAnnotationKeyPrefix+c.Name,
			c.SecurityContext != nil && c.SecurityContext.SeccompProfile != nil)
		if path != nil { // a pod's are spoken of where its fields are filled from them
			w.appArmorAnnotation(notes, meta.Annotations, spec, c)
		}
		w.container(at, c)
	})
	w.ports(at, spec)
	if g := spec.TerminationGracePeriodSeconds; g != nil && *g < 0 {
		w.say(at.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1")
	}
	w.affinity(at.Child("affinity"), spec.Affinity)
	w.addresses(at, spec)
	return w.said
}

// NodeSelectorWarnings tells of labels in a choice of nodes that nodes may not have any more.
func NodeSelectorWarnings(path *field.Path, s *corev1.NodeSelector) []string {
	w := &warner{}
	for i, term := range s.NodeSelectorTerms {
		w.oldLabels(path.Child("nodeSelectorTerms").Index(i), term)
	}
	return w.said
}

// OldNodeLabel warns of a label of nodes that is not used any more, and is empty of others.
func OldNodeLabel(key string) string {
	to, old := oldNodeLabels[key]
	if !old {
		return obsoleteNodeLabels[key]
	}
	return fmt.Sprintf("deprecated since %s; use %q instead", to[0], to[1])
}

// NewNodeLabel gives the name that a label of nodes has now, where it had another.
func NewNodeLabel(old string) string { return oldNodeLabels[old][1] }

type warner struct{ said []string }

func (w *warner) say(path *field.Path, format string, args ...any) {
	w.said = append(w.said, path.String()+": "+fmt.Sprintf(format, args...))
}

func (w *warner) scheduling(path *field.Path, s *corev1.PodSpec) {
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		if text := OldNodeLabel(key); text != "" {
			w.say(path.Child("nodeSelector").Key(key), "%s", text)
		}
	}
	if s.Affinity != nil && s.Affinity.NodeAffinity != nil {
		at := path.Child("affinity", "nodeAffinity")
		if hard := s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; hard != nil {
			for i, term := range hard.NodeSelectorTerms {
				w.oldLabels(at.Child(required, "nodeSelectorTerms").Index(i), term)
			}
		}
		for i, soft := range s.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
			w.preference(at.Child(preferred).Index(i).Child("preference"), soft.Preference)
		}
	}
	for i, c := range s.TopologySpreadConstraints {
		at := path.Child("topologySpreadConstraints").Index(i)
		w.oldLabel(at.Child("topologyKey"), c.TopologyKey)
		if c.LabelSelector == nil {
			w.say(at.Child("labelSelector"), "a null labelSelector results in matching no pod")
		}
	}
}

func (w *warner) oldLabels(path *field.Path, term corev1.NodeSelectorTerm) {
	for i, e := range term.MatchExpressions {
		w.oldLabel(path.Child("matchExpressions").Index(i).Child("key"), e.Key)
	}
}

// preference also warns of values that no label can have: unlike in what nodes must have they are no fault.
func (w *warner) preference(path *field.Path, term corev1.NodeSelectorTerm) {
	for i, e := range term.MatchExpressions {
		at := path.Child("matchExpressions").Index(i)
		w.oldLabel(at.Child("key"), e.Key)
		for j, value := range e.Values {
			for _, text := range utilvalidation.IsValidLabelValue(value) {
				w.say(at.Child("values").Index(j), "%s is invalid, %s", value, text)
			}
		}
	}
}

func (w *warner) oldLabel(path *field.Path, key string) {
	if text := OldNodeLabel(key); text != "" {
		w.say(path, "%s is %s", key, text)
	}
}

// annotations warns of what was written into annotations before there were fields.
func (w *warner) annotations(path *field.Path, annotations map[string]string) {
	for _, old := range [][2]string{
		{"scheduler.alpha.kubernetes.io/critical-pod", `non-functional in v1.16+; use the "priorityClassName" field instead`},
		{"security.alpha.kubernetes.io/sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
		{"security.alpha.kubernetes.io/unsafe-sysctls", `non-functional in v1.11+; use the "sysctls" field instead`},
	} {
		if _, there := annotations[old[0]]; there {
			w.say(path.Key(old[0]), "%s", old[1])
		}
	}
}

// seccompAnnotation warns of a profile in an annotation alone: with the field beside it no one expects it to count.
func (w *warner) seccompAnnotation(path *field.Path, annotations map[string]string, key string, field bool) {
	if _, there := annotations[key]; there && !field {
		w.say(path.Key(key), `non-functional in v1.27+; use the "seccompProfile" field instead`)
	}
}

func (w *warner) hostAliases(path *field.Path, list []corev1.HostAlias) {
	seen := map[string]bool{}
	for i, a := range list {
		if seen[a.IP] {
			w.say(path.Index(i).Child("ip"), "duplicate ip %q", a.IP)
		}
		seen[a.IP] = true
	}
}

func (w *warner) pullSecrets(path *field.Path, list []corev1.LocalObjectReference) {
	seen := map[string]bool{}
	for i, ref := range list {
		if seen[ref.Name] {
			w.say(path.Index(i).Child("name"), "duplicate name %q", ref.Name)
		}
		seen[ref.Name] = true
	}
	for i, ref := range list {
		if ref.Name == "" {
			w.say(path.Index(i).Child("name"), "invalid empty name %q", ref.Name)
		}
	}
}

func (w *warner) container(at containerAt, c *corev1.Container) {
	for _, name := range countedInBytes {
		if isFraction(c.Resources.Limits, name) || isFraction(c.Resources.Requests, name) {
			w.fraction(at.path().Child("resources", "limits"), c.Resources.Limits, name)
			w.fraction(at.path().Child("resources", "requests"), c.Resources.Requests, name)
		}
	}
	seen := map[string]bool{}
	for i, v := range c.Env {
		if seen[v.Name] && hides(v) {
			w.say(at.path().Child("env").Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen[v.Name] = true
	}
}

// hides says whether a variable that was set before is lost: a later value that adds to the earlier one builds on it.
func hides(v corev1.EnvVar) bool {
	ref := "$(" + v.Name + ")"
	return v.ValueFrom != nil || v.Value == ref || !strings.Contains(v.Value, ref)
}

// countedInBytes are the resources of pods of which there is no part of one.
var countedInBytes = []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

// fraction warns of an amount that ends within a byte.
func (w *warner) fraction(path *field.Path, list corev1.ResourceList, name corev1.ResourceName) {
	if isFraction(list, name) {
		q := list[name]
		w.say(path.Key(string(name)), "fractional byte value %q is invalid, must be an integer", q.String())
	}
}

func isFraction(list corev1.ResourceList, name corev1.ResourceName) bool {
	q := list[name]
	return q.MilliValue()%1000 != 0
}

func (w *warner) affinity(path *field.Path, a *corev1.Affinity) {
	if a == nil {
		return
	}
	judge := func(at *field.Path, hard []corev1.PodAffinityTerm, soft []corev1.WeightedPodAffinityTerm) {
		for i, t := range hard {
			if t.LabelSelector == nil {
				w.say(at.Child(required).Index(i).Child("labelSelector"), "a null labelSelector results in matching no pod")
			}
		}
		for i, t := range soft {
			if t.PodAffinityTerm.LabelSelector == nil {
				w.say(at.Child(preferred).Index(i).Child("podAffinityTerm", "labelSelector"), "a null labelSelector results in matching no pod")
			}
		}
	}
	if a.PodAffinity != nil {
		judge(path.Child("podAffinity"), a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	if a.PodAntiAffinity != nil {
		judge(path.Child("podAntiAffinity"), a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
}

func (w *warner) addresses(path *field.Path, s *corev1.PodSpec) {
	if s.DNSConfig != nil {
		for i, ip := range s.DNSConfig.Nameservers {
			w.said = append(w.said, utilvalidation.GetWarningsForIP(path.Child("dnsConfig", "nameservers").Index(i), ip)...)
		}
	}
	for i, a := range s.HostAliases {
		w.said = append(w.said, utilvalidation.GetWarningsForIP(path.Child("hostAliases").Index(i).Child("ip"), a.IP)...)
	}
}
