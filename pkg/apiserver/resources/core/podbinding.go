package core

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

var bindingResource = corev1.Resource("pods/binding")

// podBinding assigns a pod to a node: what the scheduler decides, and the only way to set spec.nodeName
// of a pod that exists.
func podBinding(d PodDeps) resource.Subresource[*corev1.Pod] {
	return resource.Subresource[*corev1.Pod]{
		Name:  "binding",
		Kind:  corev1.SchemeGroupVersion.WithKind("Binding"),
		Verbs: []string{"create"},
		Create: &resource.CreateAction[*corev1.Pod]{
			New: func() runtime.Object { return &corev1.Binding{} },
			Do: func(ctx context.Context, namespace, name string, body runtime.Object, opts *metav1.CreateOptions) (runtime.Object, error) {
				return bind(ctx, d, namespace, name, body.(*corev1.Binding), opts)
			},
		},
		Update: &resource.UpdatePart[*corev1.Pod]{},
	}
}

// Binding declares the older way to bind, whose pod is named in the body alone.
func Binding(d PodDeps) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Binding]{
		Kind:   corev1.SchemeGroupVersion.WithKind("Binding"),
		Plural: "bindings",
		Verbs:  []string{"create"},
		Answer: func(ctx context.Context, b *corev1.Binding, opts *metav1.CreateOptions) (runtime.Object, error) {
			return bind(ctx, d, b.Namespace, b.Name, b, opts)
		},
	})
}

func bind(ctx context.Context, d PodDeps, namespace, name string, b *corev1.Binding, opts *metav1.CreateOptions) (runtime.Object, error) {
	if b.Name != name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if faults := validateBinding(b); len(faults) > 0 {
		return nil, faults.ToAggregate()
	}
	assign := func(obj resource.Object) error { return assignPod(obj.(*corev1.Pod), b, d) }
	var err error
	if opts != nil && len(opts.DryRun) > 0 {
		var pod resource.Object
		if pod, err = d.Access.GetLive(ctx, podResource, namespace, name); err == nil {
			err = assign(pod.DeepCopyObject().(resource.Object))
		}
	} else {
		_, err = d.Access.Update(resource.Unowned(ctx), podResource, "binding", namespace, name, assign)
	}
	if err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

func validateBinding(b *corev1.Binding) field.ErrorList {
	var faults field.ErrorList
	target := field.NewPath("target")
	if b.Target.Kind != "" && b.Target.Kind != "Node" {
		faults = append(faults, field.NotSupported(target.Child("kind"), b.Target.Kind, []string{"Node", "<empty>"}))
	}
	if b.Target.Name == "" {
		faults = append(faults, field.Required(target.Child("name"), ""))
	}
	return faults
}

func assignPod(pod *corev1.Pod, b *corev1.Binding, d PodDeps) error {
	refuse := func(err error) error { return apierrors.NewConflict(bindingResource, pod.Name, err) }
	another := func(what string, want, have any) error {
		return apierrors.NewConflict(podResource, pod.Name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: /registry/pods/%s/%s, "+
			"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: %s in precondition: %v, %s in object meta: %v",
			pod.Namespace, pod.Name, what, want, what, have))
	}
	switch {
	case b.UID != "" && b.UID != pod.UID:
		return another("UID", b.UID, pod.UID)
	case b.ResourceVersion != "" && b.ResourceVersion != pod.ResourceVersion:
		return another("ResourceVersion", b.ResourceVersion, pod.ResourceVersion)
	case pod.DeletionTimestamp != nil:
		return refuse(fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name))
	case pod.Spec.NodeName != "":
		return refuse(fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName))
	case len(pod.Spec.SchedulingGates) > 0:
		return refuse(fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name))
	}
	pod.Spec.NodeName = b.Target.Name
	pod.Status.NominatedNodeName = ""
	pod.Annotations = merged(pod.Annotations, b.Annotations)
	pod.Labels = merged(pod.Labels, b.Labels)
	setCondition(pod, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, d)
	return nil
}

func merged(into, from map[string]string) map[string]string {
	if len(from) == 0 {
		return into
	}
	if into == nil {
		into = map[string]string{}
	}
	maps.Copy(into, from)
	return into
}

// setCondition puts a condition in the place of the one of its type. Its time is that of its last change.
func setCondition(pod *corev1.Pod, c corev1.PodCondition, d PodDeps) {
	c.LastTransitionTime = metav1.NewTime(d.Clock.Now()).Rfc3339Copy()
	for i := range pod.Status.Conditions {
		old := &pod.Status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		*old = c
		return
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}
