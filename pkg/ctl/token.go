package ctl

import (
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/certs"
	"github.com/sampan-project/sampan/pkg/bootstrap/token"
	"github.com/sampan-project/sampan/pkg/pki"
)

func tokenCommand(streams genericiooptions.IOStreams) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make, list and delete tokens by which machines join", Run: func(cmd *cobra.Command, _ []string) { _ = cmd.Help() }}
	cmd.AddCommand(tokenCreate(streams), tokenList(streams), tokenDelete(streams), &cobra.Command{
		Use: "generate", Short: "Draw a token without making it known to a cluster", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			t, err := token.Generate()
			if err == nil {
				fmt.Fprintln(streams.Out, t)
			}
			return err
		},
	})
	return cmd
}

func tokenCreate(streams genericiooptions.IOStreams) *cobra.Command {
	var life time.Duration
	var description string
	var usages, groups []string
	var line bool
	cmd := &cobra.Command{
		Use: "create [TOKEN]", Short: "Make a token", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) > 0 {
				text = args[0]
			}
			t, err := token.New(text, life, clock.RealClock{}.Now())
			if err != nil {
				return err
			}
			t.Description = description
			if len(usages) > 0 {
				t.Usages = usages
			}
			if len(groups) > 0 {
				t.Groups = groups
			}
			c, file, err := client(cmd)
			if err != nil {
				return err
			}
			if err := token.Create(cmd.Context(), c, t, false); err != nil {
				return err
			}
			if !line {
				fmt.Fprintln(streams.Out, t)
				return nil
			}
			join, err := joinLine(file, t)
			if err == nil {
				fmt.Fprintln(streams.Out, join)
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&life, "ttl", 24*time.Hour, "how long the token is good for; 0 for ever")
	cmd.Flags().StringVar(&description, "description", "", "what the token is for")
	cmd.Flags().StringSliceVar(&usages, "usages", nil, "what it may do: signing, authentication; by default both")
	cmd.Flags().StringSliceVar(&groups, "groups", nil, "groups of who authenticates with it")
	cmd.Flags().BoolVar(&line, "print-join-command", false, "print the whole line by which a machine joins")
	return cmd
}

// joinLine is the command by which a machine joins the cluster that a kubeconfig names.
func joinLine(kubeconfig string, t *token.Token) (string, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return "", err
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		return "", fmt.Errorf("the server in %s: %w", kubeconfig, err)
	}
	data := cfg.CAData
	authorities, err := pki.ParseCertificates(data)
	if len(data) == 0 {
		authorities, err = pki.LoadCertificates(cfg.CAFile)
	}
	if err != nil {
		return "", fmt.Errorf("the certificate authority in %s: %w", kubeconfig, err)
	}
	return fmt.Sprintf("ctl join %s --token %s --discovery-token-ca-cert-hash %s", server.Host, t, certs.Hash(authorities[0])), nil
}

func tokenList(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := client(cmd)
			if err != nil {
				return err
			}
			tokens, err := token.List(cmd.Context(), c)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(streams.Out, 0, 4, 3, ' ', 0)
			fmt.Fprintln(w, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
			for _, t := range tokens {
				left, ends := "<forever>", "<never>"
				if !t.Expires.IsZero() {
					left, ends = duration.HumanDuration(t.Expires.Sub(clock.RealClock{}.Now())), t.Expires.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t, left, ends, strings.Join(t.Usages, ","), orNone(t.Description), orNone(strings.Join(t.Groups, ",")))
			}
			return w.Flush()
		},
	}
}

func orNone(s string) string {
	if s == "" {
		return "<none>"
	}
	return s
}

func tokenDelete(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use: "delete TOKEN|ID ...", Short: "Delete tokens", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := client(cmd)
			if err != nil {
				return err
			}
			for _, name := range args {
				if err := token.Delete(cmd.Context(), c, name); err != nil {
					return err
				}
				id, _, _ := strings.Cut(name, ".")
				fmt.Fprintf(streams.Out, "bootstrap token %q deleted\n", id)
			}
			return nil
		},
	}
}
