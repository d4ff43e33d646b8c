package source

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/daemon"
)

func podInformer(client kubernetes.Interface, node string) cache.SharedIndexInformer {
	return informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTransform(fromAPI),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
		})).Core().V1().Pods().Informer()
}

// fromAPI marks a pod that claims to be static as what it is: only files and URLs make static pods, which
// no admission of the node stops.
func fromAPI(obj any) (any, error) {
	if pod, ok := obj.(*corev1.Pod); ok && IsStatic(pod) {
		pod.Annotations[AnnotationSource] = apiSource
	}
	return daemon.DropManagedFields(obj)
}

// followAPI registers the handler that turns the informer's events into updates.
func (s *Source) followAPI(ctx context.Context) {
	registration, err := s.informer.AddEventHandler(daemon.Handler(
		func(pod, old *corev1.Pod) { s.podSet(ctx, pod, old) },
		func(pod *corev1.Pod) { s.podGone(ctx, pod) },
	))
	if err != nil {
		// Only a stopped informer refuses, and this one was not started yet.
		s.config.Log.Error(err, "Pods of the apiserver are not followed")
		return
	}
	s.mu.Lock()
	s.delivered = registration.HasSynced
	s.mu.Unlock()
}

func (s *Source) podSet(ctx context.Context, pod, old *corev1.Pod) {
	if old != nil && old.UID != pod.UID {
		// Deleted and made anew between two lists.
		s.podGone(ctx, old)
	}
	switch {
	case pod.Spec.NodeName != s.config.NodeName:
	case IsMirror(pod):
		s.mirrorChanged(ctx, pod)
	default:
		s.send(ctx, Update{Pod: pod})
	}
}

func (s *Source) podGone(ctx context.Context, pod *corev1.Pod) {
	switch {
	case pod.Spec.NodeName != s.config.NodeName:
	case IsMirror(pod):
		s.mirrorChanged(ctx, pod)
	default:
		s.send(ctx, Update{Pod: pod, Deleted: true})
	}
}

// mirrorChanged tells the static pod again: its status may have to be written.
func (s *Source) mirrorChanged(ctx context.Context, mirror *corev1.Pod) {
	s.mu.Lock()
	var static *corev1.Pod
	for _, p := range s.static {
		if p.Namespace == mirror.Namespace && p.Name == mirror.Name {
			static = p
		}
	}
	s.mu.Unlock()
	if static != nil {
		s.send(ctx, Update{Pod: static, Static: true})
	}
	s.Poke()
}
