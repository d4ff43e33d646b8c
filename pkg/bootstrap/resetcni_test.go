package bootstrap

import "testing"

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
