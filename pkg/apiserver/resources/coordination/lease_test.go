package coordination

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
)

func TestLeasesLastAndAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		spec   coordinationv1.LeaseSpec
		faults int
	}{
		"unsaid":          {coordinationv1.LeaseSpec{}, 0},
		"a second":        {coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](1)}, 0},
		"no time":         {coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](0)}, 1},
		"never taken":     {coordinationv1.LeaseSpec{LeaseTransitions: ptr.To[int32](0)}, 0},
		"less than never": {coordinationv1.LeaseSpec{LeaseTransitions: ptr.To[int32](-1)}, 1},
	} {
		if got := validateLease(&c.spec); len(got) != c.faults {
			t.Errorf("%s: %v, want %d faults", name, got, c.faults)
		}
	}
}
