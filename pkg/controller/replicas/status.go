package replicas

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// Status counts the pods of a set. failure is what kept it from having as many as it wants.
func Status(set *appsv1.ReplicaSet, active, terminating []*corev1.Pod, failure error, now time.Time) appsv1.ReplicaSetStatus {
	s := appsv1.ReplicaSetStatus{
		Replicas: int32(len(active)), TerminatingReplicas: new(int32(len(terminating))),
		ObservedGeneration: set.Generation, Conditions: set.Status.Conditions,
	}
	template := labels.SelectorFromSet(set.Spec.Template.Labels)
	for _, p := range active {
		if template.Matches(labels.Set(p.Labels)) {
			s.FullyLabeledReplicas++
		}
		if pods.Ready(p) {
			s.ReadyReplicas++
		}
		if pods.Available(p, set.Spec.MinReadySeconds, now) {
			s.AvailableReplicas++
		}
	}
	s.Conditions = failureCondition(set, len(active), failure, now)
	return s
}

// failureCondition sets ReplicaFailure when a failure begins and drops it when it is over.
func failureCondition(set *appsv1.ReplicaSet, active int, failure error, now time.Time) []appsv1.ReplicaSetCondition {
	var kept []appsv1.ReplicaSetCondition
	for _, c := range set.Status.Conditions {
		if c.Type != appsv1.ReplicaSetReplicaFailure {
			kept = append(kept, c)
		} else if failure != nil {
			return set.Status.Conditions
		}
	}
	if failure == nil {
		return kept
	}
	reason := "FailedCreate"
	if active > int(*set.Spec.Replicas) {
		reason = "FailedDelete"
	}
	return append(kept, appsv1.ReplicaSetCondition{
		Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now),
		Reason: reason, Message: failure.Error(),
	})
}

// nextAvailable is when the next ready pod becomes available, 0 for none.
func nextAvailable(active []*corev1.Pod, minReady int32, now time.Time) time.Duration {
	var next time.Duration
	for _, p := range active {
		if in := pods.AvailableIn(p, minReady, now); in > 0 && (next == 0 || in < next) {
			next = in
		}
	}
	return next
}
