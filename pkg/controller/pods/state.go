package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Terminal tells whether pod has run to its end.
func Terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Active tells whether pod runs or will run: neither ended nor being deleted.
func Active(pod *corev1.Pod) bool { return !Terminal(pod) && pod.DeletionTimestamp == nil }

// Condition finds a condition, nil for none.
func Condition(pod *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == t {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready tells whether pod's Ready condition is True.
func Ready(pod *corev1.Pod) bool {
	c := Condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// Available tells whether pod has been ready for minReady seconds at now.
func Available(pod *corev1.Pod, minReady int32, now time.Time) bool {
	if !Ready(pod) {
		return false
	}
	if minReady == 0 {
		return true
	}
	since := Condition(pod, corev1.PodReady).LastTransitionTime
	return !since.IsZero() && !since.Add(time.Duration(minReady)*time.Second).After(now)
}

// AvailableIn says how long until a ready pod becomes available, 0 when it is or is not ready.
func AvailableIn(pod *corev1.Pod, minReady int32, now time.Time) time.Duration {
	if !Ready(pod) || minReady == 0 {
		return 0
	}
	return max(Condition(pod, corev1.PodReady).LastTransitionTime.Add(time.Duration(minReady)*time.Second).Sub(now), 0)
}

// SetCondition puts c in place of the condition of its type and tells whether anything changed.
func SetCondition(status *corev1.PodStatus, c corev1.PodCondition) bool {
	for i := range status.Conditions {
		old := &status.Conditions[i]
		if old.Type != c.Type {
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
		changed := *old != c
		*old = c
		return changed
	}
	status.Conditions = append(status.Conditions, c)
	return true
}

// Tolerating finds the first toleration in list that bears a taint, nil for none.
func Tolerating(list []corev1.Toleration, taint *corev1.Taint) *corev1.Toleration {
	for i := range list {
		t := &list[i]
		if t.Effect != "" && t.Effect != taint.Effect || t.Key != "" && t.Key != taint.Key {
			continue
		}
		if t.Operator == corev1.TolerationOpExists || (t.Operator == "" || t.Operator == corev1.TolerationOpEqual) && t.Value == taint.Value {
			return t
		}
	}
	return nil
}
