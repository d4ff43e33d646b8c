package daemon

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestVersionIsAnsweredAsUpstreamDoes(t *testing.T) {
	for flag, want := range map[string]string{
		"--version": "Kubernetes v1.36.2\n", "--version=true": "Kubernetes v1.36.2\n", "--version=raw": `GitVersion:"v1.36.2"`,
		"--version=false": "runs", "--version=odd": "give true, false or raw",
	} {
		var out bytes.Buffer
		cmd := &cobra.Command{Use: "kubelet", RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.Print("runs")
			return nil
		}}
		cmd.Flags().IntP("v", "v", 0, "verbosity of the log")
		versioned(cmd)
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs([]string{flag})
		_ = cmd.ExecuteContext(context.Background()) // a refusal is printed, too
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s answered %q, want %q", flag, out.String(), want)
		}
	}
}
