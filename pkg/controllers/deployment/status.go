package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	reasonUpdated   = "ReplicaSetUpdated"
	reasonFound     = "FoundNewReplicaSet"
	reasonCreated   = "NewReplicaSetCreated"
	reasonFailed    = "ReplicaSetCreateError"
	reasonAvailable = "NewReplicaSetAvailable"
	reasonTimedOut  = "ProgressDeadlineExceeded"
	reasonPaused    = "DeploymentPaused"
	reasonResumed   = "DeploymentResumed"
)

func condition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// setCondition puts c in place; nothing happens where status and reason stay the same.
func setCondition(s *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	if old := condition(s, c.Type); old != nil {
		if old.Status == c.Status && old.Reason == c.Reason {
			return
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	dropCondition(s, c.Type)
	s.Conditions = append(s.Conditions, c)
}

func dropCondition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == t })
}

func newCondition(t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string, now time.Time) appsv1.DeploymentCondition {
	at := metav1.NewTime(now)
	return appsv1.DeploymentCondition{Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: at, LastTransitionTime: at}
}

// hasDeadline: the largest number stands for none.
func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func deadline(d *appsv1.Deployment) time.Duration {
	return time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second
}

// count is the status that the sets show, with Available.
func count(d *appsv1.Deployment, all []*appsv1.ReplicaSet, newSet *appsv1.ReplicaSet, now time.Time) appsv1.DeploymentStatus {
	ready, updated, terminating := int32(0), int32(0), new(int32)
	for _, s := range all {
		ready += s.Status.ReadyReplicas
		if s.Status.TerminatingReplicas == nil {
			terminating = nil // as long as one set does not say, nobody knows the sum
		} else if terminating != nil {
			*terminating += *s.Status.TerminatingReplicas
		}
	}
	if newSet != nil {
		updated = newSet.Status.Replicas
	}
	s := appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, Replicas: actual(all), UpdatedReplicas: updated, ReadyReplicas: ready,
		AvailableReplicas: available(all), UnavailableReplicas: max(sum(all)-available(all), 0), TerminatingReplicas: terminating,
		CollisionCount: d.Status.CollisionCount, Conditions: slices.Clone(d.Status.Conditions),
	}
	if s.AvailableReplicas >= *d.Spec.Replicas-maxUnavailable(d) {
		setCondition(&s, newCondition(appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.", now))
	} else {
		setCondition(&s, newCondition(appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now))
	}
	return s
}

func complete(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	n := *d.Spec.Replicas
	return s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n && s.ObservedGeneration >= d.Generation
}

// progressing compares with what was known before.
func progressing(d *appsv1.Deployment, s *appsv1.DeploymentStatus) bool {
	old := &d.Status
	return s.UpdatedReplicas > old.UpdatedReplicas || s.Replicas-s.UpdatedReplicas < old.Replicas-old.UpdatedReplicas ||
		s.ReadyReplicas > old.ReadyReplicas || s.AvailableReplicas > old.AvailableReplicas
}

func timedOut(d *appsv1.Deployment, s *appsv1.DeploymentStatus, now time.Time) bool {
	c := condition(s, appsv1.DeploymentProgressing)
	switch {
	case c == nil || c.Reason == reasonAvailable:
		return false
	case c.Reason == reasonTimedOut:
		return true
	}
	return c.LastUpdateTime.Add(deadline(d)).Before(now)
}

// rollout is the status amid a rollout: count, and Progressing and ReplicaFailure.
func rollout(d *appsv1.Deployment, all []*appsv1.ReplicaSet, newSet *appsv1.ReplicaSet, now time.Time) appsv1.DeploymentStatus {
	s := count(d, all, newSet, now)
	subject := fmt.Sprintf("Deployment %q", d.Name)
	if newSet != nil {
		subject = fmt.Sprintf("ReplicaSet %q", newSet.Name)
	}
	if !hasDeadline(d) {
		dropCondition(&s, appsv1.DeploymentProgressing)
	}
	known := condition(&d.Status, appsv1.DeploymentProgressing)
	finished := s.Replicas == s.UpdatedReplicas && known != nil && known.Reason == reasonAvailable
	if hasDeadline(d) && !finished {
		judgeProgress(d, &s, known, subject, now)
	}
	dropFailure := true
	for _, set := range withNewFirst(all, newSet) {
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && dropFailure {
				setCondition(&s, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: c.LastTransitionTime,
				})
				dropFailure = false
			}
		}
	}
	if dropFailure {
		dropCondition(&s, appsv1.DeploymentReplicaFailure)
	}
	return s
}

func judgeProgress(d *appsv1.Deployment, s *appsv1.DeploymentStatus, known *appsv1.DeploymentCondition, subject string, now time.Time) {
	const t = appsv1.DeploymentProgressing
	switch {
	case complete(d, s):
		setCondition(s, newCondition(t, corev1.ConditionTrue, reasonAvailable, subject+" has successfully progressed.", now))
	case progressing(d, s):
		c := newCondition(t, corev1.ConditionTrue, reasonUpdated, subject+" is progressing.", now)
		if known != nil && known.Status == corev1.ConditionTrue {
			c.LastTransitionTime = known.LastTransitionTime
		}
		dropCondition(s, t) // so that the time of the update moves even where nothing else does
		setCondition(s, c)
	case timedOut(d, s, now):
		setCondition(s, newCondition(t, corev1.ConditionFalse, reasonTimedOut, subject+" has timed out progressing.", now))
	}
}

func withNewFirst(all []*appsv1.ReplicaSet, newSet *appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	if newSet == nil {
		return all
	}
	return append([]*appsv1.ReplicaSet{newSet}, without(all, newSet)...)
}

// checkAgain is when a rollout that stands still must be judged anew, 0 for never.
func checkAgain(d *appsv1.Deployment, s *appsv1.DeploymentStatus, now time.Time) time.Duration {
	c := condition(s, appsv1.DeploymentProgressing)
	if !hasDeadline(d) || c == nil || complete(d, s) || c.Reason == reasonTimedOut || c.Reason == reasonAvailable {
		return 0
	}
	return max(c.LastUpdateTime.Add(deadline(d)).Sub(now), 0) + time.Second
}
