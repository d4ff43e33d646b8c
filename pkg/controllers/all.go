// Package controllers is the list of controllers, each a package below, and their configuration.
package controllers

import (
	"fmt"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controllers/bootstrap"
	"github.com/sampan-project/sampan/pkg/controllers/certificates"
	"github.com/sampan-project/sampan/pkg/controllers/clusterrole"
	"github.com/sampan-project/sampan/pkg/controllers/daemonset"
	"github.com/sampan-project/sampan/pkg/controllers/deployment"
	"github.com/sampan-project/sampan/pkg/controllers/endpoints"
	"github.com/sampan-project/sampan/pkg/controllers/endpointslice"
	"github.com/sampan-project/sampan/pkg/controllers/endpointslicemirroring"
	"github.com/sampan-project/sampan/pkg/controllers/garbagecollector"
	"github.com/sampan-project/sampan/pkg/controllers/legacytoken"
	"github.com/sampan-project/sampan/pkg/controllers/namespace"
	"github.com/sampan-project/sampan/pkg/controllers/nodeipam"
	"github.com/sampan-project/sampan/pkg/controllers/nodelifecycle"
	"github.com/sampan-project/sampan/pkg/controllers/podgc"
	"github.com/sampan-project/sampan/pkg/controllers/policystatus"
	"github.com/sampan-project/sampan/pkg/controllers/replicaset"
	"github.com/sampan-project/sampan/pkg/controllers/replicationcontroller"
	"github.com/sampan-project/sampan/pkg/controllers/resourcequota"
	"github.com/sampan-project/sampan/pkg/controllers/rootca"
	"github.com/sampan-project/sampan/pkg/controllers/serviceaccount"
	"github.com/sampan-project/sampan/pkg/controllers/serviceaccounttoken"
	"github.com/sampan-project/sampan/pkg/controllers/tainteviction"
	"github.com/sampan-project/sampan/pkg/controllers/ttl"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Descriptor is one line of the list.
type Descriptor struct {
	Name    string // in --controllers
	Alias   string // its name of before 1.28, which --controllers takes too
	Account string // service account in kube-system under --use-service-account-credentials; empty: it acts as the process
	Off     bool   // only on when --controllers names it
	// New makes the controller; nil where the configuration gives it nothing to do.
	New func(env *controller.Env, c *Config) (controller.Runner, error)
}

// sized fits a controller that only wants to know its number of workers.
func sized(flag string, make func(*controller.Env, int) (controller.Runner, error)) func(*controller.Env, *Config) (controller.Runner, error) {
	return func(env *controller.Env, c *Config) (controller.Runner, error) { return make(env, c.workers(flag)) }
}

// plain fits a controller that wants to know nothing.
func plain(make func(*controller.Env) (controller.Runner, error)) func(*controller.Env, *Config) (controller.Runner, error) {
	return func(env *controller.Env, _ *Config) (controller.Runner, error) { return make(env) }
}

// All are the controllers, in the order in which they start.
func All() []Descriptor {
	return []Descriptor{
		{Name: "serviceaccount-token-controller", Alias: "serviceaccount-token", New: newAccountToken},
		{Name: "serviceaccount-controller", Alias: "serviceaccount", Account: "service-account-controller", New: newServiceAccount},
		{Name: "root-ca-certificate-publisher-controller", Alias: "root-ca-cert-publisher", Account: "root-ca-cert-publisher", New: newRootCA},
		{Name: "clusterrole-aggregation-controller", Alias: "clusterrole-aggregation", Account: "clusterrole-aggregation-controller", New: plain(clusterrole.New)},
		{Name: "resourcequota-controller", Alias: "resourcequota", Account: "resourcequota-controller", New: newQuota},
		{Name: "namespace-controller", Alias: "namespace", Account: "namespace-controller", New: sized("namespace", namespace.New)},
		{Name: "node-ipam-controller", Alias: "nodeipam", Account: "node-controller", New: newNodeIPAM},
		{Name: "node-lifecycle-controller", Alias: "nodelifecycle", Account: "node-controller", New: newNodeLifecycle},
		{Name: "taint-eviction-controller", Alias: "taint-eviction", Account: "node-controller", New: plain(tainteviction.New)},
		{Name: "ttl-controller", Alias: "ttl", Account: "ttl-controller", New: plain(ttl.New)},
		{Name: "endpoints-controller", Alias: "endpoint", Account: "endpoint-controller", New: newEndpoints},
		{Name: "endpointslice-controller", Alias: "endpointslice", Account: "endpointslice-controller", New: newSlices},
		{Name: "endpointslice-mirroring-controller", Alias: "endpointslicemirroring", Account: "endpointslicemirroring-controller", New: newMirroring},
		{Name: "replicationcontroller-controller", Alias: "replicationcontroller", Account: "replication-controller", New: sized("rc", replicationcontroller.New)},
		{Name: "replicaset-controller", Alias: "replicaset", Account: "replicaset-controller", New: sized("replicaset", replicaset.New)},
		{Name: "deployment-controller", Alias: "deployment", Account: "deployment-controller", New: sized("deployment", deployment.New)},
		{Name: "daemonset-controller", Alias: "daemonset", Account: "daemon-set-controller", New: sized("daemonset", daemonset.New)},
		{Name: "pod-garbage-collector-controller", Alias: "podgc", Account: "pod-garbage-collector", New: newPodGC},
		{Name: "garbage-collector-controller", Alias: "garbagecollector", Account: "generic-garbage-collector", New: newGarbageCollector},
		{Name: "certificatesigningrequest-approving-controller", Alias: "csrapproving", Account: "certificate-controller", New: plain(certificates.NewApprover)},
		{Name: "certificatesigningrequest-signing-controller", Alias: "csrsigning", Account: "certificate-controller", New: newSigner},
		{Name: "certificatesigningrequest-cleaner-controller", Alias: "csrcleaner", Account: "certificate-controller", New: plain(certificates.NewCleaner)},
		{Name: "legacy-serviceaccount-token-cleaner-controller", Alias: "legacy-service-account-token-cleaner", Account: "legacy-service-account-token-cleaner", New: newLegacyToken},
		{Name: "validatingadmissionpolicy-status-controller", Alias: "validatingadmissionpolicy-status", Account: "validatingadmissionpolicy-status-controller", New: sized("validating-admission-policy-status", policystatus.New)},
		{Name: "bootstrap-signer-controller", Alias: "bootstrapsigner", Account: "bootstrap-signer", Off: true, New: plain(bootstrap.NewSigner)},
		{Name: "token-cleaner-controller", Alias: "tokencleaner", Account: "token-cleaner", Off: true, New: plain(bootstrap.NewCleaner)},
	}
}

func newAccountToken(env *controller.Env, c *Config) (controller.Runner, error) {
	if c.ServiceAccountKeyFile == "" {
		return nil, nil
	}
	key, err := pki.LoadKey(c.ServiceAccountKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--service-account-private-key-file: %w", err)
	}
	o := serviceaccounttoken.Options{}
	if o.Signer, err = accounttoken.NewSigner(key); err != nil {
		return nil, err
	}
	if o.RootCA, err = c.rootCA(); err != nil {
		return nil, err
	}
	return serviceaccounttoken.New(env, c.workers("serviceaccount-token"), o)
}

func newLegacyToken(env *controller.Env, c *Config) (controller.Runner, error) {
	if c.LegacyTokenCleanUp <= 0 {
		return nil, fmt.Errorf("--legacy-service-account-token-clean-up-period is %v: it must be longer than 0", c.LegacyTokenCleanUp)
	}
	return legacytoken.New(env, c.LegacyTokenCleanUp)
}

func newServiceAccount(env *controller.Env, _ *Config) (controller.Runner, error) {
	return serviceaccount.New(env, 1)
}

func newQuota(env *controller.Env, c *Config) (controller.Runner, error) {
	return resourcequota.New(env, c.workers("resource-quota"), c.QuotaSyncPeriod)
}

func newRootCA(env *controller.Env, c *Config) (controller.Runner, error) {
	pem, err := c.rootCA()
	if err != nil {
		return nil, err
	}
	return rootca.New(env, pem)
}

func newNodeIPAM(env *controller.Env, c *Config) (controller.Runner, error) {
	if !c.AllocateNodeCIDRs {
		return nil, nil
	}
	return nodeipam.New(env, nodeipam.Options{
		ClusterCIDRs: c.ClusterCIDRs, ServiceCIDR: c.ServiceCIDR, Mask: c.NodeMask, MaskIPv4: c.NodeMaskIPv4, MaskIPv6: c.NodeMaskIPv6,
	})
}

func newNodeLifecycle(env *controller.Env, c *Config) (controller.Runner, error) {
	return nodelifecycle.New(env, nodelifecycle.Options{
		Period: c.NodeMonitorPeriod, Grace: c.NodeMonitorGracePeriod, StartupGrace: c.NodeStartupGracePeriod,
		EvictionRate: c.NodeEvictionRate, SecondaryRate: c.SecondaryEvictionRate,
		LargeCluster: int(c.LargeClusterThreshold), UnhealthyZone: c.UnhealthyZoneThreshold,
	})
}

func newEndpoints(env *controller.Env, c *Config) (controller.Runner, error) {
	return endpoints.New(env, c.workers("endpoint"), c.EndpointsBatchPeriod)
}

func newSlices(env *controller.Env, c *Config) (controller.Runner, error) {
	return endpointslice.New(env, c.workers("service-endpoint"), int(c.EndpointsPerSlice), c.SliceBatchPeriod)
}

func newMirroring(env *controller.Env, c *Config) (controller.Runner, error) {
	return endpointslicemirroring.New(env, c.workers("service-endpoint"), int(c.MirroredEndpoints))
}

func newPodGC(env *controller.Env, c *Config) (controller.Runner, error) {
	return podgc.New(env, int(c.TerminatedPodThreshold))
}

func newGarbageCollector(env *controller.Env, c *Config) (controller.Runner, error) {
	if !c.GarbageCollector {
		return nil, nil
	}
	return garbagecollector.New(env, c.workers("gc"))
}

func newSigner(env *controller.Env, c *Config) (controller.Runner, error) {
	authority := func(p Pair) *certificates.Authority {
		if p.Cert == "" && p.Key == "" {
			p = c.Signing.Default
		}
		if p.Cert == "" || p.Key == "" {
			return nil
		}
		return &certificates.Authority{CertFile: p.Cert, KeyFile: p.Key}
	}
	s := &certificates.Signers{
		KubeletServing: authority(c.Signing.KubeletServing), KubeletClient: authority(c.Signing.KubeletClient),
		APIServerClient: authority(c.Signing.APIServerClient), LegacyUnknown: authority(c.Signing.LegacyUnknown), Duration: c.Signing.Duration,
	}
	if s.KubeletServing == nil && s.KubeletClient == nil && s.APIServerClient == nil && s.LegacyUnknown == nil {
		return nil, nil
	}
	return certificates.NewSigner(env, s)
}
