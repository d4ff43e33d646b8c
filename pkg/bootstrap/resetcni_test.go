package bootstrap

import (
	"slices"
	"testing"
)

func TestOnlyCNIsNamespacesAreTaken(t *testing.T) {
	for kept, want := range map[string]string{
		`{"netns":"/var/run/netns/cni-1"}`:    "/run/netns/cni-1",
		`{"netns":"/run/netns/cni-1/../adm"}`: "",
		`{"netns":"/run/netns/mine"}`:         "",
		`{"netns":"/proc/1/ns/net"}`:          "",
		`not json`:                            "",
	} {
		if got := namespaceOf([]byte(kept)); got != want {
			t.Errorf("%s names %q, want %q", kept, got, want)
		}
	}
}

// TestALaterResetKnowsWhatWasHeld though the runtime and the plugins have forgotten it.
func TestALaterResetKnowsWhatWasHeld(t *testing.T) {
	i := made(t, nil)
	i.files(t)
	reset := func() *Reset {
		t.Helper()
		r, err := NewReset(i.Layout, "", "", i.clock)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range 2 {
		if err := reset().remember([]string{"/var/run/netns/cni-1", "/proc/1/ns/net"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := reset().attached(); !slices.Equal(got, []string{"/run/netns/cni-1"}) {
		t.Errorf("it looks for %q", got)
	}
}
