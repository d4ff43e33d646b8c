package apiserver

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestFlagsWithoutEffectWarn(t *testing.T) {
	c := DefaultConfig()
	fs := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	c.AddFlags(fs)
	if err := fs.Parse([]string{"--secure-port=1", "--feature-gates=A=true", "--permit-port-sharing"}); err != nil {
		t.Fatal(err)
	}
	got := c.warnings()
	if len(got) != 2 || !strings.HasPrefix(got[0], "--feature-gates ") || !strings.HasPrefix(got[1], "--permit-port-sharing ") {
		t.Errorf("warnings %q, want one for each flag that does nothing", got)
	}
}

func TestFlagsThatSayWhoMayAreNeverIgnored(t *testing.T) {
	for name := range withoutEffect {
		for _, about := range []string{"authentication", "oidc", "client-ca", "admission", "authorization-mode", "authorization-config"} {
			if strings.Contains(name, about) {
				t.Errorf("--%s is about who may do what, and is ignored", name)
			}
		}
	}
}
