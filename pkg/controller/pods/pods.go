// Package pods is what controllers of pods share: pods made from a template, told about in events;
// which pods count; which go first; who owns which.
package pods

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
)

// Parent is what pods are made for.
type Parent interface {
	runtime.Object
	metav1.Object
}

// FromTemplate makes the pod of a template that owner controls, with a name still to be generated.
func FromTemplate(template *corev1.PodTemplateSpec, parent metav1.Object, owner *metav1.OwnerReference) *corev1.Pod {
	t := template.DeepCopy()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: parent.GetNamespace(), GenerateName: parent.GetName() + "-",
			Labels: t.Labels, Annotations: t.Annotations, Finalizers: t.Finalizers,
		},
		Spec: t.Spec,
	}
	if len(validation.NameIsDNSSubdomain(pod.GenerateName, true)) > 0 {
		pod.GenerateName = parent.GetName()
	}
	if owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return pod
}

// Control creates and deletes pods and tells about it in events on their parent.
type Control struct {
	Client kubernetes.Interface
	Events record.EventRecorder
}

// Create creates pod for parent.
func (c *Control) Create(ctx context.Context, pod *corev1.Pod, parent Parent) (*corev1.Pod, error) {
	if len(pod.Labels) == 0 {
		return nil, fmt.Errorf("unable to create pods, no labels")
	}
	made, err := c.Client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			c.Events.Eventf(parent, corev1.EventTypeWarning, "FailedCreate", "Error creating: %v", err)
		}
		return nil, err
	}
	c.Events.Eventf(parent, corev1.EventTypeNormal, "SuccessfulCreate", "Created pod: %v", made.Name)
	return made, nil
}

// Delete deletes pod of parent; a pod that is already gone is deleted.
func (c *Control) Delete(ctx context.Context, pod *corev1.Pod, parent Parent) error {
	err := c.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
	switch {
	case apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil // gone, or another of that name
	case err != nil:
		c.Events.Eventf(parent, corev1.EventTypeWarning, "FailedDelete", "Error deleting: %v", err)
		return fmt.Errorf("deleting pod %s: %w", pod.Name, err)
	}
	c.Events.Eventf(parent, corev1.EventTypeNormal, "SuccessfulDelete", "Deleted pod: %v", pod.Name)
	return nil
}

const ownerIndex = "sampan/controller-uid"

// IndexByOwner makes informer find pods by their controlling owner. Several controllers may ask.
func IndexByOwner(informer cache.SharedIndexInformer) error {
	if _, ok := informer.GetIndexer().GetIndexers()[ownerIndex]; ok {
		return nil
	}
	err := informer.AddIndexers(cache.Indexers{ownerIndex: func(obj any) ([]string, error) {
		pod, ok := obj.(*corev1.Pod)
		if !ok {
			return nil, nil
		}
		if ref := metav1.GetControllerOfNoCopy(pod); ref != nil {
			return []string{string(ref.UID)}, nil
		}
		return []string{orphansOf(pod.Namespace)}, nil
	}})
	if err != nil {
		return fmt.Errorf("indexing pods by owner: %w", err)
	}
	return nil
}

func orphansOf(namespace string) string { return "orphans/" + namespace }

// OfOwner lists the pods that owner controls, and those of its namespace that nobody does.
func OfOwner(informer cache.SharedIndexInformer, owner metav1.Object) ([]*corev1.Pod, error) {
	var list []*corev1.Pod
	for _, value := range []string{string(owner.GetUID()), orphansOf(owner.GetNamespace())} {
		items, err := informer.GetIndexer().ByIndex(ownerIndex, value)
		if err != nil {
			return nil, fmt.Errorf("finding the pods of %s: %w", owner.GetName(), err)
		}
		for _, i := range items {
			if pod := i.(*corev1.Pod); pod.Namespace == owner.GetNamespace() {
				list = append(list, pod)
			}
		}
	}
	return list, nil
}

const nodeIndex = "sampan/node-name"

// IndexByNode makes informer find pods by their node. Several controllers may ask.
func IndexByNode(informer cache.SharedIndexInformer) error {
	if _, ok := informer.GetIndexer().GetIndexers()[nodeIndex]; ok {
		return nil
	}
	err := informer.AddIndexers(cache.Indexers{nodeIndex: func(obj any) ([]string, error) {
		if p, ok := obj.(*corev1.Pod); ok && p.Spec.NodeName != "" {
			return []string{p.Spec.NodeName}, nil
		}
		return nil, nil
	}})
	if err != nil {
		return fmt.Errorf("indexing pods by node: %w", err)
	}
	return nil
}

// OnNode lists the pods of a node, given an informer that IndexByNode has seen.
func OnNode(informer cache.SharedIndexInformer, node string) []*corev1.Pod {
	items, err := informer.GetIndexer().ByIndex(nodeIndex, node)
	if err != nil {
		return nil // the index is there since New
	}
	list := make([]*corev1.Pod, 0, len(items))
	for _, i := range items {
		list = append(list, i.(*corev1.Pod))
	}
	return list
}
