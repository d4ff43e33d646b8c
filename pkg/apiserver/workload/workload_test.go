package workload

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func TestStatusOfReplicasAddsUp(t *testing.T) {
	good := Replicas{Replicas: 3, FullyLabeled: 3, Ready: 2, Available: 2}
	for name, c := range map[string]struct {
		change func(*Replicas)
		want   string
	}{
		"good":                  {func(*Replicas) {}, ""},
		"more ready than all":   {func(r *Replicas) { r.Ready = 4 }, "status.readyReplicas"},
		"available, not ready":  {func(r *Replicas) { r.Available = 3 }, "status.availableReplicas"},
		"fewer than none":       {func(r *Replicas) { r.Terminating = ptr.To[int32](-1) }, "status.terminatingReplicas"},
		"labeled more than all": {func(r *Replicas) { r.FullyLabeled = 4 }, "status.fullyLabeledReplicas"},
	} {
		r := good
		c.change(&r)
		var list []string
		for _, f := range ReplicaStatus(field.NewPath("status"), r) {
			list = append(list, f.Field)
		}
		if got := strings.Join(list, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestCollisionsAreNeverUncounted(t *testing.T) {
	one, two := ptr.To[int32](1), ptr.To[int32](2)
	for _, c := range []struct {
		now, was *int32
		good     bool
	}{{nil, nil, true}, {one, nil, true}, {two, one, true}, {one, one, true}, {one, two, false}, {nil, one, false}} {
		if got := len(NotDecremented(field.NewPath("n"), c.now, c.was)) == 0; got != c.good {
			t.Errorf("%v after %v: %v", c.now, c.was, got)
		}
	}
}

func TestNamesThatAreNoLabelsAreWarnedOf(t *testing.T) {
	if said := NameWarnings("a-name"); len(said) > 0 {
		t.Error(said)
	}
	if said := NameWarnings("a.name"); len(said) != 1 || !strings.HasSuffix(said[0], "a DNS label is recommended: [must not contain dots]") {
		t.Error(said)
	}
}

func TestContainersStandInOneCell(t *testing.T) {
	names, images := Containers([]corev1.Container{{Name: "a", Image: "i"}, {Name: "b", Image: "j"}})
	if names != "a,b" || images != "i,j" {
		t.Errorf("got %q and %q", names, images)
	}
}
