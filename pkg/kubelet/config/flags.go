package config

import (
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bind registers every flag with the field of c that it sets.
func (c *Config) bind(fs *pflag.FlagSet) {
	c.bindFiles(fs)
	c.bindNode(fs)
	c.bindServing(fs)
	c.bindRuntime(fs)
	c.bindResources(fs)
	c.bindEviction(fs)
	c.Logging.AddFlags(fs)
	bindWithoutEffect(fs)
}

func (c *Config) bindFiles(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.StringVar(&c.ConfigFile, "config", c.ConfigFile, "file of kind KubeletConfiguration; flags override it")
	fs.StringVar(&c.ConfigDir, "config-dir", c.ConfigDir, "directory of drop-ins named *.conf, merged into --config in lexical order")
	fs.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig, "how to reach the apiserver; without it only static pods run")
	fs.StringVar(&c.BootstrapKubeconfig, "bootstrap-kubeconfig", c.BootstrapKubeconfig, "used to ask for a client certificate where --kubeconfig does not exist yet")
	fs.StringVar(&c.CertDir, "cert-dir", c.CertDir, "directory of the kubelet's certificates")
	fs.StringVar(&c.RootDir, "root-dir", c.RootDir, "directory of the kubelet's state: volumes of pods among it")
	fs.StringVar(&c.ContainerLogsDir, "container-logs-dir", c.ContainerLogsDir, "directory of links to the containers' logs")
	fs.StringVar(&k.PodLogsDir, "pod-logs-dir", k.PodLogsDir, "directory of the pods' logs")
	fs.StringVar(&k.StaticPodPath, "pod-manifest-path", k.StaticPodPath, "file, or directory of files, with static pods")
	fs.StringVar(&k.StaticPodURL, "manifest-url", k.StaticPodURL, "URL of static pods")
	fs.Var(&headers{&k.StaticPodURLHeader}, "manifest-url-header", "headers, NAME:VALUE, of requests to --manifest-url")
	durationVar(fs, &k.HTTPCheckFrequency, "http-check-frequency", "pause between requests to --manifest-url")
	durationVar(fs, &k.FileCheckFrequency, "file-check-frequency", "changes of static pods are seen at once; where the system cannot tell them, after this long")
	durationVar(fs, &k.SyncFrequency, "sync-frequency", "the longest time between two looks at an unchanged pod")
	fs.Var(&switches{&k.FeatureGates}, "feature-gates", "features, NAME=true|false; unknown ones are ignored")
}

func (c *Config) bindNode(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.StringVar(&c.HostnameOverride, "hostname-override", c.HostnameOverride, "name of the node; by default the machine's name")
	fs.StringVar(&c.NodeIP, "node-ip", c.NodeIP, "address of the node, or two of different families; by default found out")
	fs.Var(&pairs{target: &c.NodeLabels, sep: "="}, "node-labels", "labels that the node registers with")
	fs.StringVar(&c.CloudProvider, "cloud-provider", c.CloudProvider, `"external" where a cloud controller initializes nodes, else empty`)
	fs.StringVar(&k.ProviderID, "provider-id", k.ProviderID, "the cloud's name of the node")
	fs.BoolVar(k.RegisterNode, "register-node", *k.RegisterNode, "create the Node object")
	fs.Var(&taints{&k.RegisterWithTaints}, "register-with-taints", "taints, KEY=VALUE:EFFECT, that the node registers with")
	durationVar(fs, &k.NodeStatusUpdateFrequency, "node-status-update-frequency", "how often the node's status is computed")
	fs.Int32Var(k.NodeStatusMaxImages, "node-status-max-images", *k.NodeStatusMaxImages, "images listed in the node's status; -1 for all")
	fs.Int32Var(&k.MaxPods, "max-pods", k.MaxPods, "pods that the node takes")
	fs.Int32Var(&k.PodsPerCore, "pods-per-core", k.PodsPerCore, "pods that the node takes for each core; 0 for no limit")
	fs.StringVar(&k.PodCIDR, "pod-cidr", k.PodCIDR, "addresses of pods of a kubelet without an apiserver")
	fs.StringSliceVar(&k.ClusterDNS, "cluster-dns", k.ClusterDNS, "addresses of the cluster's DNS")
	fs.StringVar(&k.ClusterDomain, "cluster-domain", k.ClusterDomain, "the cluster's domain")
	fs.StringVar(k.ResolverConfig, "resolv-conf", *k.ResolverConfig, "resolver configuration that pods' own is based on")
	fs.BoolVar(k.EnableControllerAttachDetach, "enable-controller-attach-detach", *k.EnableControllerAttachDetach, "let the controller attach volumes")
	fs.StringVar(&c.MachineIDFiles, "machine-id-file", c.MachineIDFiles, "files of the machine's id; the first that exists is read")
	fs.StringVar(&c.BootIDFiles, "boot-id-file", c.BootIDFiles, "files of the boot's id; the first that exists is read")
	fs.Int32Var(&k.KubeAPIBurst, "kube-api-burst", k.KubeAPIBurst, "requests to the apiserver at once")
	fs.Int32Var(k.KubeAPIQPS, "kube-api-qps", *k.KubeAPIQPS, "requests to the apiserver a second")
	fs.StringVar(&k.ContentType, "kube-api-content-type", k.ContentType, "encoding of requests to the apiserver")
	fs.Int32Var(&k.EventBurst, "event-burst", k.EventBurst, "events at once")
	fs.Int32Var(k.EventRecordQPS, "event-qps", *k.EventRecordQPS, "events a second; 0 for no limit")
}

func (c *Config) bindServing(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.BoolVar(k.EnableServer, "enable-server", *k.EnableServer, "serve the kubelet's API")
	fs.StringVar(&k.Address, "address", k.Address, "address to serve on")
	fs.Int32Var(&k.Port, "port", k.Port, "port to serve on")
	fs.Int32Var(&k.ReadOnlyPort, "read-only-port", k.ReadOnlyPort, "port without authentication; 0 for none")
	fs.StringVar(&k.HealthzBindAddress, "healthz-bind-address", k.HealthzBindAddress, "address of /healthz")
	fs.Int32Var(k.HealthzPort, "healthz-port", *k.HealthzPort, "port of /healthz; 0 for none")
	fs.StringVar(&k.TLSCertFile, "tls-cert-file", k.TLSCertFile, "serving certificate; by default one is made in --cert-dir")
	fs.StringVar(&k.TLSPrivateKeyFile, "tls-private-key-file", k.TLSPrivateKeyFile, "key of --tls-cert-file")
	fs.StringSliceVar(&k.TLSCipherSuites, "tls-cipher-suites", k.TLSCipherSuites, "cipher suites of the server, by Go's names")
	fs.StringVar(&k.TLSMinVersion, "tls-min-version", k.TLSMinVersion, "VersionTLS12 or VersionTLS13")
	fs.BoolVar(&k.RotateCertificates, "rotate-certificates", k.RotateCertificates, "renew the client certificate before it runs out")
	fs.BoolVar(&k.ServerTLSBootstrap, "rotate-server-certificates", k.ServerTLSBootstrap, "ask the apiserver for the serving certificate")
	fs.StringVar(&k.Authentication.X509.ClientCAFile, "client-ca-file", k.Authentication.X509.ClientCAFile, "authorities of client certificates")
	fs.BoolVar(k.Authentication.Anonymous.Enabled, "anonymous-auth", *k.Authentication.Anonymous.Enabled, "take requests without credentials as system:anonymous")
	fs.BoolVar(k.Authentication.Webhook.Enabled, "authentication-token-webhook", *k.Authentication.Webhook.Enabled, "let the apiserver review tokens")
	durationVar(fs, &k.Authentication.Webhook.CacheTTL, "authentication-token-webhook-cache-ttl", "how long a reviewed token is remembered")
	fs.StringVar((*string)(&k.Authorization.Mode), "authorization-mode", string(k.Authorization.Mode), "AlwaysAllow or Webhook")
	durationVar(fs, &k.Authorization.Webhook.CacheAuthorizedTTL, "authorization-webhook-cache-authorized-ttl", "how long a permission is remembered")
	durationVar(fs, &k.Authorization.Webhook.CacheUnauthorizedTTL, "authorization-webhook-cache-unauthorized-ttl", "how long a refusal is remembered")
	fs.BoolVar(k.EnableDebuggingHandlers, "enable-debugging-handlers", *k.EnableDebuggingHandlers, "serve logs, exec, attach and port-forward")
	fs.BoolVar(&k.EnableContentionProfiling, "contention-profiling", k.EnableContentionProfiling, "measure what goroutines block on")
	durationVar(fs, &k.StreamingConnectionIdleTimeout, "streaming-connection-idle-timeout", "an idle stream is closed after this long; 0 for never")
}

func (c *Config) bindRuntime(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.StringVar(&k.ContainerRuntimeEndpoint, "container-runtime-endpoint", k.ContainerRuntimeEndpoint, "socket of the container runtime")
	fs.StringVar(&k.ImageServiceEndpoint, "image-service-endpoint", k.ImageServiceEndpoint, "socket of the image service; by default the runtime's")
	durationVar(fs, &k.RuntimeRequestTimeout, "runtime-request-timeout", "limit of requests to the runtime, pulls and streams aside")
	fs.Int32Var(k.RegistryPullQPS, "registry-qps", *k.RegistryPullQPS, "pulls a second; 0 for no limit")
	fs.Int32Var(&k.RegistryBurst, "registry-burst", k.RegistryBurst, "pulls at once")
	fs.BoolVar(k.SerializeImagePulls, "serialize-image-pulls", *k.SerializeImagePulls, "pull one image at a time")
	fs.Int32Var(k.ImageGCHighThresholdPercent, "image-gc-high-threshold", *k.ImageGCHighThresholdPercent, "use of the disk, in percent, that starts the removal of unused images")
	fs.Int32Var(k.ImageGCLowThresholdPercent, "image-gc-low-threshold", *k.ImageGCLowThresholdPercent, "use of the disk, in percent, that ends it")
	durationVar(fs, &k.ImageMinimumGCAge, "minimum-image-ttl-duration", "an image is not removed while it is younger")
	fs.Int32Var(&c.MaxDeadPerContainer, "maximum-dead-containers-per-container", c.MaxDeadPerContainer, "ended instances kept of each container")
	fs.StringVar(&k.ContainerLogMaxSize, "container-log-max-size", k.ContainerLogMaxSize, "size at which a container's log is rotated")
	fs.Int32Var(k.ContainerLogMaxFiles, "container-log-max-files", *k.ContainerLogMaxFiles, "files kept of a container's log")
	fs.BoolVar(k.SeccompDefault, "seccomp-default", *k.SeccompDefault, "confine by the runtime's default seccomp profile where a pod does not say")
	fs.StringSliceVar(&k.AllowedUnsafeSysctls, "allowed-unsafe-sysctls", k.AllowedUnsafeSysctls, "unsafe sysctls, or patterns ending in *, that pods may set")
}

func (c *Config) bindResources(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.StringVar(&k.CgroupDriver, "cgroup-driver", k.CgroupDriver, "cgroupfs or systemd")
	fs.StringVar(&k.CgroupRoot, "cgroup-root", k.CgroupRoot, "cgroup under which pods' cgroups are made")
	fs.BoolVar(k.CgroupsPerQOS, "cgroups-per-qos", *k.CgroupsPerQOS, "make a cgroup for each pod and class of pods")
	fs.StringSliceVar(&k.EnforceNodeAllocatable, "enforce-node-allocatable", k.EnforceNodeAllocatable, "what is held to its share: none, pods, system-reserved, kube-reserved")
	fs.BoolVar(k.CPUCFSQuota, "cpu-cfs-quota", *k.CPUCFSQuota, "enforce cpu limits")
	fs.DurationVar(&k.CPUCFSQuotaPeriod.Duration, "cpu-cfs-quota-period", k.CPUCFSQuotaPeriod.Duration, "period over which cpu limits are enforced")
	fs.Int64Var(k.PodPidsLimit, "pod-max-pids", *k.PodPidsLimit, "processes of a pod; -1 for no limit")
	fs.Int32Var(k.OOMScoreAdj, "oom-score-adj", *k.OOMScoreAdj, "the kubelet's own oom_score_adj")
	fs.Int64Var(&k.MaxOpenFiles, "max-open-files", k.MaxOpenFiles, "files that the kubelet may open")
	fs.Var(&pairs{target: &k.SystemReserved, sep: "="}, "system-reserved", "resources kept from pods for the system")
	fs.Var(&pairs{target: &k.KubeReserved, sep: "="}, "kube-reserved", "resources kept from pods for Kubernetes' daemons")
	fs.StringVar(&k.SystemReservedCgroup, "system-reserved-cgroup", k.SystemReservedCgroup, "cgroup held to --system-reserved")
	fs.StringVar(&k.KubeReservedCgroup, "kube-reserved-cgroup", k.KubeReservedCgroup, "cgroup held to --kube-reserved")
	fs.StringVar(&k.ReservedSystemCPUs, "reserved-cpus", k.ReservedSystemCPUs, "cpus kept from pods; their number replaces the cpu of the reserves")
	fs.BoolVar(k.FailSwapOn, "fail-swap-on", *k.FailSwapOn, "do not start where swap is on")
	fs.BoolVar(k.FailCgroupV1, "fail-cgroupv1", *k.FailCgroupV1, "do not start on cgroup v1")
	fs.BoolVar(k.LocalStorageCapacityIsolation, "local-storage-capacity-isolation", *k.LocalStorageCapacityIsolation, "account for ephemeral storage")
}

func (c *Config) bindEviction(fs *pflag.FlagSet) {
	k := &c.Kubelet
	fs.Var(&pairs{target: &k.EvictionHard, sep: "<"}, "eviction-hard", "thresholds, as memory.available<1Gi, that evict pods at once")
	fs.Var(&pairs{target: &k.EvictionSoft, sep: "<"}, "eviction-soft", "thresholds that evict pods after --eviction-soft-grace-period")
	fs.Var(&pairs{target: &k.EvictionSoftGracePeriod, sep: "="}, "eviction-soft-grace-period", "how long a soft threshold must be passed")
	fs.Var(&pairs{target: &k.EvictionMinimumReclaim, sep: "="}, "eviction-minimum-reclaim", "how much is won back beyond a threshold")
	fs.Int32Var(&k.EvictionMaxPodGracePeriod, "eviction-max-pod-grace-period", k.EvictionMaxPodGracePeriod, "longest grace of pods evicted by a soft threshold, in seconds")
	durationVar(fs, &k.EvictionPressureTransitionPeriod, "eviction-pressure-transition-period", "how long a condition of pressure stays")
	fs.BoolVar(&c.AllocatableIgnoresEvict, "experimental-allocatable-ignore-eviction", c.AllocatableIgnoresEvict, "do not take hard eviction thresholds off what is allocatable")
}

func durationVar(fs *pflag.FlagSet, d *metav1.Duration, name, usage string) {
	fs.DurationVar((*time.Duration)(&d.Duration), name, d.Duration, usage)
}
