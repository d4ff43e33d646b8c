package manager

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func TestFlagsWithoutEffectAreNamedWhenGiven(t *testing.T) {
	c, fs := DefaultConfig(), pflag.NewFlagSet("", pflag.ContinueOnError)
	c.AddFlags(fs)
	err := fs.Parse([]string{"--cluster-name=c", "--concurrent-job-syncs=3", "--horizontal-pod-autoscaler-tolerance=0.2", "--profiling", "--permit-port-sharing", "--concurrent-gc-syncs=3"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"--cluster-name", "--concurrent-job-syncs", "--horizontal-pod-autoscaler-tolerance", "--permit-port-sharing"}
	if d := cmp.Diff(want, c.withoutEffect()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
