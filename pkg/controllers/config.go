package controllers

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
)

// Config is what the controllers can be told. Names and defaults are kube-controller-manager's.
type Config struct {
	Concurrent map[string]*int32 // workers by the flag's name, concurrent-X-syncs

	RootCAFile            string
	Server                rest.TLSClientConfig // whose authority is published where no RootCAFile is given; no flag
	ServiceAccountKeyFile string

	AllocateNodeCIDRs bool
	ClusterCIDRs      []string
	NodeMask          int
	NodeMaskIPv4      int
	NodeMaskIPv6      int
	ServiceCIDR       string

	NodeMonitorPeriod      time.Duration
	NodeMonitorGracePeriod time.Duration
	NodeStartupGracePeriod time.Duration
	NodeEvictionRate       float32
	SecondaryEvictionRate  float32
	LargeClusterThreshold  int32
	UnhealthyZoneThreshold float32
	TerminatedPodThreshold int32
	GarbageCollector       bool
	EndpointsPerSlice      int32
	MirroredEndpoints      int32
	SliceBatchPeriod       time.Duration
	EndpointsBatchPeriod   time.Duration
	Signing                Signing
	QuotaSyncPeriod        time.Duration
	LegacyTokenCleanUp     time.Duration
}

// Signing names the certificate authorities of the four signers. The first pair stands for those that
// are not named.
type Signing struct {
	Default, KubeletServing, KubeletClient, APIServerClient, LegacyUnknown Pair
	Duration                                                               time.Duration
}

// Pair is a certificate and its key, as PEM files.
type Pair struct{ Cert, Key string }

// workers are the flags by which the number of a controller's workers is set, with their defaults.
var workers = map[string]int32{
	"daemonset": 2, "deployment": 5, "endpoint": 5, "service-endpoint": 5, "gc": 20, "namespace": 10, "replicaset": 5, "rc": 5,
	"resource-quota": 5, "serviceaccount-token": 5, "validating-admission-policy-status": 5,
}

// AddFlags registers the controllers' flags.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	c.Concurrent = map[string]*int32{}
	for name, n := range workers {
		c.Concurrent[name] = fs.Int32("concurrent-"+name+"-syncs", n, "how many of them are worked on at a time")
	}
	fs.StringVar(&c.RootCAFile, "root-ca-file", "", "certificate authority that is published to pods; without one, it is the kubeconfig's")
	fs.StringVar(&c.ServiceAccountKeyFile, "service-account-private-key-file", "", "key that signs tokens kept in secrets")
	c.addNodeFlags(fs)
	c.addSigningFlags(fs)
	fs.Int32Var(&c.TerminatedPodThreshold, "terminated-pod-gc-threshold", 12500, "ended pods beyond this number are deleted, the oldest first; 0 or less for never")
	fs.BoolVar(&c.GarbageCollector, "enable-garbage-collector", true, "delete objects whose owners are gone")
	fs.Int32Var(&c.EndpointsPerSlice, "max-endpoints-per-slice", 100, "endpoints in an EndpointSlice, at most")
	fs.Int32Var(&c.MirroredEndpoints, "mirroring-max-endpoints-per-subset", 1000, "addresses mirrored from one subset of an Endpoints object, at most")
	fs.DurationVar(&c.SliceBatchPeriod, "endpointslice-updates-batch-period", 0, "how long a pod's change waits for others before slices are written")
	fs.DurationVar(&c.EndpointsBatchPeriod, "endpoint-updates-batch-period", 0, "how long a pod's change waits for others before Endpoints are written")
	fs.DurationVar(&c.QuotaSyncPeriod, "resource-quota-sync-period", 5*time.Minute, "how often quotas are counted anew")
	fs.DurationVar(&c.LegacyTokenCleanUp, "legacy-service-account-token-clean-up-period", 8760*time.Hour, "tokens kept in secrets that were made for every service account and are not used for this long are marked invalid, and deleted after as long again")
}

func (c *Config) addNodeFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&c.AllocateNodeCIDRs, "allocate-node-cidrs", false, "give every node a part of --cluster-cidr for its pods")
	fs.StringSliceVar(&c.ClusterCIDRs, "cluster-cidr", nil, "address ranges of pods, one for each IP family")
	fs.IntVar(&c.NodeMask, "node-cidr-mask-size", 0, "prefix length of a node's range; 0: 24 for IPv4, 64 for IPv6")
	fs.IntVar(&c.NodeMaskIPv4, "node-cidr-mask-size-ipv4", 0, "prefix length of a node's IPv4 range in a dual-stack cluster; 0: 24")
	fs.IntVar(&c.NodeMaskIPv6, "node-cidr-mask-size-ipv6", 0, "prefix length of a node's IPv6 range in a dual-stack cluster; 0: 64")
	fs.StringVar(&c.ServiceCIDR, "service-cluster-ip-range", "", "address ranges of services, which no node gets")
	fs.DurationVar(&c.NodeMonitorPeriod, "node-monitor-period", 5*time.Second, "how often nodes are looked at")
	fs.DurationVar(&c.NodeMonitorGracePeriod, "node-monitor-grace-period", 50*time.Second, "a node that is silent for this long counts as unreachable")
	fs.DurationVar(&c.NodeStartupGracePeriod, "node-startup-grace-period", time.Minute, "the same for a node that has just come")
	fs.Float32Var(&c.NodeEvictionRate, "node-eviction-rate", 0.1, "nodes per second whose pods are evicted while their zone is healthy")
	fs.Float32Var(&c.SecondaryEvictionRate, "secondary-node-eviction-rate", 0.01, "nodes per second whose pods are evicted while their zone is not")
	fs.Int32Var(&c.LargeClusterThreshold, "large-cluster-size-threshold", 50, "in unhealthy zones of up to this many nodes nothing is evicted")
	fs.Float32Var(&c.UnhealthyZoneThreshold, "unhealthy-zone-threshold", 0.55, "a zone is unhealthy when this part of its nodes, and at least three, are not ready")
}

func (c *Config) addSigningFlags(fs *pflag.FlagSet) {
	pair := func(p *Pair, flag, what string) {
		fs.StringVar(&p.Cert, "cluster-signing-"+flag+"cert-file", "", "certificate authority for "+what)
		fs.StringVar(&p.Key, "cluster-signing-"+flag+"key-file", "", "its key")
	}
	pair(&c.Signing.Default, "", "all signers")
	pair(&c.Signing.KubeletServing, "kubelet-serving-", "kubernetes.io/kubelet-serving")
	pair(&c.Signing.KubeletClient, "kubelet-client-", "kubernetes.io/kube-apiserver-client-kubelet")
	pair(&c.Signing.APIServerClient, "kube-apiserver-client-", "kubernetes.io/kube-apiserver-client")
	pair(&c.Signing.LegacyUnknown, "legacy-unknown-", "kubernetes.io/legacy-unknown")
	fs.DurationVar(&c.Signing.Duration, "cluster-signing-duration", 8760*time.Hour, "signed certificates are valid for at most this long")
}

// rootCA is the certificate authority, in PEM, with which pods trust the apiserver; empty where nobody names any.
func (c *Config) rootCA() ([]byte, error) {
	if c.RootCAFile != "" {
		pem, err := os.ReadFile(c.RootCAFile)
		if err == nil {
			_, err = certutil.ParseCertsPEM(pem)
		}
		if err != nil {
			return nil, fmt.Errorf("reading --root-ca-file %s: %w", c.RootCAFile, err)
		}
		return pem, nil
	}
	if len(c.Server.CAData) > 0 || c.Server.CAFile == "" {
		return c.Server.CAData, nil
	}
	pem, err := os.ReadFile(c.Server.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig's certificate authority: %w", err)
	}
	return pem, nil
}

func (c *Config) workers(flag string) int { return int(*c.Concurrent[flag]) }
