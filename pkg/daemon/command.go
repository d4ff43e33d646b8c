package daemon

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Command makes a daemon's command line, which runs it by cfg as the flags have set it.
func Command[C interface{ AddFlags(fs *pflag.FlagSet) }](name, short, long string, cfg C, run func(ctx context.Context, cfg C) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), cfg) },
	}
	cfg.AddFlags(cmd.Flags())
	return cmd
}

// ReadConfig reads the file that --config names; it must hold an object of that kind, and no field that the kind does
// not have.
func ReadConfig[T any, P interface {
	*T
	GetObjectKind() schema.ObjectKind
}](file string, kind schema.GroupVersionKind) (P, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the file named with --config cannot be read: %w", err)
	}
	obj := P(new(T))
	if err := yaml.UnmarshalStrict(data, obj); err != nil {
		return nil, fmt.Errorf("%s is not a %s: %w", file, kind.Kind, err)
	}
	if got := obj.GetObjectKind().GroupVersionKind(); got != kind {
		return nil, fmt.Errorf("%s holds %s %s: use %s %s", file, got.GroupVersion(), got.Kind, kind.GroupVersion(), kind.Kind)
	}
	return obj, nil
}
