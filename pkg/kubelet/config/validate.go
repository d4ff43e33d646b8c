package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

// Validate tells everything that is wrong with the configuration.
func (c *Config) Validate() error {
	k := &c.Kubelet
	var all []error
	all = append(all, validateServing(k)...)
	if _, _, err := c.TLS(); err != nil {
		all = append(all, err)
	}
	all = append(all, validateRanges(k)...)
	all = append(all, validateResources(k)...)
	all = append(all, validateEviction(k)...)
	all = append(all, c.validateNode()...)
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("the kubelet's configuration is not usable: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

func invalid(field string, value any, must string) error {
	return fmt.Errorf("invalid configuration: %s %v %s", field, value, must)
}

func validateServing(k *kubeletv1beta1.KubeletConfiguration) []error {
	var all []error
	port := func(field string, value int32, least int32) {
		if value < least || value > 65535 {
			all = append(all, invalid(field, value, fmt.Sprintf("must be between %d and 65535, inclusive", least)))
		}
	}
	port("port (--port)", k.Port, 1)
	port("readOnlyPort (--read-only-port)", k.ReadOnlyPort, 0)
	port("healthzPort (--healthz-port)", *k.HealthzPort, 0)
	for field, address := range map[string]string{"address (--address)": k.Address, "healthzBindAddress (--healthz-bind-address)": k.HealthzBindAddress} {
		if net.ParseIP(address) == nil {
			all = append(all, invalid(field, strconv.Quote(address), "must be an IP address"))
		}
	}
	if (k.TLSCertFile == "") != (k.TLSPrivateKeyFile == "") {
		all = append(all, errors.New("invalid configuration: tlsCertFile (--tls-cert-file) and tlsPrivateKeyFile (--tls-private-key-file) must be given together"))
	}
	switch k.Authorization.Mode {
	case kubeletv1beta1.KubeletAuthorizationModeAlwaysAllow, kubeletv1beta1.KubeletAuthorizationModeWebhook:
	default:
		all = append(all, invalid("authorization.mode (--authorization-mode)", strconv.Quote(string(k.Authorization.Mode)), "must be AlwaysAllow or Webhook"))
	}
	return all
}

func validateRanges(k *kubeletv1beta1.KubeletConfiguration) []error {
	var all []error
	check := func(ok bool, field string, value any, must string) {
		if !ok {
			all = append(all, invalid(field, value, must))
		}
	}
	high, low := *k.ImageGCHighThresholdPercent, *k.ImageGCLowThresholdPercent
	check(high >= 0 && high <= 100, "imageGCHighThresholdPercent (--image-gc-high-threshold)", high, "must be between 0 and 100, inclusive")
	check(low >= 0 && low <= 100, "imageGCLowThresholdPercent (--image-gc-low-threshold)", low, "must be between 0 and 100, inclusive")
	check(low < high, "imageGCLowThresholdPercent (--image-gc-low-threshold)", low, fmt.Sprintf("must be less than imageGCHighThresholdPercent (--image-gc-high-threshold) %d", high))
	check(k.MaxPods >= 0, "maxPods (--max-pods)", k.MaxPods, "must not be a negative number")
	check(k.PodsPerCore >= 0, "podsPerCore (--pods-per-core)", k.PodsPerCore, "must not be a negative number")
	check(k.MaxOpenFiles >= 0, "maxOpenFiles (--max-open-files)", k.MaxOpenFiles, "must not be a negative number")
	check(*k.OOMScoreAdj >= -1000 && *k.OOMScoreAdj <= 1000, "oomScoreAdj (--oom-score-adj)", *k.OOMScoreAdj, "must be between -1000 and 1000, inclusive")
	check(k.NodeLeaseDurationSeconds > 0, "nodeLeaseDurationSeconds", k.NodeLeaseDurationSeconds, "must be greater than 0")
	check(*k.NodeStatusMaxImages >= -1, "nodeStatusMaxImages (--node-status-max-images)", *k.NodeStatusMaxImages, "must be -1 or greater")
	check(*k.EventRecordQPS >= 0, "eventRecordQPS (--event-qps)", *k.EventRecordQPS, "must not be a negative number")
	check(k.EventBurst >= 0, "eventBurst (--event-burst)", k.EventBurst, "must not be a negative number")
	check(*k.RegistryPullQPS >= 0, "registryPullQPS (--registry-qps)", *k.RegistryPullQPS, "must not be a negative number")
	check(k.RegistryBurst >= 0, "registryBurst (--registry-burst)", k.RegistryBurst, "must not be a negative number")
	check(*k.ContainerLogMaxFiles >= 2, "containerLogMaxFiles (--container-log-max-files)", *k.ContainerLogMaxFiles, "must be greater than 1")
	size, err := resource.ParseQuantity(k.ContainerLogMaxSize)
	check(err == nil && size.Sign() > 0, "containerLogMaxSize (--container-log-max-size)", strconv.Quote(k.ContainerLogMaxSize), "must be a quantity greater than 0, as 10Mi")
	if k.MaxParallelImagePulls != nil {
		check(*k.MaxParallelImagePulls > 0, "maxParallelImagePulls", *k.MaxParallelImagePulls, "must be a positive number")
		check(*k.MaxParallelImagePulls == 1 || !*k.SerializeImagePulls, "maxParallelImagePulls", *k.MaxParallelImagePulls, "cannot be larger than 1 unless serializeImagePulls (--serialize-image-pulls) is false")
	}
	if b := k.CrashLoopBackOff.MaxContainerRestartPeriod; b != nil {
		check(b.Duration >= time.Second && b.Duration <= 300*time.Second, "crashLoopBackOff.maxContainerRestartPeriod", b.Duration, "must be between 1s and 300s, inclusive")
	}
	check(filepathAbs(k.PodLogsDir), "podLogsDir", strconv.Quote(k.PodLogsDir), "must be an absolute path")
	check(k.ShutdownGracePeriodCriticalPods.Duration <= k.ShutdownGracePeriod.Duration, "shutdownGracePeriodCriticalPods", k.ShutdownGracePeriodCriticalPods.Duration, "must be at most shutdownGracePeriod")
	return all
}

func filepathAbs(p string) bool { return strings.HasPrefix(p, "/") }

func validateResources(k *kubeletv1beta1.KubeletConfiguration) []error {
	var all []error
	if k.CgroupDriver != "cgroupfs" && k.CgroupDriver != "systemd" {
		all = append(all, invalid("cgroupDriver (--cgroup-driver)", strconv.Quote(k.CgroupDriver), "must be cgroupfs or systemd"))
	}
	period := k.CPUCFSQuotaPeriod.Duration
	if period < time.Millisecond || period > time.Second {
		all = append(all, invalid("cpuCFSQuotaPeriod (--cpu-cfs-quota-period)", period, "must be between 1ms and 1s, inclusive"))
	}
	for field, reserve := range map[string]map[string]string{"systemReserved (--system-reserved)": k.SystemReserved, "kubeReserved (--kube-reserved)": k.KubeReserved} {
		for name, value := range reserve {
			switch name {
			case "cpu", "memory", "ephemeral-storage", "pid":
			default:
				all = append(all, invalid(field, strconv.Quote(name), "must be cpu, memory, ephemeral-storage or pid"))
			}
			if q, err := resource.ParseQuantity(value); err != nil || q.Sign() < 0 {
				all = append(all, invalid(field, name+"="+value, "must be a quantity that is not negative"))
			}
		}
	}
	if slices.Contains(k.EnforceNodeAllocatable, "none") && len(k.EnforceNodeAllocatable) > 1 {
		all = append(all, invalid("enforceNodeAllocatable (--enforce-node-allocatable)", k.EnforceNodeAllocatable, "must name nothing else beside none"))
	}
	for _, what := range k.EnforceNodeAllocatable {
		switch what {
		case "none", "":
		case "pods":
			if !*k.CgroupsPerQOS {
				all = append(all, errors.New("invalid configuration: enforceNodeAllocatable (--enforce-node-allocatable) pods needs cgroupsPerQOS (--cgroups-per-qos); set enforceNodeAllocatable to [none]"))
			}
		case "system-reserved", "system-reserved-compressible":
			if k.SystemReservedCgroup == "" {
				all = append(all, invalid("systemReservedCgroup (--system-reserved-cgroup)", `""`, "must be given when "+what+" is enforced"))
			}
		case "kube-reserved", "kube-reserved-compressible":
			if k.KubeReservedCgroup == "" {
				all = append(all, invalid("kubeReservedCgroup (--kube-reserved-cgroup)", `""`, "must be given when "+what+" is enforced"))
			}
		default:
			all = append(all, invalid("enforceNodeAllocatable (--enforce-node-allocatable)", strconv.Quote(what), "must be none, pods, system-reserved or kube-reserved"))
		}
	}
	return all
}

// Signals of eviction, as they are written in thresholds.
var signals = []string{"memory.available", "nodefs.available", "nodefs.inodesFree", "imagefs.available", "imagefs.inodesFree",
	"containerfs.available", "containerfs.inodesFree", "allocatableMemory.available", "pid.available"}

func validateEviction(k *kubeletv1beta1.KubeletConfiguration) []error {
	var all []error
	for field, thresholds := range map[string]map[string]string{"evictionHard (--eviction-hard)": k.EvictionHard, "evictionSoft (--eviction-soft)": k.EvictionSoft} {
		for signal, value := range thresholds {
			if !slices.Contains(signals, signal) {
				all = append(all, invalid(field, strconv.Quote(signal), "is not a signal; known are "+strings.Join(signals, ", ")))
			}
			if percent, ok := strings.CutSuffix(value, "%"); ok {
				if f, err := strconv.ParseFloat(percent, 64); err != nil || f < 0 || f > 100 {
					all = append(all, invalid(field, signal+"<"+value, "must be between 0% and 100%"))
				}
			} else if q, err := resource.ParseQuantity(value); err != nil || q.Sign() < 0 {
				all = append(all, invalid(field, signal+"<"+value, "must be a quantity that is not negative, or a percentage"))
			}
		}
	}
	for signal := range k.EvictionSoft {
		if _, err := time.ParseDuration(k.EvictionSoftGracePeriod[signal]); err != nil {
			all = append(all, invalid("evictionSoftGracePeriod (--eviction-soft-grace-period)", strconv.Quote(k.EvictionSoftGracePeriod[signal]), "must be a duration for the soft threshold of "+signal))
		}
	}
	return all
}

func (c *Config) validateNode() []error {
	var all []error
	for key, value := range c.NodeLabels {
		wrong := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...)
		if len(wrong) > 0 {
			all = append(all, fmt.Errorf("--node-labels: %s=%s: %s", key, value, strings.Join(wrong, "; ")))
		} else if !labelAllowed(key) {
			all = append(all, fmt.Errorf("--node-labels: %s: a node may set, of the namespaces kubernetes.io and k8s.io, only kubelet.kubernetes.io/, node.kubernetes.io/ and the well-known labels", key))
		}
	}
	if c.CloudProvider != "" && c.CloudProvider != "external" {
		all = append(all, fmt.Errorf("--cloud-provider is %q: use external, or leave it out", c.CloudProvider))
	}
	families := map[bool]int{}
	for s := range strings.SplitSeq(c.NodeIP, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		ip := net.ParseIP(s)
		if ip == nil {
			all = append(all, fmt.Errorf("--node-ip: %q is not an IP address", s))
			continue
		}
		families[ip.To4() != nil]++
	}
	if families[true] > 1 || families[false] > 1 {
		all = append(all, fmt.Errorf("--node-ip %s: two addresses must be of different families", c.NodeIP))
	}
	if c.BootstrapKubeconfig != "" && c.Kubeconfig == "" {
		all = append(all, errors.New("--bootstrap-kubeconfig needs --kubeconfig, the file that is written once the certificate is there"))
	}
	return all
}

// The labels under kubernetes.io and k8s.io that a kubelet may give its own node.
var ownLabels = []string{"kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/os",
	"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", "topology.kubernetes.io/region", "topology.kubernetes.io/zone",
	"failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"}

func labelAllowed(key string) bool {
	namespace, _, ok := strings.Cut(key, "/")
	in := func(domain string) bool { return namespace == domain || strings.HasSuffix(namespace, "."+domain) }
	if !ok || !in("kubernetes.io") && !in("k8s.io") {
		return true
	}
	return in("kubelet.kubernetes.io") || in("node.kubernetes.io") || slices.Contains(ownLabels, key)
}
