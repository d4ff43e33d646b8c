package ctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/templates"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap"
	"github.com/sampan-project/sampan/pkg/bootstrap/containerd"
	"github.com/sampan-project/sampan/pkg/bootstrap/kubeconfig"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// verbs are our commands, in the order of the help.
func verbs(streams genericiooptions.IOStreams) []*cobra.Command {
	return marked(initCommand(streams), joinCommand(streams), resetCommand(streams), tokenCommand(streams), imagesCommand(streams))
}

// hiddenVerbs are those that users need not call.
func hiddenVerbs() []*cobra.Command { return marked(superviseCommand()) }

// marked makes commands known as ours.
func marked(list ...*cobra.Command) []*cobra.Command {
	for _, c := range list {
		c.Annotations = map[string]string{ownVerb: "true"}
	}
	return list
}

// procedure is a command that runs phases, with a command below it that runs one alone.
type procedure struct {
	phases   func() []phase.Phase
	complete func(given *pflag.FlagSet, args []string) error // the settings
	skip     func() []string
	done     func(out io.Writer) error // told when all phases ran
	out      io.Writer
}

func (p procedure) run(ctx context.Context, given *pflag.FlagSet, args []string) error {
	if err := p.complete(given, args); err != nil {
		return err
	}
	if err := phase.Run(ctx, p.phases(), p.skip(), phase.NewProgress(p.out)); err != nil {
		return err
	}
	return p.done(p.out)
}

// phaseCommand is "init phase NAME" and "join phase NAME". It has the flags of the verb itself: they are not
// persistent flags of that, because kubectl's help shows those nowhere.
func (p procedure) phaseCommand(verb string, flags *pflag.FlagSet) *cobra.Command {
	cmd := &cobra.Command{
		Use: "phase NAME", Short: "Run one phase alone, or list them",
		ValidArgs: phase.Names(p.phases()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listPhases(p.out, p.phases())
			}
			if _, err := phase.Find(p.phases(), args[0]); err != nil {
				return err
			}
			if err := p.complete(cmd.Flags(), args[1:]); err != nil {
				return err
			}
			found, err := phase.Find(p.phases(), args[0]) // of what complete made anew
			if err != nil {
				return err
			}
			return phase.Run(cmd.Context(), []phase.Phase{found}, nil, phase.NewProgress(p.out))
		},
	}
	cmd.Long = fmt.Sprintf("Run one phase of ctl %s alone; what it needs of earlier ones must be there. Without a name, list the phases.", verb)
	cmd.Flags().AddFlagSet(flags)
	return cmd
}

func listPhases(out io.Writer, phases []phase.Phase) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	for _, ph := range phases {
		fmt.Fprintf(w, "%s\t%s\n", ph.Name, ph.Short)
		for _, sub := range ph.Sub {
			fmt.Fprintf(w, "  %s/%s\t%s\n", ph.Name, sub.Name, sub.Short)
		}
	}
	return w.Flush()
}

func initCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := settings.New()
	var work *bootstrap.Init
	cmd := &cobra.Command{
		Use: "init", Short: "Make this machine the first of a cluster", Args: cobra.NoArgs,
		Long: templates.LongDesc(`
			Make this machine the first of a cluster: certificates, kubeconfig files, the container runtime, the kubelet,
			the control plane as static pods, and the add-ons: proxy, CoreDNS and a pod network.

			It can be run again: what is done is kept. "ctl init phase" lists the phases, each of which runs alone, too.`),
		Example: templates.Examples(`
			# A cluster of this machine alone
			ctl init --taint-control-plane=false

			# With another pod network, which is installed afterwards
			ctl init --pod-network-addon=none --pod-network-cidr=10.244.0.0/16`),
	}
	s.AddInit(cmd.Flags())
	p := procedure{
		out: streams.Out, skip: func() []string { return s.SkipPhases },
		phases: func() []phase.Phase {
			if work == nil {
				work = bootstrap.NewInit(s, clock.RealClock{})
			}
			return work.Phases()
		},
		complete: func(given *pflag.FlagSet, _ []string) error {
			if err := s.Load(given); err != nil {
				return err
			}
			work = nil // made anew of the complete settings
			return s.CompleteInit()
		},
	}
	p.done = func(out io.Writer) error { return initDone(out, work, s) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), cmd.Flags(), args) }
	cmd.AddCommand(p.phaseCommand("init", cmd.Flags()))
	return cmd
}

func initDone(out io.Writer, work *bootstrap.Init, s *settings.Settings) error {
	fmt.Fprintf(out, "\nThe cluster runs. To use it:\n\n  export KUBECONFIG=%s\n  ctl get nodes\n", s.On(layout.AdminConf))
	if s.PodNetwork == settings.None {
		fmt.Fprintf(out, "\nInstall a pod network for %s now: the node is not ready before.\n", s.PodCIDR)
	}
	line, err := work.JoinCommand()
	if err == nil && s.PodNetwork != settings.Bridge {
		fmt.Fprintf(out, "\nAnother machine joins it with:\n\n  %s\n", line)
	}
	return err
}

func joinCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := settings.New()
	var work *bootstrap.Join
	cmd := &cobra.Command{
		Use: "join [HOST:PORT]", Short: "Make this machine a node of a cluster", Args: cobra.MaximumNArgs(1),
		Long: templates.LongDesc(`
			Make this machine a node of the cluster whose apiserver answers at HOST:PORT. "ctl token create
			--print-join-command" on a machine of the cluster prints the whole line.`),
		Example: templates.Examples(`
			ctl join 192.168.1.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:...`),
	}
	s.AddJoin(cmd.Flags())
	p := procedure{
		out: streams.Out, skip: func() []string { return s.SkipPhases },
		phases: func() []phase.Phase {
			if work == nil {
				work = bootstrap.NewJoin(s, clock.RealClock{})
			}
			return work.Phases()
		},
		complete: func(given *pflag.FlagSet, args []string) error {
			if err := s.Load(given); err != nil {
				return err
			}
			work = nil
			server := ""
			if len(args) > 0 {
				server = args[0]
			}
			return s.CompleteJoin(server)
		},
		done: func(out io.Writer) error {
			_, err := fmt.Fprintf(out, "\nThis machine is the node %s. On a machine with the cluster's kubeconfig, see it with: ctl get nodes\n", s.NodeName)
			return err
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return p.run(cmd.Context(), cmd.Flags(), args) }
	cmd.AddCommand(p.phaseCommand("join", cmd.Flags()))
	return cmd
}

func imagesCommand(streams genericiooptions.IOStreams) *cobra.Command {
	s := settings.New()
	cmd := &cobra.Command{
		Use: "images", Short: "List the images that init and join import, and where they are", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := s.CompleteNode(); err != nil {
				return err
			}
			archives, err := containerd.Archives(s.ImageDir)
			if err != nil {
				return err
			}
			if len(archives) == 0 {
				return fmt.Errorf("there are no images in %s: run make images, or name their directory with --image-dir", s.ImageDir)
			}
			w := tabwriter.NewWriter(streams.Out, 0, 4, 3, ' ', 0)
			fmt.Fprintf(w, "IMAGE\tDIGEST\tFILE\n")
			for _, a := range archives {
				fmt.Fprintf(w, "%s\t%.19s\t%s\n", a.Name, a.Digest, a.File)
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&s.ImageDir, "image-dir", "", "directory with the image archives")
	return cmd
}

func superviseCommand() *cobra.Command {
	var containerdPath, kubeletPath string
	logging := &daemon.Logging{}
	cmd := &cobra.Command{
		Use: "supervise", Short: "Keep containerd and the kubelet running where no systemd does", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logging.Logger(os.Stderr)
			if err != nil {
				return err
			}
			return bootstrap.Supervise(cmd.Context(), clock.RealClock{}, log, containerdPath, kubeletPath)
		},
	}
	cmd.Flags().StringVar(&containerdPath, "containerd", "", "containerd's program; empty where another keeps it running")
	cmd.Flags().StringVar(&kubeletPath, "kubelet", "", "the kubelet's program")
	return cmd
}

// client is a client of the cluster by --kubeconfig, $KUBECONFIG, or the administrator's file on this machine.
func client(cmd *cobra.Command) (kubernetes.Interface, string, error) {
	file, _ := cmd.Flags().GetString("kubeconfig")
	if file == "" {
		file = filepath.SplitList(os.Getenv("KUBECONFIG") + string(filepath.ListSeparator))[0]
	}
	file = cmp.Or(file, layout.AdminConf)
	if _, err := os.Stat(file); err != nil {
		return nil, "", fmt.Errorf("the kubeconfig cannot be read (name another with --kubeconfig): %w", err)
	}
	c, err := kubeconfig.Client(file)
	return c, file, err
}
