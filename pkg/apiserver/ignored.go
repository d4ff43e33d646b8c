package apiserver

import (
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

const (
	noGates      = "what is served does not depend on switches"
	noAudit      = "requests are not audited yet"
	noEncryption = "what is in etcd is not encrypted yet"
	noFairness   = "there is no priority and fairness yet: --max-requests-inflight holds"
	noAggregates = "there are no other API servers behind this one yet"
	ownCache     = "the cache follows etcd as a whole, and knows its sizes itself"
	ownPace      = "it is done when it is needed"
	ofLogging    = "the log is written as it comes, to standard error"
	ofMetrics    = "metrics are served as they are"
	ofPorts      = "the port is opened as it is asked for"
	ofEtcd       = "etcd is asked when its answer is needed"
)

// withoutEffect says of flags of kube-apiserver that are accepted, for the sake of the command lines and
// programs that pass them, why they do nothing. Flags by which somebody would be kept out, or be let in, are
// never among them: a server that does not know those must not start.
var withoutEffect = map[string]string{
	"feature-gates": noGates, "runtime-config": noGates, "emulated-version": noGates, "min-compatibility-version": noGates,
	"emulation-forward-compatible": noGates, "runtime-config-emulation-forward-compatible": noGates,
	"audit-log-path": noAudit, "audit-policy-file": noAudit, "audit-log-maxage": noAudit, "audit-log-maxbackup": noAudit,
	"audit-log-maxsize": noAudit, "audit-log-format": noAudit, "audit-log-mode": noAudit, "audit-log-compress": noAudit,
	"encryption-provider-config": noEncryption, "encryption-provider-config-automatic-reload": noEncryption,
	"enable-priority-and-fairness": noFairness, "proxy-client-cert-file": noAggregates, "proxy-client-key-file": noAggregates,
	"enable-aggregator-routing": noAggregates, "aggregator-reject-forwarding-redirect": noAggregates,
	"watch-cache": ownCache, "watch-cache-sizes": ownCache, "default-watch-cache-size": ownCache, "enable-garbage-collector": ownCache,
	"storage-backend": "it is etcd", "storage-media-type": "objects are kept as upstream keeps them", "cloud-provider": "clouds have controllers of their own",
	"tls-cipher-suites": "suites are those that Go thinks safe", "tls-min-version": "TLS 1.2 is the oldest that is spoken",
	"goaway-chance": ownPace, "endpoint-reconciler-type": ownPace, "apiserver-count": ownPace, "delete-collection-workers": ownPace,
	"min-request-timeout": ownPace, "shutdown-delay-duration": ownPace, "shutdown-send-retry-after": ownPace,
	"shutdown-watch-termination-grace-period": ownPace, "livez-grace-period": ownPace, "storage-initialization-timeout": ownPace,
	"identity-lease-duration-seconds": ownPace, "identity-lease-renew-interval-seconds": ownPace,
	"http2-max-streams-per-connection": ofPorts, "permit-address-sharing": ofPorts, "permit-port-sharing": ofPorts,
	"max-connection-bytes-per-sec": ofPorts, "disable-http2-serving": ofPorts, "external-hostname": ofPorts,
	"peer-advertise-ip": ofPorts, "peer-advertise-port": ofPorts, "peer-ca-file": ofPorts, "kubernetes-service-node-port": ofPorts,
	"authorization-always-allow-paths": "health is answered to everybody", "enable-logs-handler": "logs are where the process writes them",
	"kubelet-port": "nodes say theirs", "kubelet-read-only-port": "nodes say theirs", "contention-profiling": ofMetrics,
	"etcd-count-metric-poll-period": ofEtcd, "etcd-db-metric-poll-interval": ofEtcd, "etcd-healthcheck-timeout": ofEtcd,
	"etcd-readycheck-timeout": ofEtcd, "lease-reuse-duration-seconds": ofEtcd,
	"allow-metric-labels": ofMetrics, "allow-metric-labels-manifest": ofMetrics, "disabled-metrics": ofMetrics,
	"show-hidden-metrics-for-version": ofMetrics, "tracing-config-file": "the server emits no traces",
	"log-flush-frequency": ofLogging, "log-json-info-buffer-size": ofLogging, "log-json-split-stream": ofLogging,
	"log-text-info-buffer-size": ofLogging, "log-text-split-stream": ofLogging, "vmodule": ofLogging,
}

// addIgnoredFlags registers those of withoutEffect that are no flags otherwise.
func (c *Config) addIgnoredFlags(fs *pflag.FlagSet) {
	c.ignored = pflag.NewFlagSet("", pflag.ContinueOnError)
	for name, why := range withoutEffect {
		if fs.Lookup(name) != nil {
			continue
		}
		c.ignored.String(name, "", "accepted without effect: "+why)
		f := c.ignored.Lookup(name)
		f.NoOptDefVal, f.Hidden = "true", true
		fs.AddFlag(f)
	}
}

// warnings are a line for each flag that was given and that has no effect.
func (c *Config) warnings() (all []string) {
	if c.ignored == nil {
		return nil
	}
	c.ignored.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			all = append(all, fmt.Sprintf("--%s is accepted and has no effect: %s", f.Name, withoutEffect[f.Name]))
		}
	})
	slices.Sort(all)
	return all
}
