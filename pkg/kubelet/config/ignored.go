package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/spf13/pflag"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

const (
	noCadvisor  = "usage comes from the container runtime and cgroups, not from cAdvisor"
	noManagers  = "cpus, memory and devices are not pinned to containers"
	noIPTables  = "the kubelet makes no iptables rules"
	ofTheKernel = "it is left to the system's administrator"
	noLock      = "a second kubelet finds the port taken"
	noDeadLimit = "ended containers are kept by --maximum-dead-containers-per-container alone"
	ofLogging   = "the log is written as it comes, to standard error"
)

// withoutEffect says of the flags that are accepted for the sake of old command lines why they do nothing.
var withoutEffect = map[string]string{
	"application-metrics-count-limit": noCadvisor, "container-hints": noCadvisor, "containerd": noCadvisor,
	"containerd-namespace": noCadvisor, "enable-load-reader": noCadvisor, "event-storage-age-limit": noCadvisor,
	"event-storage-event-limit": noCadvisor, "global-housekeeping-interval": noCadvisor, "housekeeping-interval": noCadvisor,
	"log-cadvisor-usage": noCadvisor, "max-housekeeping-interval": noCadvisor, "storage-driver-buffer-duration": noCadvisor,
	"storage-driver-db": noCadvisor, "storage-driver-host": noCadvisor, "storage-driver-password": noCadvisor,
	"storage-driver-secure": noCadvisor, "storage-driver-table": noCadvisor, "storage-driver-user": noCadvisor,
	"cpu-manager-policy": noManagers, "cpu-manager-policy-options": noManagers, "cpu-manager-reconcile-period": noManagers,
	"memory-manager-policy": noManagers, "topology-manager-policy": noManagers, "topology-manager-policy-options": noManagers,
	"topology-manager-scope": noManagers, "reserved-memory": noManagers, "qos-reserved": noManagers,
	"make-iptables-util-chains": noIPTables, "hairpin-mode": "the network belongs to CNI plugins",
	"kernel-memcg-notification": "memory is watched in other ways", "protect-kernel-defaults": ofTheKernel,
	"kubelet-cgroups": ofTheKernel, "runtime-cgroups": ofTheKernel, "system-cgroups": ofTheKernel,
	"experimental-mounter-path": "mounts are made by the kubelet itself", "runonce": "the kubelet always runs on",
	"volume-plugin-dir": "volume plugins are CSI drivers", "volume-stats-agg-period": "volumes are measured when asked for",
	"log-flush-frequency": ofLogging, "log-json-info-buffer-size": ofLogging, "log-json-split-stream": ofLogging,
	"log-text-info-buffer-size": ofLogging, "log-text-split-stream": ofLogging, "vmodule": ofLogging,
	"lock-file": noLock, "exit-on-lock-contention": noLock,
	"image-credential-provider-config": noProviders, "image-credential-provider-bin-dir": noProviders,
	"minimum-container-ttl-duration": noDeadLimit, "maximum-dead-containers": noDeadLimit,
	"pod-infra-container-image": "the sandbox's image is the container runtime's affair",
}

// switchesWithoutEffect are those of withoutEffect that need no value.
var switchesWithoutEffect = map[string]bool{
	"enable-load-reader": true, "log-cadvisor-usage": true, "storage-driver-secure": true, "make-iptables-util-chains": true,
	"kernel-memcg-notification": true, "protect-kernel-defaults": true, "runonce": true, "exit-on-lock-contention": true,
	"log-json-split-stream": true, "log-text-split-stream": true,
}

func bindWithoutEffect(fs *pflag.FlagSet) {
	for name, why := range withoutEffect {
		if fs.Lookup(name) != nil {
			continue
		}
		f := &pflag.Flag{Name: name, Usage: "accepted without effect: " + why, Value: new(anything)}
		if switchesWithoutEffect[name] {
			f.NoOptDefVal = "true"
		}
		fs.AddFlag(f)
		_ = fs.MarkHidden(name)
	}
}

// anything is a flag's value that nobody reads.
type anything string

func (a *anything) String() string     { return string(*a) }
func (a *anything) Type() string       { return "string" }
func (a *anything) Set(s string) error { *a = anything(s); return nil }

const (
	noEviction  = "pods are not evicted for want of the node's resources"
	noImageGC   = "images are not removed by the kubelet"
	noShutdown  = "pods end with the machine: the kubelet does not hold its shutdown up"
	noLimit     = "nothing here is slowed down by a rate of its own; the server's limits hold"
	noPolling   = "what happens is told, and not looked for"
	noProviders = "credentials for images come from pull secrets and the node's files"
)

// fieldsWithoutEffect says of the fields of a file that nothing reads, by their names there, why it does not.
var fieldsWithoutEffect = map[string]string{
	"cpuManagerPolicy": noManagers, "cpuManagerPolicyOptions": noManagers, "memoryManagerPolicy": noManagers,
	"cpuManagerReconcilePeriod": noManagers,
	"topologyManagerPolicy":     noManagers, "topologyManagerPolicyOptions": noManagers, "topologyManagerScope": noManagers,
	"reservedMemory": noManagers, "qosReserved": noManagers,
	"evictionSoft": noEviction, "evictionSoftGracePeriod": noEviction, "evictionMinimumReclaim": noEviction,
	"evictionPressureTransitionPeriod": noEviction, "evictionMaxPodGracePeriod": noEviction, "localStorageCapacityIsolation": noEviction,
	"imageMinimumGCAge": noImageGC, "imageMaximumGCAge": noImageGC,
	"imageGCHighThresholdPercent": noImageGC, "imageGCLowThresholdPercent": noImageGC,
	"shutdownGracePeriod": noShutdown, "shutdownGracePeriodCriticalPods": noShutdown, "shutdownGracePeriodByPodPriority": noShutdown,
	"registryPullQPS": noLimit, "registryBurst": noLimit, "eventRecordQPS": noLimit, "eventBurst": noLimit,
	"kubeAPIQPS": noLimit, "kubeAPIBurst": noLimit, "containerLogMaxWorkers": noLimit,
	"syncFrequency": noPolling, "configMapAndSecretChangeDetectionStrategy": noPolling,
	"volumeStatsAggPeriod":                   "volumes are measured when asked for",
	"imagePullCredentialsVerificationPolicy": noProviders, "preloadedImagesVerificationAllowlist": noProviders,
	"readOnlyPort": "everything is served on the port that asks who is there", "podCIDR": "the network belongs to CNI plugins",
	"hairpinMode": "the network belongs to CNI plugins", "makeIPTablesUtilChains": noIPTables,
	"iptablesMasqueradeBit": noIPTables, "iptablesDropBit": noIPTables, "volumePluginDir": "volume plugins are CSI drivers",
	"imageServiceEndpoint": "images are had from the container runtime", "featureGates": "there are no features to switch",
	"memoryThrottlingFactor":  "containers are not slowed down before their limit of memory",
	"kernelMemcgNotification": "memory is watched in other ways", "protectKernelDefaults": ofTheKernel,
	"kubeletCgroups": ofTheKernel, "systemCgroups": ofTheKernel, "runOnce": "the kubelet always runs on",
	"systemReservedCgroup": noEnforcement, "kubeReservedCgroup": noEnforcement, "tracing": "the kubelet emits no traces",
	"enableDebugFlagsHandler": "verbosity is set at start", "enableSystemLogQuery": "of the node's logs, files are served",
	"showHiddenMetricsForVersion": "metrics are served as they are", "tlsCurvePreferences": "curves are those that Go thinks safe",
	"memoryReservationPolicy": "containers' memory is limited, and not reserved", "userNamespaces": "pods get no user namespaces",
}

const noEnforcement = "reserves are kept from pods, and not enforced on those they are kept for"

// fieldWarnings are about fields of a file that were set to something else than their default, and that
// nothing reads: one line for each.
func fieldWarnings(c *kubeletv1beta1.KubeletConfiguration) ([]string, error) {
	defaults := &kubeletv1beta1.KubeletConfiguration{}
	setDefaults(defaults)
	set, err := fields(c)
	if err != nil {
		return nil, err
	}
	usual, err := fields(defaults)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fieldsWithoutEffect)) {
		if !reflect.DeepEqual(set[name], usual[name]) {
			all = append(all, fmt.Sprintf("%s is accepted and has no effect: %s", name, fieldsWithoutEffect[name]))
		}
	}
	if b := c.MemorySwap.SwapBehavior; b != "" && b != "NoSwap" {
		all = append(all, "memorySwap.swapBehavior is accepted and has no effect: containers get no swap")
	}
	if !reflect.DeepEqual(c.EvictionHard, defaults.EvictionHard) {
		all = append(all, "evictionHard only lowers what the node has for pods: "+noEviction)
	}
	return all, nil
}

// fields are a configuration's by their names in a file.
func fields(c *kubeletv1beta1.KubeletConfiguration) (map[string]any, error) {
	out := map[string]any{}
	b, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for fields without effect: %w", err)
	}
	return out, nil
}
