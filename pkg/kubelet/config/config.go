// Package config is what the kubelet is told: upstream's command line and the file
// KubeletConfiguration v1beta1. It knows values and their rules, and nothing of what is done with them.
package config

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// Config is the kubelet's complete configuration.
type Config struct {
	// Kubelet holds everything that a configuration file can hold. After Load no pointer that upstream
	// defaults is nil.
	Kubelet kubeletv1beta1.KubeletConfiguration

	// Files and directories that only the command line names.
	ConfigFile          string // --config
	ConfigDir           string // --config-dir, drop-ins named *.conf
	Kubeconfig          string // --kubeconfig; empty: standalone, static pods only
	BootstrapKubeconfig string
	RootDir             string
	CertDir             string
	ContainerLogsDir    string // links to the logs of containers, /var/log/containers

	HostnameOverride        string
	NodeIP                  string // one address, or two of different families separated by a comma
	NodeLabels              map[string]string
	CloudProvider           string // "" or "external"
	MaxDeadPerContainer     int32  // kept of each container at most
	MachineIDFiles          string
	BootIDFiles             string
	AllocatableIgnoresEvict bool

	Logging daemon.Logging
	// Warnings are about flags and fields that are accepted without effect; log each once.
	Warnings []string

	flags *pflag.FlagSet
}

// New makes the default configuration.
func New() *Config {
	c := &Config{
		RootDir:             "/var/lib/kubelet",
		CertDir:             "/var/lib/kubelet/pki",
		ContainerLogsDir:    "/var/log/containers",
		MaxDeadPerContainer: 1,
		MachineIDFiles:      "/etc/machine-id,/var/lib/dbus/machine-id",
		BootIDFiles:         "/proc/sys/kernel/random/boot_id",
		NodeLabels:          map[string]string{},
	}
	setDefaults(&c.Kubelet)
	return c
}

// AddFlags registers upstream's flags on fs.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	c.bind(fs)
	fs.VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Value.(*recorded); !ok {
			f.Value = &recorded{Value: f.Value}
		}
	})
	c.flags = fs
}

// Flags are the command line's, nil where there is none.
func (c *Config) Flags() *pflag.FlagSet { return c.flags }

// Load answers the configuration that results from the defaults, then --config, then the drop-ins of
// --config-dir, and then the flags that were given. It is called once the flags are parsed.
func (c *Config) Load() (*Config, error) {
	loaded := New()
	file, err := readFiles(c.ConfigFile, c.ConfigDir)
	if err != nil {
		return nil, err
	}
	loaded.Kubelet = *file
	setDefaults(&loaded.Kubelet)
	loaded.Logging.Format = loaded.Kubelet.Logging.Format
	loaded.Logging.Verbosity = int(loaded.Kubelet.Logging.Verbosity)
	if loaded.flags = c.flags; c.flags != nil {
		if err := loaded.apply(c.flags); err != nil {
			return nil, err
		}
	}
	warnings, err := fieldWarnings(&loaded.Kubelet)
	if err != nil {
		return nil, err
	}
	loaded.Warnings = append(loaded.Warnings, warnings...)
	return loaded, loaded.Validate()
}

// apply repeats on c the flags that were given to from.
func (c *Config) apply(from *pflag.FlagSet) error {
	own := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	c.bind(own)
	var failure error
	from.Visit(func(f *pflag.Flag) {
		r, ok := f.Value.(*recorded)
		if !ok || failure != nil || own.Lookup(f.Name) == nil {
			return
		}
		for _, raw := range r.raw {
			if err := own.Set(f.Name, raw); err != nil {
				failure = fmt.Errorf("--%s: %w", f.Name, err)
			}
		}
		if withoutEffect[f.Name] != "" {
			c.Warnings = append(c.Warnings, fmt.Sprintf("--%s is accepted and has no effect: %s", f.Name, withoutEffect[f.Name]))
		}
	})
	return failure
}

// NodeName is --hostname-override or else the machine's name, in lower case as upstream registers it.
func (c *Config) NodeName() (string, error) {
	name := c.HostnameOverride
	if name == "" {
		var err error
		if name, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("asking for the machine's name (name the node with --hostname-override): %w", err)
		}
	}
	if name = strings.ToLower(strings.TrimSpace(name)); name == "" {
		return "", fmt.Errorf("the machine has no name; name the node with --hostname-override")
	}
	return name, nil
}

// NodeIPs are the addresses of --node-ip; none where they are to be found out.
func (c *Config) NodeIPs() []net.IP {
	var ips []net.IP
	for s := range strings.SplitSeq(c.NodeIP, ",") {
		if ip := net.ParseIP(strings.TrimSpace(s)); ip != nil && !ip.IsUnspecified() {
			ips = append(ips, ip)
		}
	}
	return ips
}
