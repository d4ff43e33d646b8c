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
	ownPeers     = "API servers on one etcd know each other by leases of 15 seconds"
	ownIdentity  = "the lease of a server's identity lasts an hour and is renewed every ten seconds"
	noPeers      = "API servers do not call each other"
	ownWatches   = "watches that name no end get a random one between 30 and 60 minutes"
	ownEnd       = "requests that run are finished, and watches end at once"
	ownEndpoint  = "clients are told the address of --advertise-address"
	ofLogging    = "the log is written as it comes, to standard error"
	ofMetrics    = "metrics are served as they are"
	ofPorts      = "the port is opened for this server alone"
	ofStreams    = "connections are served as they come, with upstream's bounds"
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
	"goaway-chance": "clients are not told to connect anew", "delete-collection-workers": "objects are deleted one after another",
	"endpoint-reconciler-type": ownPeers, "apiserver-count": ownPeers, "identity-lease-duration-seconds": ownIdentity,
	"identity-lease-renew-interval-seconds": ownIdentity, "min-request-timeout": ownWatches,
	"shutdown-delay-duration": ownEnd, "shutdown-send-retry-after": ownEnd, "shutdown-watch-termination-grace-period": ownEnd,
	"livez-grace-period": "the server is live as soon as it answers", "storage-initialization-timeout": ofEtcd,
	"permit-address-sharing": ofPorts, "permit-port-sharing": ofPorts,
	"http2-max-streams-per-connection": ofStreams, "max-connection-bytes-per-sec": ofStreams, "disable-http2-serving": ofStreams,
	"external-hostname": ownEndpoint, "peer-advertise-ip": noPeers, "peer-advertise-port": noPeers, "peer-ca-file": noPeers,
	"kubernetes-service-node-port":     "the Service kubernetes has no node port",
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
