package endpoints

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
)

// Writer carries plans out.
type Writer struct {
	Client kubernetes.Interface
	Store  cache.Store
	Writes *controller.Writes[controller.Key]
}

// Write carries out a plan for key. Every slice of existing that the plan leaves as it is gets labels and
// annotations where its own differ. trigger goes onto what is written, "" for nothing.
func (w *Writer) Write(ctx context.Context, key controller.Key, plan Plan, existing []*discoveryv1.EndpointSlice, labels, annotations map[string]string, trigger string) error {
	was, touched := map[string]*discoveryv1.EndpointSlice{}, map[string]bool{}
	for _, s := range existing {
		was[s.Name] = s
	}
	for _, s := range plan.Delete {
		touched[s.Name] = true
		if err := w.delete(ctx, key, s); err != nil {
			return err
		}
	}
	for _, s := range plan.Create {
		dress(s, labels, annotations, trigger)
		made, err := w.Client.DiscoveryV1().EndpointSlices(key.Namespace).Create(ctx, s, metav1.CreateOptions{})
		if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		} else if err != nil {
			return fmt.Errorf("creating an endpoint slice of %s: %w", key, err)
		}
		w.Writes.Wrote(key, w.Store, made)
	}
	for _, s := range plan.Update {
		touched[s.Name] = true
		if err := w.update(ctx, key, was[s.Name], s.DeepCopy(), labels, annotations, trigger); err != nil {
			return err
		}
	}
	for _, s := range existing {
		if touched[s.Name] {
			continue
		}
		if err := w.update(ctx, key, s, s.DeepCopy(), labels, annotations, ""); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) delete(ctx context.Context, key controller.Key, s *discoveryv1.EndpointSlice) error {
	err := w.Client.DiscoveryV1().EndpointSlices(s.Namespace).Delete(ctx, s.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting endpoint slice %s: %w", s.Name, err)
	}
	w.Writes.Deleted(key, w.Store, s)
	return nil
}

func (w *Writer) update(ctx context.Context, key controller.Key, old, s *discoveryv1.EndpointSlice, labels, annotations map[string]string, trigger string) error {
	dress(s, labels, annotations, "")
	if equality.Semantic.DeepEqual(old, s) {
		return nil
	}
	dress(s, labels, annotations, trigger)
	written, err := w.Client.DiscoveryV1().EndpointSlices(s.Namespace).Update(ctx, s, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("updating endpoint slice %s: %w", s.Name, err)
	}
	w.Writes.Wrote(key, w.Store, written)
	return nil
}

func dress(s *discoveryv1.EndpointSlice, labels, annotations map[string]string, trigger string) {
	s.Labels = maps.Clone(labels)
	kept := s.Annotations[corev1.EndpointsLastChangeTriggerTime]
	s.Annotations = maps.Clone(annotations)
	trigger = cmp.Or(trigger, kept)
	if trigger != "" {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[corev1.EndpointsLastChangeTriggerTime] = trigger
	}
}
