// Package containerd prepares the container runtime: its configuration where it needs one, the images of a
// cluster from files, and the removal of all that a cluster kept in it.
package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
)

// Pause is the name of the image that holds a pod together, unless the runtime is configured for another.
const Pause = "registry.k8s.io/pause:3.10"

// marker is the first line of a configuration that is ours.
const marker = "# Written by ctl for a Sampan cluster; ctl reset puts back what was here before.\n"

// Config is what a cluster needs of containerd's configuration.
type Config struct {
	CNIBinDir     string
	SystemdCgroup bool
	// RestrictOOM keeps containers from being better protected from the kernel's memory killer than containerd is,
	// where it is not permitted to do that: in a container, mostly.
	RestrictOOM bool
}

// Text is a configuration for containerd 1.6 and later.
func (c Config) Text() string {
	return marker + fmt.Sprintf(`version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = %t
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = %t

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`, Pause, c.RestrictOOM, c.CNIBinDir, layout.CNIConfDir, c.SystemdCgroup)
}

// Effective is what containerd says that it is configured for, its defaults included.
type Effective struct {
	SandboxImage  string
	CNIBinDir     string
	SystemdCgroup bool
	RestrictOOM   bool
	CRIDisabled   bool
}

var (
	sandboxLine  = regexp.MustCompile(`(?m)^\s*sandbox(?:_image)? = ['"]([^'"]*)['"]`)
	binDirLine   = regexp.MustCompile(`(?m)^\s*bin_dirs? = \[?['"]([^'"]*)['"]`)
	systemdLine  = regexp.MustCompile(`(?m)^\s*SystemdCgroup = (true|false)`)
	restrictLine = regexp.MustCompile(`(?m)^\s*restrict_oom_score_adj = (true|false)`)
	disabledLine = regexp.MustCompile(`(?m)^disabled_plugins = \[([^\]]*)\]`)
)

// ParseDump reads what "containerd config dump" printed.
func ParseDump(dump string) Effective {
	first := func(r *regexp.Regexp) string {
		if m := r.FindStringSubmatch(dump); m != nil {
			return m[1]
		}
		return ""
	}
	return Effective{
		SandboxImage: first(sandboxLine), CNIBinDir: first(binDirLine), SystemdCgroup: first(systemdLine) == "true",
		RestrictOOM: first(restrictLine) == "true",
		CRIDisabled: strings.Contains(first(disabledLine), "cri"),
	}
}

// Read asks containerd for its configuration.
func Read(ctx context.Context, l layout.Layout) (Effective, error) {
	args := []string{"config", "dump"}
	if l.Root != "" {
		args = append([]string{"--config", l.On(layout.ContainerdConfig)}, args...)
	}
	out, err := host.Run(ctx, host.Program("containerd"), args...)
	if err != nil {
		return Effective{}, fmt.Errorf("reading containerd's configuration: %w", err)
	}
	return ParseDump(out), nil
}

// Fits tells what of a configuration does not suit, or "".
func (e Effective) Fits(c Config) string {
	switch {
	case e.CRIDisabled:
		return "its CRI plugin is disabled"
	case e.SystemdCgroup != c.SystemdCgroup:
		return fmt.Sprintf("its SystemdCgroup is %t", e.SystemdCgroup)
	case c.RestrictOOM && !e.RestrictOOM:
		return "its restrict_oom_score_adj is false, and nobody here may lower that score"
	case e.CNIBinDir != c.CNIBinDir && !hasBridge(e.CNIBinDir):
		return fmt.Sprintf("there are no CNI plugins in %s, where it looks for them", e.CNIBinDir)
	}
	return ""
}

// Ensure writes a configuration where the present one does not suit, and answers why it did, or "". What was
// there is kept in the record.
func Ensure(ctx context.Context, l layout.Layout, c Config, r *record.Record) (changed string, err error) {
	have, err := Read(ctx, l)
	if err == nil {
		if changed = have.Fits(c); changed == "" {
			return "", nil
		}
	} else {
		changed = "it could not be read"
	}
	if err := r.Save(layout.ContainerdConfig); err != nil {
		return "", err
	}
	file := l.On(layout.ContainerdConfig)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", fmt.Errorf("writing containerd's configuration: %w", err)
	}
	if err := os.WriteFile(file, []byte(c.Text()), 0o644); err != nil {
		return "", fmt.Errorf("writing containerd's configuration: %w", err)
	}
	return changed, nil
}

// CNIBinDir is where the plugins of pod networks are on this machine, "" where there are none.
func CNIBinDir(l layout.Layout) string {
	for _, dir := range layout.CNIBinDirs() {
		if hasBridge(l.On(dir)) {
			return dir
		}
	}
	return ""
}

func hasBridge(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "bridge"))
	return err == nil
}
