package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// The annotations of static pods and their mirrors.
const (
	AnnotationSource = "kubernetes.io/config.source"
	AnnotationSeen   = "kubernetes.io/config.seen"
	AnnotationHash   = "kubernetes.io/config.hash"
	AnnotationMirror = corev1.MirrorPodAnnotationKey
)

// Pauses after a mirror could not be written.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// IsMirror says whether a pod is the apiserver's copy of a static pod.
func IsMirror(pod *corev1.Pod) bool {
	_, ok := pod.Annotations[AnnotationMirror]
	return ok
}

// IsStatic says whether a pod comes from a file or a URL. Mirrors do not count.
func IsStatic(pod *corev1.Pod) bool {
	source := pod.Annotations[AnnotationSource]
	return (source == fileSource || source == urlSource) && !IsMirror(pod)
}

func isMirrorOf(mirror, static *corev1.Pod) bool {
	return mirror.Namespace == static.Namespace && mirror.Name == static.Name &&
		IsMirror(mirror) && mirror.Annotations[AnnotationMirror] == static.Annotations[AnnotationHash]
}

// mirrors keeps one mirror pod in the apiserver for each static pod.
type mirrors struct {
	source *Source
	wake   chan struct{}
}

func newMirrors(s *Source) *mirrors { return &mirrors{source: s, wake: make(chan struct{}, 1)} }

func (m *mirrors) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mirrors) run(ctx context.Context) {
	if !cache.WaitForCacheSync(ctx.Done(), m.source.informer.HasSynced) {
		return
	}
	c := m.source.config
	for pause := firstRetry; ; {
		var retry <-chan time.Time
		if err := m.reconcile(ctx); err == nil {
			pause = firstRetry
		} else if ctx.Err() == nil {
			c.Log.Error(err, "Mirror pods are not as they should be; trying again", "after", pause.String())
			timer := c.Clock.NewTimer(pause)
			defer timer.Stop()
			retry, pause = timer.C(), min(2*pause, lastRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-retry:
		}
	}
}

// reconcile brings the mirrors one step nearer to the static pods. What a deletion makes room for is
// created when the informer tells of the deletion.
func (m *mirrors) reconcile(ctx context.Context) error {
	s := m.source
	wanted := map[string]*corev1.Pod{}
	s.mu.Lock()
	known := len(s.pending) == 0
	for _, p := range s.static {
		wanted[p.Namespace+"/"+p.Name] = p
	}
	s.mu.Unlock()
	var all []error
	for _, obj := range s.informer.GetStore().List() {
		mirror := obj.(*corev1.Pod)
		if !IsMirror(mirror) || mirror.Spec.NodeName != s.config.NodeName {
			continue
		}
		static := wanted[mirror.Namespace+"/"+mirror.Name]
		if static == nil && (!known || m.terminating(mirror)) {
			continue
		}
		if static == nil || !isMirrorOf(mirror, static) || mirror.DeletionTimestamp != nil {
			all = append(all, m.remove(ctx, mirror))
		}
	}
	for name, static := range wanted {
		if _, there, _ := s.informer.GetStore().GetByKey(name); !there {
			all = append(all, m.create(ctx, static))
		}
	}
	return errors.Join(all...)
}

func (m *mirrors) terminating(mirror *corev1.Pod) bool {
	f := m.source.config.Terminating
	return f != nil && f(types.UID(mirror.Annotations[AnnotationMirror]))
}

func (m *mirrors) remove(ctx context.Context, mirror *corev1.Pod) error {
	err := m.source.config.Client.CoreV1().Pods(mirror.Namespace).Delete(ctx, mirror.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &mirror.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting the mirror pod %s/%s: %w", mirror.Namespace, mirror.Name, err)
	}
	return nil
}

func (m *mirrors) create(ctx context.Context, static *corev1.Pod) error {
	c := m.source.config
	node, err := c.Client.CoreV1().Nodes().Get(ctx, c.NodeName, metav1.GetOptions{})
	if err != nil {
		// The apiserver takes a mirror only if the node owns it.
		return fmt.Errorf("getting the node that owns the mirror pod %s/%s: %w", static.Namespace, static.Name, err)
	}
	mirror := static.DeepCopy()
	mirror.UID, mirror.Status = "", corev1.PodStatus{}
	mirror.Annotations[AnnotationMirror] = static.Annotations[AnnotationHash]
	mirror.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID, Controller: new(true),
	}}
	_, err = c.Client.CoreV1().Pods(mirror.Namespace).Create(ctx, mirror, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		// Ours, and the informer will tell of it in a moment; or somebody else's pod is in the way.
		existing, getErr := c.Client.CoreV1().Pods(mirror.Namespace).Get(ctx, mirror.Name, metav1.GetOptions{})
		if getErr == nil && existing.Spec.NodeName == c.NodeName && IsMirror(existing) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("creating the mirror pod %s/%s: %w", mirror.Namespace, mirror.Name, err)
	}
	c.Log.Info("Created the mirror pod of a static pod", "pod", mirror.Namespace+"/"+mirror.Name)
	return nil
}
