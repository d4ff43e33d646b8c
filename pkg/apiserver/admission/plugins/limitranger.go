package plugins

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	podresources "k8s.io/component-helpers/resource"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

const limitRangerAnnotation = "kubernetes.io/limit-ranger"

// limitRanger fills in what a namespace's limit ranges say for containers that ask for nothing, and holds
// pods and claims to them.
func limitRanger(cfg *Config) admission.Plugin {
	l := &limits{cfg}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Admit: l.admit, Validate: l.validate}
}

type limits struct{ cfg *Config }

func (l *limits) ranges(ctx context.Context, namespace string) ([]*corev1.LimitRange, error) {
	ranges, err := list[*corev1.LimitRange](ctx, l.cfg.Access, schema.GroupResource{Resource: "limitranges"}, namespace)
	if err != nil {
		return nil, fmt.Errorf("unable to read the limit ranges of namespace %q: %w", namespace, err)
	}
	return ranges, nil
}

// concern says whether limits hold for a write: pods are held to them when they are created and resized, claims in every
// write, and none that is on its way out.
func concern(a *admission.Attributes) bool {
	if old, is := a.OldObject.(metav1.Object); is && old.GetDeletionTimestamp() != nil {
		return false
	}
	switch a.Operation {
	case admission.Create:
		return a.Is("", "pods", "") || a.Is("", "persistentvolumeclaims", "")
	case admission.Update:
		return a.Is("", "pods", "resize") || a.Is("", "persistentvolumeclaims", "")
	}
	return false
}

func (l *limits) admit(ctx context.Context, a *admission.Attributes) error {
	pod, ok := a.Object.(*corev1.Pod)
	if !ok || !concern(a) {
		return nil
	}
	ranges, err := l.ranges(ctx, a.Namespace)
	if err != nil {
		return err
	}
	if len(ranges) > 0 && a.OldObject != nil { // whose containers the pod may share
		spec := pod.Spec.DeepCopy()
		pod.Spec.Containers, pod.Spec.InitContainers = spec.Containers, spec.InitContainers
	}
	for _, r := range ranges {
		set := fillInAll(pod, r.Spec.Limits)
		if len(set) > 0 {
			pod.Annotations = maps.Clone(pod.Annotations)
			if pod.Annotations == nil {
				pod.Annotations = map[string]string{}
			}
			pod.Annotations[limitRangerAnnotation] = "LimitRanger plugin set: " + strings.Join(set, "; ")
		}
	}
	return nil
}

func fillInAll(pod *corev1.Pod, items []corev1.LimitRangeItem) (set []string) {
	for _, item := range items {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for i := range pod.Spec.Containers {
			set = append(set, fillIn(&pod.Spec.Containers[i], "container", item)...)
		}
		for i := range pod.Spec.InitContainers {
			set = append(set, fillIn(&pod.Spec.InitContainers[i], "init container", item)...)
		}
	}
	return set
}

// fillIn answers in words what it has set.
func fillIn(c *corev1.Container, kind string, item corev1.LimitRangeItem) []string {
	var words []string
	fill := func(have *corev1.ResourceList, from corev1.ResourceList, what string) {
		var names []string
		for _, name := range slices.Sorted(maps.Keys(from)) {
			if _, ok := (*have)[name]; ok {
				continue
			}
			if *have == nil {
				*have = corev1.ResourceList{}
			}
			(*have)[name] = from[name].DeepCopy()
			names = append(names, string(name))
		}
		if len(names) > 0 {
			words = append(words, fmt.Sprintf("%s %s for %s %s", strings.Join(names, ", "), what, kind, c.Name))
		}
	}
	fill(&c.Resources.Requests, item.DefaultRequest, "request")
	fill(&c.Resources.Limits, item.Default, "limit")
	return words
}

func (l *limits) validate(ctx context.Context, a *admission.Attributes) error {
	if !concern(a) {
		return nil
	}
	var check func(corev1.LimitRangeItem) []error
	switch o := a.Object.(type) {
	case *corev1.Pod:
		check = func(item corev1.LimitRangeItem) []error { return checkPod(o, item) }
	case *corev1.PersistentVolumeClaim:
		check = func(item corev1.LimitRangeItem) []error { return checkClaim(o, item) }
	default:
		return nil
	}
	ranges, err := l.ranges(ctx, a.Namespace)
	if err != nil {
		return err
	}
	for _, r := range ranges { // the first that is broken is told of
		var errs []error
		for _, item := range r.Spec.Limits {
			errs = append(errs, check(item)...)
		}
		if len(errs) > 0 {
			return admission.Forbidden(a, utilerrors.NewAggregate(errs))
		}
	}
	return nil
}

func checkClaim(c *corev1.PersistentVolumeClaim, item corev1.LimitRangeItem) []error {
	if item.Type != corev1.LimitTypePersistentVolumeClaim {
		return nil
	}
	u := usage{item.Type, c.Spec.Resources.Requests, nil}
	var errs []error
	each(item.Min, func(name corev1.ResourceName, bound quantity.Quantity) { errs = append(errs, u.min(name, bound)) })
	each(item.Max, func(name corev1.ResourceName, bound quantity.Quantity) {
		errs = append(errs, u.maxRequest(name, bound))
	})
	return slices.DeleteFunc(errs, func(e error) bool { return e == nil })
}

func checkPod(pod *corev1.Pod, item corev1.LimitRangeItem) []error {
	var errs []error
	check := func(u usage) {
		each(item.Min, func(name corev1.ResourceName, bound quantity.Quantity) { errs = append(errs, u.min(name, bound)) })
		each(item.Max, func(name corev1.ResourceName, bound quantity.Quantity) { errs = append(errs, u.max(name, bound)) })
		each(item.MaxLimitRequestRatio, func(name corev1.ResourceName, bound quantity.Quantity) { errs = append(errs, u.ratio(name, bound)) })
	}
	switch item.Type {
	case corev1.LimitTypeContainer:
		for _, list := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
			for i := range list {
				check(usage{item.Type, list[i].Resources.Requests, list[i].Resources.Limits})
			}
		}
	case corev1.LimitTypePod:
		opts := podresources.PodResourcesOptions{ExcludeOverhead: true}
		check(usage{item.Type, podresources.PodRequests(pod, opts), podresources.PodLimits(pod, opts)})
	}
	return slices.DeleteFunc(errs, func(e error) bool { return e == nil })
}

func each(bounds corev1.ResourceList, f func(corev1.ResourceName, quantity.Quantity)) {
	for _, name := range slices.Sorted(maps.Keys(bounds)) {
		f(name, bounds[name])
	}
}

// usage is what a thing of a kind asks for and is limited to.
type usage struct {
	kind             corev1.LimitType
	requests, limits corev1.ResourceList
}

func (u usage) min(name corev1.ResourceName, bound quantity.Quantity) error {
	request, requested := u.requests[name]
	limit, limited := u.limits[name]
	switch {
	case !requested:
		return fmt.Errorf("minimum %s usage per %s is %s.  No request is specified", name, u.kind, bound.String())
	case request.Cmp(bound) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but request is %s", name, u.kind, bound.String(), request.String())
	case limited && limit.Cmp(bound) < 0:
		return fmt.Errorf("minimum %s usage per %s is %s, but limit is %s", name, u.kind, bound.String(), limit.String())
	}
	return nil
}

func (u usage) max(name corev1.ResourceName, bound quantity.Quantity) error {
	request, requested := u.requests[name]
	limit, limited := u.limits[name]
	switch {
	case !limited:
		return fmt.Errorf("maximum %s usage per %s is %s.  No limit is specified", name, u.kind, bound.String())
	case limit.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but limit is %s", name, u.kind, bound.String(), limit.String())
	case requested && request.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, u.kind, bound.String(), request.String())
	}
	return nil
}

func (u usage) maxRequest(name corev1.ResourceName, bound quantity.Quantity) error {
	request, requested := u.requests[name]
	switch {
	case !requested:
		return fmt.Errorf("maximum %s usage per %s is %s.  No request is specified", name, u.kind, bound.String())
	case request.Cmp(bound) > 0:
		return fmt.Errorf("maximum %s usage per %s is %s, but request is %s", name, u.kind, bound.String(), request.String())
	}
	return nil
}

func (u usage) ratio(name corev1.ResourceName, bound quantity.Quantity) error {
	request, requested := u.requests[name]
	limit, limited := u.limits[name]
	if !requested || request.IsZero() {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no request is specified or request is 0", name, u.kind, bound.String())
	}
	if !limited || limit.IsZero() {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but no limit is specified or limit is 0", name, u.kind, bound.String())
	}
	// Whole thousandths divide exactly where fractions would not; what is too large for them is taken whole.
	least, most := request.Value(), limit.Value()
	if max(least, most, bound.Value()) <= quantity.MaxMilliValue {
		least, most = request.MilliValue(), limit.MilliValue()
	}
	got := float64(most) / float64(least)
	if got*1000 > float64(bound.MilliValue()) {
		return fmt.Errorf("%s max limit to request ratio per %s is %s, but provided ratio is %f", name, u.kind, bound.String(), got)
	}
	return nil
}
