// Package daemon is what the five daemons share: how they start and stop, log, report health and
// metrics, reach the apiserver, and elect a leader. It knows nothing of what any of them does.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Main runs cmd until it ends, or until SIGINT or SIGTERM cancels its context, and exits: 0 when it
// ended well, 1 with one line on standard error when it did not. A second signal ends the process at once.
func Main(cmd *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	versioned(cmd)
	time.AfterFunc(settled, settle)
	err := cmd.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		os.Exit(1)
	}
}

// versioned gives cmd --version, which answers as the daemons of the same contract do: tools that set up
// nodes read it. --version=raw answers all that is known.
func versioned(cmd *cobra.Command) {
	var asked versionFlag
	cmd.Flags().Var(&asked, "version", "print the version and end; raw prints all of it")
	cmd.Flags().Lookup("version").NoOptDefVal = "true"
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch asked {
		case "true":
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Kubernetes %s\n", Version)
			return err
		case "raw":
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%#v\n", VersionInfo())
			return err
		}
		return run(cmd, args)
	}
}

// versionFlag is true, false or raw.
type versionFlag string

func (f *versionFlag) String() string { return string(*f) }

func (f *versionFlag) Type() string { return "version" }

func (f *versionFlag) Set(s string) error {
	if s != "raw" {
		yes, err := strconv.ParseBool(s)
		if err != nil {
			return errors.New("give true, false or raw")
		}
		s = strconv.FormatBool(yes)
	}
	*f = versionFlag(s)
	return nil
}
