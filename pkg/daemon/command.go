package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

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

// Unheeded are the fields that a configuration file sets, by their paths in it, but for those named as heeded and what
// is below them. Fields that hold zero count as not set.
func Unheeded(file any, heeded ...string) ([]string, error) {
	data, err := json.Marshal(file)
	var fields map[string]any
	if err == nil {
		err = json.Unmarshal(data, &fields)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for fields without effect: %w", err)
	}
	found := map[string]bool{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		deeper := func(h string) bool { return strings.HasPrefix(h, path+".") }
		switch v := value.(type) {
		case map[string]any:
			if slices.ContainsFunc(heeded, deeper) {
				for name, inner := range v {
					walk(path+"."+name, inner)
				}
				return
			}
		case []any:
			if slices.ContainsFunc(heeded, deeper) {
				for _, inner := range v {
					walk(path, inner)
				}
				return
			}
		}
		if !slices.Contains(heeded, path) && !isZero(value) {
			found[path] = true
		}
	}
	for name, value := range fields {
		if name != "kind" && name != "apiVersion" {
			walk(name, value)
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// isZero says whether a field's value is one that a file may as well leave out.
func isZero(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			if !isZero(inner) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	}
	return slices.Contains([]any{nil, "", "0", "0s", float64(0), false}, value)
}
