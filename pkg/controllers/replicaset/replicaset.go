// Package replicaset keeps each ReplicaSet's number of pods.
package replicaset

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
	"github.com/sampan-project/sampan/pkg/controller/replicas"
)

// New makes the controller.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	sets := env.Informers.Apps().V1().ReplicaSets()
	informer, lister := sets.Informer(), sets.Lister()
	podInformer := env.Informers.Core().V1().Pods().Informer()
	engine, err := replicas.New(env, replicas.Kind{
		Name: "replicaset", Source: "replicaset-controller", GVK: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"), Informer: informer, CountsTerminating: true,
		Get: func(k controller.Key) (*appsv1.ReplicaSet, error) {
			set, err := lister.ReplicaSets(k.Namespace).Get(k.Name)
			return set.DeepCopy(), err
		},
		Live: func(ctx context.Context, k controller.Key) (metav1.Object, error) {
			return env.Client.AppsV1().ReplicaSets(k.Namespace).Get(ctx, k.Name, metav1.GetOptions{})
		},
		Object: func(set *appsv1.ReplicaSet) pods.Parent { return set },
		WriteStatus: func(ctx context.Context, set *appsv1.ReplicaSet) (metav1.Object, error) {
			return env.Client.AppsV1().ReplicaSets(set.Namespace).UpdateStatus(ctx, set, metav1.UpdateOptions{})
		},
		Matching: func(pod *corev1.Pod) []controller.Key {
			selector := func(set *appsv1.ReplicaSet) *metav1.LabelSelector { return set.Spec.Selector }
			return controller.Selecting(lister.ReplicaSets(pod.Namespace).List, selector, pod)
		},
		Siblings: func(set *appsv1.ReplicaSet) ([]*corev1.Pod, error) {
			list, err := lister.ReplicaSets(set.Namespace).List(labels.Everything())
			if err != nil {
				return nil, err
			}
			var beside []*corev1.Pod
			for _, other := range list {
				if !sameController(set, other) {
					continue
				}
				found, err := pods.OfOwner(podInformer, other)
				if err != nil {
					return nil, err
				}
				for _, p := range found {
					if metav1.IsControlledBy(p, other) {
						beside = append(beside, p)
					}
				}
			}
			return beside, nil
		},
	}, workers)
	if err != nil {
		return nil, err
	}
	controller.Watch(engine.Loop, informer, controller.Itself[appsv1.ReplicaSet])
	return engine, nil
}

func sameController(a, b *appsv1.ReplicaSet) bool {
	if a.UID == b.UID {
		return true
	}
	x, y := controller.ControllerOf(a), controller.ControllerOf(b)
	return x != nil && y != nil && x.UID == y.UID
}
