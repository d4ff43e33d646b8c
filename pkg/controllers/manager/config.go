// Package manager runs the controllers as one process.
package manager

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sampan-project/sampan/pkg/controllers"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// Config is everything that the controller-manager process can be told.
type Config struct {
	Kubeconfig        string
	Master            string
	Controllers       []string
	AccountPerControl bool // --use-service-account-credentials
	Logging           daemon.Logging
	LeaderElection    daemon.LeaderElection
	Serving           daemon.Serving
	controllers.Config

	flags *pflag.FlagSet
}

// DefaultConfig is kube-controller-manager's.
func DefaultConfig() *Config {
	return &Config{
		LeaderElection: daemon.DefaultLeaderElection("kube-controller-manager"),
		Serving:        daemon.DefaultServing("kube-controller-manager", 10257),
	}
}

// AddFlags registers kube-controller-manager's flags.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	c.flags = fs
	var on, off []string
	for _, d := range controllers.All() {
		if d.Off {
			off = append(off, d.Name)
		} else {
			on = append(on, d.Name)
		}
	}
	fs.StringVar(&c.Kubeconfig, "kubeconfig", "", "file that says how to reach the apiserver; without it the pod's service account is used")
	fs.StringVar(&c.Master, "master", "", "address of the apiserver; goes before the kubeconfig's")
	fs.StringSliceVar(&c.Controllers, "controllers", []string{"*"}, "controllers to run: '*' for those on by default, NAME for one more, -NAME for one less. On by default: "+
		strings.Join(on, ", ")+". Off by default: "+strings.Join(off, ", "))
	fs.BoolVar(&c.AccountPerControl, "use-service-account-credentials", false, "let each controller act as its own service account in kube-system")
	c.Config.AddFlags(fs)
	c.Logging.AddFlags(fs)
	c.LeaderElection.AddFlags(fs)
	c.Serving.AddFlags(fs)
	for _, f := range inert {
		c.addInert(fs, f)
	}
}

// inert are flags of kube-controller-manager that are taken, with a warning, and do nothing here.
var inert = []string{
	"allow-metric-labels", "allow-metric-labels-manifest", "allow-untagged-cloud",
	"attach-detach-reconcile-sync-period", "authentication-skip-lookup", "authentication-token-webhook-cache-ttl",
	"authentication-tolerate-lookup-failure", "authorization-always-allow-paths",
	"authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl", "cert-dir",
	"cidr-allocator-type", "cloud-config", "cloud-provider", "cluster-name", "concurrent-cron-job-syncs",
	"concurrent-device-taint-eviction-syncs", "concurrent-ephemeralvolume-syncs",
	"concurrent-horizontal-pod-autoscaler-syncs", "concurrent-job-syncs", "concurrent-resourceclaim-syncs",
	"concurrent-service-syncs", "concurrent-statefulset-syncs", "concurrent-ttl-after-finished-syncs",
	"configure-cloud-routes", "controller-shutdown-timeout", "controller-start-interval",
	"disable-attach-detach-reconcile-sync", "disable-force-detach-on-timeout", "disable-http2-serving",
	"disabled-metrics", "emulated-version", "enable-dynamic-provisioning", "enable-hostpath-provisioner",
	"enable-leader-migration", "external-cloud-volume-plugin", "feature-gates", "flex-volume-plugin-dir",
	"horizontal-pod-autoscaler-cpu-initialization-period", "horizontal-pod-autoscaler-downscale-stabilization",
	"horizontal-pod-autoscaler-initial-readiness-delay", "horizontal-pod-autoscaler-sync-period",
	"horizontal-pod-autoscaler-tolerance", "http2-max-streams-per-connection", "kube-api-burst",
	"kube-api-content-type", "kube-api-qps", "leader-elect-resource-lock", "leader-migration-config",
	"log-flush-frequency", "log-json-info-buffer-size", "log-json-split-stream", "log-text-info-buffer-size",
	"log-text-split-stream", "min-compatibility-version", "min-resync-period",
	"mirroring-concurrent-service-endpoint-syncs", "mirroring-endpointslice-updates-batch-period",
	"namespace-sync-period", "permit-address-sharing", "permit-port-sharing",
	"pv-recycler-increment-timeout-nfs", "pv-recycler-minimum-timeout-hostpath", "pv-recycler-minimum-timeout-nfs",
	"pv-recycler-pod-template-filepath-hostpath", "pv-recycler-pod-template-filepath-nfs",
	"pv-recycler-timeout-increment-hostpath", "pvclaimbinder-sync-period", "requestheader-allowed-names",
	"requestheader-client-ca-file", "requestheader-extra-headers-prefix", "requestheader-group-headers",
	"requestheader-uid-headers", "requestheader-username-headers", "route-reconciliation-period",
	"show-hidden-metrics-for-version", "tls-cipher-suites", "tls-curve-preferences", "tls-min-version",
	"tls-sni-cert-key", "unsupported-kube-api-over-localhost", "vmodule",
}

// inertValue takes whatever it is given. Upstream's switches may stand without a value.
type inertValue struct{ value string }

func (v *inertValue) String() string     { return v.value }
func (v *inertValue) Set(s string) error { v.value = s; return nil }
func (v *inertValue) Type() string       { return "value" }

func (c *Config) addInert(fs *pflag.FlagSet, name string) {
	if fs.Lookup(name) != nil {
		return // a shared piece knows it
	}
	fs.Var(&inertValue{}, name, "accepted for compatibility; has no effect")
	if switches[name] {
		fs.Lookup(name).NoOptDefVal = "true"
	}
}

var switches = map[string]bool{
	"allow-untagged-cloud": true, "authentication-skip-lookup": true, "authentication-tolerate-lookup-failure": true, "configure-cloud-routes": true,
	"disable-attach-detach-reconcile-sync": true, "disable-force-detach-on-timeout": true,
	"disable-http2-serving": true, "enable-dynamic-provisioning": true, "enable-hostpath-provisioner": true, "enable-leader-migration": true,
	"log-json-split-stream": true, "log-text-split-stream": true, "permit-address-sharing": true, "permit-port-sharing": true,
	"unsupported-kube-api-over-localhost": true,
}

// withoutEffect names the flags that were given and do nothing.
func (c *Config) withoutEffect() []string {
	var list []string
	if c.flags == nil {
		return nil
	}
	c.flags.Visit(func(f *pflag.Flag) {
		if _, ok := f.Value.(*inertValue); ok {
			list = append(list, "--"+f.Name)
		}
	})
	return list
}

// selected is which of the list --controllers asks for. A name said first counts.
func selected(list []controllers.Descriptor, asked []string) ([]controllers.Descriptor, error) {
	for _, name := range asked {
		bare := strings.TrimPrefix(name, "-")
		known := func(d controllers.Descriptor) bool { return d.Name == bare || d.Alias == bare }
		if bare != "*" && !slices.ContainsFunc(list, known) && !elsewhere[bare] {
			return nil, fmt.Errorf("--controllers names %q, which is none; --help lists them", bare)
		}
	}
	var out []controllers.Descriptor
	for _, d := range list {
		if enabled(d, asked) {
			out = append(out, d)
		}
	}
	return out, nil
}

func enabled(d controllers.Descriptor, asked []string) bool {
	star := false
	for _, name := range asked {
		switch name {
		case d.Name, d.Alias:
			return true
		case "-" + d.Name, "-" + d.Alias:
			return false
		case "*":
			star = true
		}
	}
	return star && !d.Off
}

// elsewhere are upstream's controllers whose work is not done by a controller here, so that naming them is
// no mistake: what they do belongs to clouds, or to kinds that the apiserver looks after itself.
var elsewhere = map[string]bool{
	"service-lb-controller": true, "service": true, "node-route-controller": true, "route": true, "cloud-node-lifecycle-controller": true,
	"persistentvolume-attach-detach-controller": true, "attachdetach": true, "persistentvolume-expander-controller": true, "persistentvolume-expander": true,
	"selinux-warning-controller": true, "storage-version-migrator-controller": true, "storageversion-garbage-collector-controller": true,
	"resourceclaim-controller": true, "device-taint-eviction-controller": true, "ephemeral-volume-controller": true, "ephemeral-volume": true,
	"validatingadmissionpolicy-status-controller": true, "service-cidr-controller": true, "podcertificaterequest-cleaner-controller": true,
	"kube-apiserver-serving-clustertrustbundle-publisher-controller": true, "volumeattributesclass-protection-controller": true,
}
