package bootstrap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestCommentsOfRulesStayOneWord(t *testing.T) {
	got := deleteArgs([]string{"-D", "PREROUTING", "-m", "comment", "--comment", "CNI", "portfwd", "DNAT", "-j", "CNI-HOSTPORT-DNAT"})
	want := []string{"-D", "PREROUTING", "-m", "comment", "--comment", "CNI portfwd DNAT", "-j", "CNI-HOSTPORT-DNAT"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
