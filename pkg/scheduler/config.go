package scheduler

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulerconfig "k8s.io/kube-scheduler/config/v1"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/scheduler/plugins"
)

// Config is everything that the scheduler process can be told.
type Config struct {
	ConfigFile     string // KubeSchedulerConfiguration; flags for the same things give way to it
	Kubeconfig     string
	Logging        daemon.Logging
	LeaderElection daemon.LeaderElection
	Serving        daemon.Serving
	Percent        int32
	InitialBackoff time.Duration
	MaxBackoff     time.Duration

	profiles []schedulerconfig.KubeSchedulerProfile
	unheeded []string // fields of the file that do nothing
}

// DefaultConfig is kube-scheduler's.
func DefaultConfig() *Config {
	c := &Config{
		LeaderElection: daemon.DefaultLeaderElection("kube-scheduler"),
		Serving:        daemon.DefaultServing("kube-scheduler", 10259),
		InitialBackoff: time.Second,
		MaxBackoff:     10 * time.Second,
	}
	c.Serving.Contention = true
	return c
}

// AddFlags registers kube-scheduler's flags.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.ConfigFile, "config", "", "file with a KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1)")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "file that says how to reach the apiserver; without it the pod's service account is used")
	c.Logging.AddFlags(fs)
	c.LeaderElection.AddFlags(fs)
	c.Serving.AddFlags(fs)
}

// load reads the configuration file, if one is named.
func (c *Config) load() error {
	if c.ConfigFile == "" {
		return nil
	}
	file, err := daemon.ReadConfig[schedulerconfig.KubeSchedulerConfiguration](c.ConfigFile, schedulerconfig.SchemeGroupVersion.WithKind("KubeSchedulerConfiguration"))
	if err != nil {
		return err
	}
	c.apply(file)
	c.unheeded, err = daemon.Unheeded(file, heeded...)
	return err
}

// heeded are the fields of a KubeSchedulerConfiguration that are not in vain. Leases are the one resourceLock there is.
var heeded = []string{
	"clientConnection.kubeconfig", "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds",
	"enableProfiling", "enableContentionProfiling", "leaderElection", "profiles.schedulerName", "profiles.plugins.multiPoint", "profiles.plugins.filter", "profiles.plugins.score",
}

func (c *Config) apply(file *schedulerconfig.KubeSchedulerConfiguration) {
	if file.ClientConnection.Kubeconfig != "" {
		c.Kubeconfig = file.ClientConnection.Kubeconfig
	}
	if file.PercentageOfNodesToScore != nil {
		c.Percent = *file.PercentageOfNodesToScore
	}
	if file.PodInitialBackoffSeconds != nil {
		c.InitialBackoff = time.Duration(*file.PodInitialBackoffSeconds) * time.Second
	}
	if file.PodMaxBackoffSeconds != nil {
		c.MaxBackoff = time.Duration(*file.PodMaxBackoffSeconds) * time.Second
	}
	if file.EnableProfiling != nil {
		c.Serving.Profiling = *file.EnableProfiling
	}
	if file.EnableContentionProfiling != nil {
		c.Serving.Contention = *file.EnableContentionProfiling
	}
	le := file.LeaderElection
	if le.LeaderElect != nil {
		c.LeaderElection.Enabled = *le.LeaderElect
	}
	set := func(to *time.Duration, from metav1.Duration) {
		if from.Duration > 0 {
			*to = from.Duration
		}
	}
	set(&c.LeaderElection.LeaseDuration, le.LeaseDuration)
	set(&c.LeaderElection.RenewDeadline, le.RenewDeadline)
	set(&c.LeaderElection.RetryPeriod, le.RetryPeriod)
	if le.ResourceName != "" {
		c.LeaderElection.Name = le.ResourceName
	}
	if le.ResourceNamespace != "" {
		c.LeaderElection.Namespace = le.ResourceNamespace
	}
	c.profiles = file.Profiles
}

// buildProfiles makes the profiles that the configuration names, or the default one.
func (c *Config) buildProfiles(bind plugins.Binder) ([]plugins.Profile, error) {
	if len(c.profiles) == 0 {
		return []plugins.Profile{plugins.Default(bind)}, nil
	}
	seen := map[string]bool{}
	var out []plugins.Profile
	for _, p := range c.profiles {
		profile, err := plugins.Configured(p, bind)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.ConfigFile, err)
		}
		if seen[profile.SchedulerName] {
			return nil, fmt.Errorf("%s: two profiles have the schedulerName %q; each needs its own", c.ConfigFile, profile.SchedulerName)
		}
		seen[profile.SchedulerName] = true
		out = append(out, profile)
	}
	return out, nil
}
