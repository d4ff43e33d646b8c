// Package ctl is the client's command line: kubectl's own commands under this project's root, and the
// verbs that make, join and remove clusters. It parses and prints; pkg/bootstrap does the work.
package ctl

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
	"k8s.io/kubectl/pkg/util/templates"
)

// Main runs the command that args name and answers the exit code. args[0] decides who we are: a program
// named kubectl has kubectl's commands and no others.
func Main(args []string) int {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	name := strings.TrimSuffix(filepath.Base(args[0]), ".exe")
	defer klog.Flush()
	root := newRoot(args, streams)
	if name != "kubectl" {
		adopt(root, streams)
		if own(root, args[1:]) { // kubectl's commands end at a signal by themselves; ours clean up
			return runOwn(ctx, root, args[1:], streams.ErrOut)
		}
	}
	stop()
	if err := runPlugin(root, args[1:]); err != nil {
		fmt.Fprintf(streams.ErrOut, "Error: %v\n", err)
		return 1
	}
	root.SetArgs(args[1:])
	if err := root.Execute(); err != nil {
		cmdutil.CheckErr(err) // prints and exits as kubectl does
	}
	return 0
}

// newRoot is kubectl's tree of commands, with klog's flags.
func newRoot(args []string, streams genericiooptions.IOStreams) *cobra.Command {
	config := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50).WithWarningPrinter(streams)
	root := cmd.NewKubectlCommand(cmd.KubectlOptions{Arguments: args, ConfigFlags: config, IOStreams: streams})
	root.SilenceErrors, root.SilenceUsage = true, true
	addLogFlags(root.PersistentFlags())
	return root
}

// addLogFlags makes -v and --vmodule known, the two of klog's flags that a client needs.
func addLogFlags(fs *pflag.FlagSet) {
	all := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(all)
	for _, name := range []string{"v", "vmodule"} {
		f := pflag.PFlagFromGoFlag(all.Lookup(name))
		if len(name) == 1 {
			f.Shorthand = name
		}
		fs.AddFlag(f)
	}
}

// groups are the sections of the help, by names of commands.
var groups = []struct {
	title string
	names []string
}{
	{"Basic Commands:", []string{"create", "expose", "run", "set", "explain", "get", "edit", "delete"}},
	{"Deploy Commands:", []string{"rollout", "scale", "autoscale"}},
	{"Cluster Management Commands:", []string{"certificate", "cluster-info", "top", "cordon", "uncordon", "drain", "taint"}},
	{"Troubleshooting and Debugging Commands:", []string{"describe", "logs", "attach", "exec", "port-forward", "proxy", "cp", "auth", "debug", "events"}},
	{"Advanced Commands:", []string{"diff", "apply", "patch", "replace", "wait", "kustomize"}},
	{"Settings Commands:", []string{"label", "annotate", "completion"}},
}

// adopt makes kubectl's root ours: its name, its first words, and our verbs before the others.
func adopt(root *cobra.Command, streams genericiooptions.IOStreams) {
	root.Use = "ctl"
	root.Short = "ctl makes a cluster and works with it"
	root.Long = templates.LongDesc(`
		ctl makes a cluster of this machine and others, and works with it: every command of kubectl is a command of ctl.

		"ctl init" makes the cluster, "ctl join" adds a machine to it, "ctl reset" removes all of it from a machine again.`)
	byName := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		byName[c.Name()] = c
	}
	sections := templates.CommandGroups{{Message: "Commands that Make and Remove a Cluster:", Commands: verbs(streams)}}
	root.AddCommand(sections[0].Commands...)
	root.AddCommand(hiddenVerbs()...)
	for _, g := range groups {
		section := templates.CommandGroup{Message: g.title}
		for _, name := range g.names {
			if c := byName[name]; c != nil {
				section.Commands = append(section.Commands, c)
			}
		}
		sections = append(sections, section)
	}
	templates.ActsAsRootCommand(root, []string{"options", "alpha"}, sections...)
}

// own tells whether args name one of our verbs.
func own(root *cobra.Command, args []string) bool {
	c, _, err := root.Find(args)
	if err != nil {
		return false
	}
	for ; c.HasParent(); c = c.Parent() {
		if c.Annotations[ownVerb] != "" {
			return true
		}
	}
	return false
}

// ownVerb marks our verbs among root's commands.
const ownVerb = "sampan.io/verb"

// runOwn runs one of our verbs. An error is one line.
func runOwn(ctx context.Context, root *cobra.Command, args []string, errOut io.Writer) int {
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(errOut, "error: %v\n", err)
		return 1
	}
	return 0
}

// runPlugin runs a kubectl-* program where args name no command that is built in; it does not return then.
func runPlugin(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	handler := cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes)
	found, rest, err := root.Find(args)
	if err != nil {
		for _, a := range args {
			if strings.HasPrefix(a, "-") {
				continue
			}
			if a == "help" || a == cobra.ShellCompRequestCmd || a == cobra.ShellCompNoDescRequestCmd {
				return nil
			}
			break
		}
		return cmd.HandlePluginCommand(handler, args, 1)
	}
	if !cmd.IsSubcommandPluginAllowed(found.Name()) || len(rest) == 0 || strings.HasPrefix(rest[0], "-") {
		return nil
	}
	for _, c := range found.Commands() {
		if c.Name() == rest[0] {
			return nil
		}
	}
	return cmd.HandlePluginCommand(handler, args, len(args)-len(rest)+1)
}
