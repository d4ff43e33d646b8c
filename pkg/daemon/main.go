// Package daemon is what the five daemons share: how they start and stop, log, report health and
// metrics, reach the apiserver, and elect a leader. It knows nothing of what any of them does.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs cmd until it ends, or until SIGINT or SIGTERM cancels its context, and exits: 0 when it
// ended well, 1 with one line on standard error when it did not. A second signal ends the process at once.
func Main(cmd *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	versioned(cmd)
	err := cmd.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		os.Exit(1)
	}
}

// versioned gives cmd --version, which answers as the daemons of the same contract do: tools that set up
// nodes read it.
func versioned(cmd *cobra.Command) {
	cmd.Version = Version
	cmd.SetVersionTemplate("Kubernetes {{.Version}}\n")
}
