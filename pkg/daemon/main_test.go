package daemon

import (
	"bytes"
	"context"
	"testing"

	"github.com/spf13/cobra"
)

func TestVersionIsAnsweredAsUpstreamDoes(t *testing.T) {
	cmd := &cobra.Command{Use: "kubelet", Run: func(*cobra.Command, []string) { t.Error("--version started the daemon") }}
	cmd.Flags().IntP("v", "v", 0, "verbosity of the log")
	versioned(cmd)
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"--version"})
	if err := cmd.ExecuteContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if out.String() != "Kubernetes v1.36.2\n" {
		t.Errorf("answered %q", out.String())
	}
}
