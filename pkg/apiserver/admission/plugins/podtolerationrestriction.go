package plugins

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// The annotations by which a namespace says, in JSON, what its pods tolerate where they do not say, and what they may.
const (
	defaultTolerationsOf = "scheduler.alpha.kubernetes.io/defaultTolerations"
	allowedTolerationsOf = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
)

var tolerationVersion = schema.GroupVersion{Group: "podtolerationrestriction.admission.k8s.io", Version: "v1alpha1"}

// podTolerations adds the tolerations of a pod's namespace to its own, and refuses those that the namespace does not
// list. The configuration speaks for namespaces that do not.
func podTolerations(cfg *Config) admission.Plugin {
	p := &podTolerationRules{cfg: cfg}
	cfg.refuse("PodTolerationRestriction", p.configure())
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: p.admit, Validate: p.validate}
}

type podTolerationRules struct {
	cfg     *Config
	cluster struct {
		metav1.TypeMeta `json:",inline"`
		Default         []corev1.Toleration `json:"default,omitempty"`
		Whitelist       []corev1.Toleration `json:"whitelist,omitempty"`
	}
}

func (p *podTolerationRules) configure() error {
	data, err := p.cfg.control.of("PodTolerationRestriction")
	if err != nil || data == nil {
		return err
	}
	if _, err := decode(data, &p.cluster, "Configuration", tolerationVersion); err != nil {
		return err
	}
	at := field.NewPath("podtolerationrestriction")
	faults := append(validation.Tolerations(at.Child("default"), p.cluster.Default),
		validation.Tolerations(at.Child("whitelist"), p.cluster.Whitelist)...)
	if len(faults) > 0 {
		return fmt.Errorf("invalid config: %v", faults)
	}
	return nil
}

func (p *podTolerationRules) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !a.Is("", "pods", "") {
		return nil
	}
	var more []corev1.Toleration
	if a.Operation == admission.Create {
		var says bool
		var err error
		if more, says, err = p.of(ctx, a.Namespace, defaultTolerationsOf); err != nil {
			return err
		}
		if !says {
			more = p.cluster.Default
		}
	}
	if cmp.Or(pod.Status.QOSClass, validation.QOS(&pod.Spec)) != corev1.PodQOSBestEffort {
		more = append(slices.Clip(more), corev1.Toleration{
			Key: corev1.TaintNodeMemoryPressure, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule,
		})
	}
	if len(more) > 0 {
		pod.Spec.Tolerations = withoutCovered(slices.Concat(pod.Spec.Tolerations, more))
	}
	return p.validate(ctx, a)
}

func (p *podTolerationRules) validate(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !a.Is("", "pods", "") || len(pod.Spec.Tolerations) == 0 {
		return nil
	}
	allowed, says, err := p.of(ctx, a.Namespace, allowedTolerationsOf)
	if err != nil {
		return err
	}
	whose := "namespace"
	if !says {
		allowed, whose = p.cluster.Whitelist, "cluster"
	}
	for _, t := range pod.Spec.Tolerations {
		covering := func(wide corev1.Toleration) bool { return covers(wide, t) }
		if len(allowed) > 0 && !slices.ContainsFunc(allowed, covering) {
			return fmt.Errorf(
				"pod tolerations (possibly merged with namespace default tolerations) conflict with its %s whitelist", whose)
		}
	}
	return nil
}

// of reads an annotation of the namespace. says: there is one, if empty.
func (p *podTolerationRules) of(
	ctx context.Context, namespace, annotation string,
) (list []corev1.Toleration, says bool, err error) {
	ns, err := find[*corev1.Namespace](ctx, p.cfg.Access, namespaces, "", namespace)
	if err != nil {
		if !apierrors.IsNotFound(err) {
			err = apierrors.NewInternalError(err)
		}
		return nil, false, err
	}
	text, says := ns.Annotations[annotation]
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, says, err
}

// withoutCovered leaves out what others of the list tolerate too; of equal ones the first stays.
func withoutCovered(all []corev1.Toleration) (kept []corev1.Toleration) {
	for i, t := range all {
		before := func(o corev1.Toleration) bool { return covers(o, t) }
		after := func(o corev1.Toleration) bool { return !equality.Semantic.DeepEqual(o, t) && covers(o, t) }
		if !slices.ContainsFunc(kept, before) && !slices.ContainsFunc(all[i+1:], after) {
			kept = append(kept, t)
		}
	}
	return kept
}

// covers says whether wide tolerates all that narrow does, as far as kube-apiserver sees it: one that names no operator
// is taken for Equal as the wide one, and for no more than what is written alike as the narrow one.
func covers(wide, narrow corev1.Toleration) bool {
	if equality.Semantic.DeepEqual(wide, narrow) {
		return true
	}
	everyKey := wide.Key == "" && wide.Operator == corev1.TolerationOpExists
	if wide.Key != narrow.Key && !everyKey || wide.Effect != "" && wide.Effect != narrow.Effect {
		return false
	}
	if most := wide.TolerationSeconds; most != nil && wide.Effect == corev1.TaintEffectNoExecute &&
		(narrow.TolerationSeconds == nil || *narrow.TolerationSeconds > *most) {
		return false
	}
	switch wide.Operator {
	case corev1.TolerationOpExists:
		return true
	case corev1.TolerationOpEqual, "":
		return narrow.Operator == corev1.TolerationOpEqual && narrow.Value == wide.Value
	}
	return false
}
