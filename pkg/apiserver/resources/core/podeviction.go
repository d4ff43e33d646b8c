package core

import (
	"context"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	podvalidation "github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	// maxDisrupted bounds the evictions that the disruption controller has not yet counted.
	maxDisrupted = 2000
	// retryBudgetSeconds is when to ask again whether a budget has been worked out.
	retryBudgetSeconds = 10
	// maxAttempts bounds how often a pod is read again that changes while it is evicted.
	maxAttempts = 20

	violatesBudget = "Cannot evict pod as it would violate the pod's disruption budget."
)

// podEviction deletes a pod where its disruption budget allows it.
func podEviction(d PodDeps) resource.Subresource[*corev1.Pod] {
	return resource.Subresource[*corev1.Pod]{
		Name:  "eviction",
		Kind:  policyv1.SchemeGroupVersion.WithKind("Eviction"),
		Verbs: []string{"create"},
		Create: &resource.CreateAction[*corev1.Pod]{
			New:  func() runtime.Object { return &policyv1.Eviction{} },
			Also: []schema.GroupVersion{{Group: policyv1.GroupName, Version: "v1beta1"}},
			Do: func(ctx context.Context, namespace, name string, body runtime.Object, opts *metav1.CreateOptions) (runtime.Object, error) {
				e, err := newEviction(d, namespace, name, body, opts)
				if err != nil {
					return nil, err
				}
				return e.do(ctx)
			},
		},
	}
}

type eviction struct {
	PodDeps
	namespace, name string
	options         metav1.DeleteOptions
	// asSeen: the client means the pod in one version of it, and no other.
	asSeen bool
}

func newEviction(d PodDeps, namespace, name string, body runtime.Object, opts *metav1.CreateOptions) (*eviction, error) {
	e := &eviction{PodDeps: d, namespace: namespace, name: name}
	var asked string
	var options *metav1.DeleteOptions
	switch b := body.(type) {
	case *policyv1.Eviction:
		asked, options = b.Name, b.DeleteOptions
	case *policyv1beta1.Eviction:
		asked, options = b.Name, b.DeleteOptions
	default:
		return nil, fmt.Errorf("not an Eviction object: %T", body)
	}
	if asked != name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Eviction object")
	}
	if options != nil {
		e.options = *options.DeepCopy()
	}
	if opts != nil && len(e.options.DryRun) == 0 {
		e.options.DryRun = opts.DryRun
	}
	if faults := metav1validation.ValidateDeleteOptions(&e.options); len(faults) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", faults)
	}
	return e, nil
}

func (e *eviction) dryRun() bool { return len(e.options.DryRun) > 0 }

func (e *eviction) do(ctx context.Context) (runtime.Object, error) {
	for attempt := 1; ; attempt++ {
		pod, err := e.pod(ctx)
		if err != nil {
			return nil, err
		}
		if !disposable(pod) {
			return e.withinBudget(ctx, pod)
		}
		answer, err := e.remove(ctx, pod, e.asSeen || mayComeToLife(pod))
		if !apierrors.IsConflict(err) || e.asSeen || attempt == maxAttempts {
			return answer, err
		}
	}
}

// withinBudget evicts a pod that counts for its budget.
func (e *eviction) withinBudget(ctx context.Context, pod *corev1.Pod) (runtime.Object, error) {
	budgets, err := e.budgetsOf(ctx, pod)
	if err != nil {
		return nil, err
	}
	switch len(budgets) {
	case 0:
		return e.remove(ctx, pod, e.asSeen)
	case 1:
	default:
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
			Message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."}}
	}
	if !podvalidation.ConditionTrue(pod, corev1.PodReady) && unhealthyMayGo(budgets[0]) {
		answer, err := e.remove(ctx, pod, true)
		if apierrors.IsConflict(err) && !e.asSeen {
			err = unsettled(budgets[0]) // it may have become ready, so that it counts: the client shall ask again
		}
		return answer, err
	}
	if err := e.spend(ctx, budgets[0]); err != nil {
		return nil, err
	}
	return e.remove(ctx, pod, e.asSeen)
}

func (e *eviction) pod(ctx context.Context) (*corev1.Pod, error) {
	obj, err := e.Access.GetLive(ctx, podResource, e.namespace, e.name)
	if err != nil {
		return nil, err
	}
	pod := obj.(*corev1.Pod)
	if p := e.options.Preconditions; p != nil && p.UID != nil && *p.UID != pod.UID {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "Pod"}, pod.Name, fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, pod.UID))
	}
	if p := e.options.Preconditions; p != nil && p.ResourceVersion != nil {
		if *p.ResourceVersion != pod.ResourceVersion {
			return nil, apierrors.NewConflict(schema.GroupResource{Resource: "Pod"}, pod.Name, fmt.Errorf(
				"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified", *p.ResourceVersion, pod.ResourceVersion))
		}
		p.ResourceVersion, e.asSeen = nil, true // marking the pod gives it another
	}
	return pod, nil
}

// disposable pods are no loss: they do not run, or are on their way out.
func disposable(pod *corev1.Pod) bool {
	switch pod.Status.Phase {
	case corev1.PodSucceeded, corev1.PodFailed, corev1.PodPending:
		return true
	}
	return pod.DeletionTimestamp != nil
}

// mayComeToLife says of a disposable pod that it may count for a budget a moment later: only as it was seen does it go
// without one.
func mayComeToLife(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending && pod.DeletionTimestamp == nil
}

// unhealthyMayGo says whether a pod that is not ready counts for nothing.
func unhealthyMayGo(b *policyv1.PodDisruptionBudget) bool {
	if p := b.Spec.UnhealthyPodEvictionPolicy; p != nil && *p == policyv1.AlwaysAllow {
		return true
	}
	return b.Status.CurrentHealthy >= b.Status.DesiredHealthy && b.Status.DesiredHealthy > 0
}

func (e *eviction) budgetsOf(ctx context.Context, pod *corev1.Pod) ([]*policyv1.PodDisruptionBudget, error) {
	all, err := e.Access.List(ctx, budgetResource, e.namespace)
	if err != nil {
		return nil, fmt.Errorf("reading disruption budgets: %w", err)
	}
	var found []*policyv1.PodDisruptionBudget
	for _, obj := range all {
		b := obj.(*policyv1.PodDisruptionBudget)
		selector, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
		if err == nil && selector.Matches(labels.Set(pod.Labels)) {
			found = append(found, b)
		}
	}
	return found, nil
}

func (e *eviction) spend(ctx context.Context, b *policyv1.PodDisruptionBudget) error {
	take := func(obj resource.Object) error { return e.takeFrom(obj.(*policyv1.PodDisruptionBudget)) }
	if e.dryRun() {
		return take(b.DeepCopy())
	}
	_, err := e.Access.Update(ctx, budgetResource, "status", b.Namespace, b.Name, take)
	return err
}

// takeFrom writes one eviction into a budget, or says why it has none to give.
func (e *eviction) takeFrom(b *policyv1.PodDisruptionBudget) error {
	switch {
	case b.Status.ObservedGeneration < b.Generation:
		return unsettled(b)
	case b.Status.DisruptionsAllowed < 0:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), b.Name, fmt.Errorf("pdb disruptions allowed is negative"))
	case len(b.Status.DisruptedPods) > maxDisrupted:
		return apierrors.NewForbidden(policyv1.Resource("poddisruptionbudget"), b.Name, fmt.Errorf("DisruptedPods map too big - too many evictions not confirmed by PDB controller"))
	case b.Status.DisruptionsAllowed == 0:
		return overBudget(0, whyNone(b))
	}
	now := metav1.NewTime(e.Clock.Now()).Rfc3339Copy()
	b.Status.DisruptionsAllowed--
	if b.Status.DisruptionsAllowed == 0 {
		apimeta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse,
			Reason: policyv1.InsufficientPodsReason, ObservedGeneration: b.Status.ObservedGeneration, LastTransitionTime: now})
	}
	if b.Status.DisruptedPods == nil {
		b.Status.DisruptedPods = map[string]metav1.Time{}
	}
	// The controller counts the pod as gone from now on, before its deletion can be seen.
	b.Status.DisruptedPods[e.name] = now
	return nil
}

// unsettled asks for another attempt, once the controller has brought the budget up to date.
func unsettled(b *policyv1.PodDisruptionBudget) error {
	return overBudget(retryBudgetSeconds, fmt.Sprintf("The disruption budget %s is still being processed by the server.", b.Name))
}

// whyNone says why a budget allows no disruption. Where the controller could not work it out, its numbers mean nothing.
func whyNone(b *policyv1.PodDisruptionBudget) string {
	c := apimeta.FindStatusCondition(b.Status.Conditions, policyv1.DisruptionAllowedCondition)
	told := c != nil && c.Status == metav1.ConditionFalse && c.Message != ""
	refused := fmt.Sprintf("The disruption budget %s does not allow evicting pods currently", b.Name)
	switch {
	case told && c.Reason == policyv1.SyncFailedReason:
		return fmt.Sprintf("%s because it failed sync: %s", refused, c.Message)
	case b.Status.CurrentHealthy <= b.Status.DesiredHealthy:
		return fmt.Sprintf("The disruption budget %s needs %d healthy pods and has %d currently", b.Name, b.Status.DesiredHealthy, b.Status.CurrentHealthy)
	case told:
		return fmt.Sprintf("%s (%s): %s", refused, c.Reason, c.Message)
	}
	return refused
}

func overBudget(retrySeconds int, why string) error {
	err := apierrors.NewTooManyRequests(violatesBudget, retrySeconds)
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{Type: policyv1.DisruptionBudgetCause, Message: why})
	return err
}

// remove marks the pod as evicted and deletes it. asSeen lets only this state of it be deleted.
func (e *eviction) remove(ctx context.Context, pod *corev1.Pod, asSeen bool) (runtime.Object, error) {
	if !e.dryRun() {
		marked, err := e.Access.Update(resource.Unowned(ctx), podResource, "status", e.namespace, e.name, func(obj resource.Object) error {
			now := obj.(*corev1.Pod)
			if asSeen && now.ResourceVersion != pod.ResourceVersion || now.UID != pod.UID {
				return apierrors.NewConflict(podResource, e.name, fmt.Errorf("the pod has changed while it was being evicted; try again"))
			}
			setCondition(now, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				Reason: "EvictionByEvictionAPI", Message: "Eviction API: evicting"}, e.PodDeps)
			return nil
		})
		if err != nil {
			return nil, err
		}
		pod = marked.(*corev1.Pod)
	}
	options := e.options.DeepCopy()
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	options.Preconditions.UID = &pod.UID
	if asSeen {
		options.Preconditions.ResourceVersion = &pod.ResourceVersion
	}
	if err := e.Access.Delete(ctx, podResource, e.namespace, e.name, options); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}
