package core

import (
	"slices"
	"testing"

	"k8s.io/utils/clock"
)

func TestNamespacesAreSelectedByTheirPhaseAndByNoNameOfOld(t *testing.T) {
	if got := Namespace(clock.RealClock{}).FieldNames; !slices.Equal(got, []string{"status.phase"}) {
		t.Errorf("selected by %q", got)
	}
}
