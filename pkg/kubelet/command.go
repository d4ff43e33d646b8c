package kubelet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/config"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/node"
)

// Command is the kubelet's command line.
func Command() *cobra.Command {
	cfg := config.New()
	cmd := &cobra.Command{
		Use:   "kubelet",
		Short: "Runs a node's pods",
		Long: `The kubelet runs on every node. It registers the node, runs the pods that the apiserver binds to it and
the static pods of a directory through a container runtime (CRI v1), and keeps their statuses true. A
restart of the kubelet leaves the containers unharmed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := cfg.Load()
			if err != nil {
				return err
			}
			return Run(cmd.Context(), loaded)
		},
	}
	cfg.AddFlags(cmd.Flags())
	return cmd
}

// Run is the kubelet until ctx ends.
func Run(ctx context.Context, cfg *config.Config) error {
	log, err := cfg.Logging.Logger(os.Stderr)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		log.Info(w)
	}
	name, err := cfg.NodeName()
	if err != nil {
		return err
	}
	if err := allowFiles(uint64(cfg.Kubelet.MaxOpenFiles)); err != nil {
		log.Error(err, "The kubelet goes on with as many open files as it may have now")
	}
	if *cfg.Kubelet.FailSwapOn {
		if err := swapOff(); err != nil {
			return err
		}
	}
	if err := makeDirectories(cfg); err != nil {
		return err
	}
	runtime, err := cri.Dial(cfg.Kubelet.ContainerRuntimeEndpoint)
	if err != nil {
		return err
	}
	defer runtime.Close()
	runtime.Timeout = cfg.Kubelet.RuntimeRequestTimeout.Duration
	version, err := reach(ctx, runtime, cfg.Kubelet.ContainerRuntimeEndpoint)
	if err != nil {
		return err
	}
	log.Info("Reached the container runtime", "name", version.GetRuntimeName(), "version", version.GetRuntimeVersion())
	k := &kubelet{cfg: cfg, name: name, cri: runtime, runtimeName: version.GetRuntimeName(), clock: clock.RealClock{}, log: log}
	if k.ips = cfg.NodeIPs(); len(k.ips) == 0 {
		if k.ips, err = node.DetectIPs(ctx, name); err != nil {
			return err
		}
	}
	if err := k.connect(ctx); err != nil {
		return err
	}
	k.protect()
	return k.run(ctx)
}

// allowFiles lets this process have n files open.
func allowFiles(n uint64) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		return fmt.Errorf("allowing %d open files (maxOpenFiles, --max-open-files): %w", n, err)
	}
	return nil
}

// makeDirectories makes those that the kubelet keeps things in.
func makeDirectories(cfg *config.Config) error {
	for dir, mode := range map[string]os.FileMode{
		cfg.RootDir: 0o750, filepath.Join(cfg.RootDir, "pods"): 0o750, cfg.CertDir: 0o750,
		cfg.Kubelet.PodLogsDir: 0o755, cfg.ContainerLogsDir: 0o755,
	} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("making the kubelet's directories (move them with --root-dir, --cert-dir, podLogsDir): %w", err)
		}
	}
	return nil
}

const (
	// reachFor is how long a runtime that is just starting is waited for.
	reachFor   = 10 * time.Second
	reachPause = 200 * time.Millisecond
)

// reach waits for the runtime's first answer.
func reach(ctx context.Context, runtime cri.Runtime, endpoint string) (*cri.VersionResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	for {
		version, err := runtime.Version(ctx)
		if err == nil {
			return version, nil
		}
		if !cri.IsUnavailable(err) || ctx.Err() != nil {
			return nil, fmt.Errorf("the container runtime at %s does not answer (start it, or name another with --container-runtime-endpoint): %w", endpoint, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reachPause):
		}
	}
}

// protect keeps the kernel from ending the kubelet before others when memory runs out. Inside a container
// that may not be permitted, and then it is not worth more than a line in the log.
func (k *kubelet) protect() {
	score := strconv.Itoa(int(*k.cfg.Kubelet.OOMScoreAdj))
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(score), 0o644); err != nil {
		k.log.V(1).Info("The kubelet is not protected when memory runs out", "err", err.Error())
	}
}

// swapOff fails where swap is on and must not be: limits of memory would not hold.
func swapOff() error {
	b, err := os.ReadFile("/proc/swaps")
	if err != nil {
		return nil // a kernel without swap
	}
	if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); len(lines) > 1 {
		return fmt.Errorf("swap is on (%s): switch it off with swapoff -a, or start the kubelet with --fail-swap-on=false", strings.Fields(lines[1])[0])
	}
	return nil
}
