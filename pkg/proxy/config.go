package proxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/proxy/nftables"
)

// Config is everything that the proxy process can be told.
type Config struct {
	ConfigFile        string // KubeProxyConfiguration; what it says takes the place of flags
	Kubeconfig        string
	Node              string // this node's name; by default the host's
	Mode              Mode
	Scheduler         string // IPVS's way to choose: rr, lc, sh ...
	ClusterCIDR       string // networks of pods, separated by commas
	NodePortAddresses []string
	MasqueradeAll     bool
	MasqueradeBit     int
	MinSyncPeriod     time.Duration
	SyncPeriod        time.Duration
	HealthAddress     string
	MetricsAddress    string
	Cleanup           bool
	Profiling         bool // serve profiles beside metrics
	Logging           daemon.Logging

	unheeded []string // fields of the file that do nothing
	flags    *pflag.FlagSet
}

// DefaultConfig is kube-proxy's, but that rules follow changes after 100 ms at most.
func DefaultConfig() *Config {
	return &Config{
		Mode: Auto, MasqueradeBit: 14, MinSyncPeriod: 100 * time.Millisecond, SyncPeriod: time.Minute,
		HealthAddress: "0.0.0.0:10256", MetricsAddress: "127.0.0.1:10249",
	}
}

// AddFlags registers kube-proxy's flags.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	c.flags = fs
	fs.StringVar(&c.ConfigFile, "config", "", "file with a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1)")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "file that says how to reach the apiserver; without it the pod's service account is used")
	fs.StringVar(&c.Node, "hostname-override", "", "this node's name; by default the host's")
	fs.StringVar((*string)(&c.Mode), "proxy-mode", string(c.Mode), "auto, ipvs or nftables; auto takes IPVS where the kernel has it")
	fs.StringVar(&c.Scheduler, "ipvs-scheduler", "", "how IPVS chooses a backend; by default rr")
	fs.StringVar(&c.ClusterCIDR, "cluster-cidr", "", "networks of pods, separated by commas: traffic from elsewhere to cluster IPs is masqueraded")
	fs.StringSliceVar(&c.NodePortAddresses, "nodeport-addresses", nil, "networks of this node at which node ports are served; by default all its addresses but loopback")
	fs.BoolVar(&c.MasqueradeAll, "masquerade-all", false, "masquerade all traffic to cluster IPs")
	fs.IntVar(&c.MasqueradeBit, "iptables-masquerade-bit", c.MasqueradeBit, "bit of the packet mark that asks for masquerading, 0 to 31")
	fs.DurationVar(&c.MinSyncPeriod, "min-sync-period", c.MinSyncPeriod, "least time between two changes of the rules")
	fs.DurationVar(&c.SyncPeriod, "sync-period", c.SyncPeriod, "the rules are checked at least this often")
	fs.StringVar(&c.HealthAddress, "healthz-bind-address", c.HealthAddress, "address and port of /healthz; empty for none")
	fs.StringVar(&c.MetricsAddress, "metrics-bind-address", c.MetricsAddress, "address and port of /metrics; empty for none")
	fs.BoolVar(&c.Profiling, "profiling", false, "serve profiles of the process under /debug/pprof/, beside /metrics")
	fs.BoolVar(&c.Cleanup, "cleanup", false, "remove every rule that this proxy made, and exit")
	c.Logging.AddFlags(fs)
}

// load reads the configuration file, if one is named.
func (c *Config) load() error {
	if c.ConfigFile == "" {
		return nil
	}
	f, err := daemon.ReadConfig[proxyconfig.KubeProxyConfiguration](c.ConfigFile, proxyconfig.SchemeGroupVersion.WithKind("KubeProxyConfiguration"))
	if err != nil {
		return err
	}
	c.apply(f)
	c.unheeded, err = daemon.Unheeded(f, heeded...)
	return err
}

// heeded are the fields of a KubeProxyConfiguration that are not in vain.
var heeded = []string{
	"clientConnection.kubeconfig", "hostnameOverride", "mode", "clusterCIDR", "healthzBindAddress", "metricsBindAddress",
	"enableProfiling", "nodePortAddresses", "ipvs.scheduler", "ipvs.minSyncPeriod", "ipvs.syncPeriod",
	"iptables.masqueradeAll", "iptables.masqueradeBit", "iptables.minSyncPeriod", "iptables.syncPeriod",
	"nftables.masqueradeAll", "nftables.masqueradeBit", "nftables.minSyncPeriod", "nftables.syncPeriod",
}

func (c *Config) apply(f *proxyconfig.KubeProxyConfiguration) {
	text := func(to *string, from string) {
		if from != "" {
			*to = from
		}
	}
	text(&c.Kubeconfig, f.ClientConnection.Kubeconfig)
	text(&c.Node, f.HostnameOverride)
	c.Profiling = f.EnableProfiling
	text((*string)(&c.Mode), string(f.Mode))
	text(&c.Scheduler, f.IPVS.Scheduler)
	text(&c.ClusterCIDR, f.ClusterCIDR)
	text(&c.HealthAddress, f.HealthzBindAddress)
	text(&c.MetricsAddress, f.MetricsBindAddress)
	if len(f.NodePortAddresses) > 0 {
		c.NodePortAddresses = f.NodePortAddresses
	}
	c.MasqueradeAll = c.MasqueradeAll || f.NFTables.MasqueradeAll || f.IPTables.MasqueradeAll
	// What the modes have in common is the first of theirs that is given.
	if bit := cmp.Or(f.NFTables.MasqueradeBit, f.IPTables.MasqueradeBit); bit != nil {
		c.MasqueradeBit = int(*bit)
	}
	if d := cmp.Or(f.NFTables.MinSyncPeriod, f.IPVS.MinSyncPeriod, f.IPTables.MinSyncPeriod).Duration; d > 0 {
		c.MinSyncPeriod = d
	}
	if d := cmp.Or(f.NFTables.SyncPeriod, f.IPVS.SyncPeriod, f.IPTables.SyncPeriod).Duration; d > 0 {
		c.SyncPeriod = d
	}
}

// options are the kernel paths' settings.
func (c *Config) options() (nftables.Options, error) {
	o := nftables.Options{MasqueradeAll: c.MasqueradeAll, MasqueradeBit: c.MasqueradeBit}
	if c.MasqueradeBit < 0 || c.MasqueradeBit > 31 {
		return o, fmt.Errorf("the masquerade bit is %d: use 0 to 31", c.MasqueradeBit)
	}
	var err error
	if c.ClusterCIDR != "" {
		if o.ClusterCIDRs, err = prefixes("--cluster-cidr", strings.Split(c.ClusterCIDR, ",")); err != nil {
			return o, err
		}
	}
	if len(c.NodePortAddresses) == 1 && c.NodePortAddresses[0] == "primary" {
		return o, nil
	}
	o.NodePortAddresses, err = prefixes("--nodeport-addresses", c.NodePortAddresses)
	return o, err
}

func prefixes(flag string, list []string) (out []netip.Prefix, err error) {
	for _, s := range list {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("%s holds %q: write networks like 10.244.0.0/16", flag, s)
		}
		out = append(out, p)
	}
	return out, nil
}
