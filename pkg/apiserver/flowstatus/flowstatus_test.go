package flowstatus

import (
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestConditionTellsWhetherTheLevelExists(t *testing.T) {
	now := time.Unix(100, 0)
	s := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "s"}}
	s.Spec.PriorityLevelConfiguration.Name = "l"
	missing := condition(s, false, now)
	if missing == nil || missing.Status != flowcontrolv1.ConditionTrue || missing.Reason != "NotFound" || !missing.LastTransitionTime.Time.Equal(now) {
		t.Fatalf("without the level: %+v", missing)
	}
	s.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{*missing}
	if again := condition(s, false, now.Add(time.Hour)); again != nil {
		t.Errorf("a right condition is written again: %+v", again)
	}
	found := condition(s, true, now.Add(time.Hour))
	if found == nil || found.Status != flowcontrolv1.ConditionFalse || found.Reason != "Found" || !found.LastTransitionTime.Time.Equal(now.Add(time.Hour)) {
		t.Errorf("with the level: %+v", found)
	}
	s.Spec.PriorityLevelConfiguration.Name = "m"
	if other := condition(s, false, now.Add(time.Hour)); other == nil || !other.LastTransitionTime.Time.Equal(now) {
		t.Errorf("another level that is missing is no transition: %+v", other)
	}
}
