package ctl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
)

func resetCommand(streams genericiooptions.IOStreams) *cobra.Command {
	var force bool
	var l layout.Layout
	var socket, cgroupRoot string
	var skip []string
	cmd := &cobra.Command{
		Use: "reset", Short: "Remove everything that init or join made on this machine", Args: cobra.NoArgs,
		Long: templates.LongDesc(`
			Remove everything that init or join made on this machine, and put back what was there before: processes, pods,
			images, mounts, interfaces, packet rules, cgroups, files and kernel settings. It looks whether anything is left
			and fails with a list if so. The cluster's data on this machine is lost.`),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 && l.Root == "" {
				return errors.New("this needs root: run it with sudo")
			}
			if err := confirm(force, streams.In, streams.Out); err != nil {
				return err
			}
			r, err := bootstrap.NewReset(l, socket, cgroupRoot, clock.RealClock{})
			if err != nil {
				return err
			}
			return phase.Run(cmd.Context(), r.Phases(), skip, phase.NewProgress(streams.Out))
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask first")
	cmd.Flags().StringVar(&l.Root, "rootfs", "", "remove files below this directory instead of /")
	cmd.Flags().StringVar(&socket, "cri-socket", "", "socket of the container runtime; by default the one that was used")
	cmd.Flags().StringVar(&cgroupRoot, "cgroup-root", "", "cgroup below which the pods' cgroups are; by default the one that was used")
	cmd.Flags().StringSliceVar(&skip, "skip-phases", nil, "phases not to run")
	return cmd
}

// confirm asks on a terminal, and elsewhere wants to have been told.
func confirm(force bool, in io.Reader, out io.Writer) error {
	if force {
		return nil
	}
	if f, ok := in.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return errors.New("this removes the cluster's data from this machine: say --force to do it without being asked")
	}
	fmt.Fprint(out, "This removes the cluster and its data from this machine. Go on? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing was done")
	}
	return nil
}
