package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/config"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
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
	if err := makeDirectories(cfg); err != nil {
		return err
	}
	client, err := connect(ctx, cfg, name, log)
	if err != nil {
		return err
	}
	runtime, err := cri.Dial(cfg.Kubelet.ContainerRuntimeEndpoint)
	if err != nil {
		return err
	}
	defer runtime.Close()
	version, err := reach(ctx, runtime, cfg.Kubelet.ContainerRuntimeEndpoint)
	if err != nil {
		return err
	}
	log.Info("Reached the container runtime", "name", version.GetRuntimeName(), "version", version.GetRuntimeVersion())
	k := &kubelet{cfg: cfg, name: name, client: client, cri: runtime, runtimeName: version.GetRuntimeName(), clock: clock.RealClock{}, log: log}
	if k.ips = cfg.NodeIPs(); len(k.ips) == 0 {
		if k.ips, err = ownAddress(); err != nil {
			return err
		}
	}
	return k.run(ctx)
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

// ownAddress is the address that this machine would use towards others.
func ownAddress() ([]net.IP, error) {
	// A datagram socket that is connected sends nothing; the kernel only chooses the address.
	for _, way := range [][2]string{{"udp4", "192.0.2.1:9"}, {"udp6", "[2001:db8::1]:9"}} {
		conn, err := net.Dial(way[0], way[1])
		if err != nil {
			continue
		}
		ip := conn.LocalAddr().(*net.UDPAddr).IP
		conn.Close()
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		return []net.IP{ip}, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("asking for this machine's addresses (give the node's with --node-ip): %w", err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return []net.IP{n.IP}, nil
		}
	}
	return nil, errors.New("this machine has no address but loopback; give the node's with --node-ip")
}
