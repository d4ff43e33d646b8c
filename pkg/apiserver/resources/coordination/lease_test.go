package coordination

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
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

// What elections by the server need is dropped, since there are none, but where a server that holds some has stored it.
func TestLeasesKeepWhatIsSwitchedOff(t *testing.T) {
	lease := func(strategy, holder string) *coordinationv1.Lease {
		return &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{Strategy: (*coordinationv1.CoordinatedLeaseStrategy)(&strategy), PreferredHolder: &holder}}
	}
	for _, c := range []struct {
		old  *coordinationv1.Lease
		kept bool
	}{{nil, false}, {&coordinationv1.Lease{}, false}, {lease("OldestEmulationVersion", "a"), true}} {
		now := lease("OldestEmulationVersion", "b")
		var old resource.Object
		if c.old != nil {
			old = c.old
		}
		Lease().Prepare(t.Context(), now, old)
		if kept := now.Spec.Strategy != nil && now.Spec.PreferredHolder != nil; kept != c.kept {
			t.Errorf("over %+v: kept %v", c.old, kept)
		}
	}
}
