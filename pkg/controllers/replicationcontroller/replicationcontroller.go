// Package replicationcontroller keeps each ReplicationController's number of pods.
package replicationcontroller

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
	"github.com/sampan-project/sampan/pkg/controller/replicas"
)

// New makes the controller.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	rcs := env.Informers.Core().V1().ReplicationControllers()
	informer, lister := rcs.Informer(), rcs.Lister()
	engine, err := replicas.New(env, replicas.Kind{
		Name: "replicationmanager", Source: "replication-controller",
		GVK: corev1.SchemeGroupVersion.WithKind("ReplicationController"), Informer: informer,
		Get: func(k controller.Key) (*appsv1.ReplicaSet, error) {
			rc, err := lister.ReplicationControllers(k.Namespace).Get(k.Name)
			if err != nil {
				return nil, err
			}
			return asSet(rc.DeepCopy()), nil
		},
		Live: func(ctx context.Context, k controller.Key) (metav1.Object, error) {
			return env.Client.CoreV1().ReplicationControllers(k.Namespace).Get(ctx, k.Name, metav1.GetOptions{})
		},
		Object: func(set *appsv1.ReplicaSet) pods.Parent { return fromSet(set) },
		WriteStatus: func(ctx context.Context, set *appsv1.ReplicaSet) (metav1.Object, error) {
			return env.Client.CoreV1().ReplicationControllers(set.Namespace).UpdateStatus(ctx, fromSet(set), metav1.UpdateOptions{})
		},
		Matching: func(pod *corev1.Pod) []controller.Key {
			selector := func(rc *corev1.ReplicationController) *metav1.LabelSelector {
				return &metav1.LabelSelector{MatchLabels: rc.Spec.Selector}
			}
			return controller.Selecting(lister.ReplicationControllers(pod.Namespace).List, selector, pod)
		},
	}, workers)
	if err != nil {
		return nil, err
	}
	controller.Watch(engine.Loop, informer, controller.Itself[corev1.ReplicationController])
	return engine, nil
}

// asSet shows a ReplicationController as the ReplicaSet that the engine works with.
func asSet(rc *corev1.ReplicationController) *appsv1.ReplicaSet {
	set := &appsv1.ReplicaSet{
		ObjectMeta: rc.ObjectMeta,
		Spec: appsv1.ReplicaSetSpec{
			Replicas: rc.Spec.Replicas, MinReadySeconds: rc.Spec.MinReadySeconds,
			Selector: &metav1.LabelSelector{MatchLabels: rc.Spec.Selector},
		},
		Status: appsv1.ReplicaSetStatus{
			Replicas: rc.Status.Replicas, FullyLabeledReplicas: rc.Status.FullyLabeledReplicas, ReadyReplicas: rc.Status.ReadyReplicas,
			AvailableReplicas: rc.Status.AvailableReplicas, ObservedGeneration: rc.Status.ObservedGeneration,
		},
	}
	if rc.Spec.Template != nil {
		set.Spec.Template = *rc.Spec.Template
	}
	for _, c := range rc.Status.Conditions {
		set.Status.Conditions = append(set.Status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return set
}

func fromSet(set *appsv1.ReplicaSet) *corev1.ReplicationController {
	rc := &corev1.ReplicationController{
		ObjectMeta: set.ObjectMeta,
		Spec: corev1.ReplicationControllerSpec{
			Replicas: set.Spec.Replicas, MinReadySeconds: set.Spec.MinReadySeconds, Selector: set.Spec.Selector.MatchLabels, Template: &set.Spec.Template,
		},
		Status: corev1.ReplicationControllerStatus{
			Replicas: set.Status.Replicas, FullyLabeledReplicas: set.Status.FullyLabeledReplicas, ReadyReplicas: set.Status.ReadyReplicas,
			AvailableReplicas: set.Status.AvailableReplicas, ObservedGeneration: set.Status.ObservedGeneration,
		},
	}
	for _, c := range set.Status.Conditions {
		rc.Status.Conditions = append(rc.Status.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return rc
}
