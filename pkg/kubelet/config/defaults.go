package config

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

func missing[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func zero[T comparable](field *T, value T) {
	var none T
	if *field == none {
		*field = value
	}
}

func duration(field *metav1.Duration, value time.Duration) { zero(&field.Duration, value) }

// setDefaults fills in what was left out, with upstream's values. One differs: cgroup v1 is supported
// here, so that failCgroupV1 is off unless asked for.
func setDefaults(c *kubeletv1beta1.KubeletConfiguration) {
	c.Kind, c.APIVersion = "KubeletConfiguration", kubeletv1beta1.SchemeGroupVersion.String()
	defaultServing(c)
	defaultNode(c)
	defaultImages(c)
	defaultResources(c)
	missing(&c.EventRecordQPS, 50)
	zero(&c.EventBurst, 100)
	zero(&c.ContentType, "application/vnd.kubernetes.protobuf")
	missing(&c.KubeAPIQPS, 50)
	zero(&c.KubeAPIBurst, 100)
	duration(&c.SyncFrequency, time.Minute)
	duration(&c.FileCheckFrequency, 20*time.Second)
	duration(&c.HTTPCheckFrequency, 20*time.Second)
	duration(&c.VolumeStatsAggPeriod, time.Minute)
	zero(&c.PodLogsDir, "/var/log/pods")
	zero(&c.ContainerLogMaxSize, "10Mi")
	missing(&c.ContainerLogMaxFiles, 5)
	missing(&c.ContainerLogMaxWorkers, 1)
	missing(&c.ContainerLogMonitorInterval, metav1.Duration{Duration: 10 * time.Second})
	zero(&c.ConfigMapAndSecretChangeDetectionStrategy, kubeletv1beta1.WatchChangeDetectionStrategy)
	zero(&c.VolumePluginDir, "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/")
	zero(&c.Logging.Format, "text")
	missing(&c.SeccompDefault, false)
	zero(&c.HairpinMode, kubeletv1beta1.PromiscuousBridge)
	missing(&c.MakeIPTablesUtilChains, true)
	missing(&c.IPTablesMasqueradeBit, 14)
	missing(&c.IPTablesDropBit, 15)
}

func defaultServing(c *kubeletv1beta1.KubeletConfiguration) {
	missing(&c.EnableServer, true)
	zero(&c.Address, "0.0.0.0")
	zero(&c.Port, 10250)
	missing(&c.Authentication.Anonymous.Enabled, false)
	missing(&c.Authentication.Webhook.Enabled, true)
	duration(&c.Authentication.Webhook.CacheTTL, 2*time.Minute)
	zero(&c.Authorization.Mode, kubeletv1beta1.KubeletAuthorizationModeWebhook)
	duration(&c.Authorization.Webhook.CacheAuthorizedTTL, 5*time.Minute)
	duration(&c.Authorization.Webhook.CacheUnauthorizedTTL, 30*time.Second)
	missing(&c.EnableDebuggingHandlers, true)
	missing(&c.EnableSystemLogHandler, true)
	missing(&c.EnableSystemLogQuery, false)
	missing(&c.EnableProfilingHandler, true)
	missing(&c.EnableDebugFlagsHandler, true)
	missing(&c.HealthzPort, 10248)
	zero(&c.HealthzBindAddress, "127.0.0.1")
	duration(&c.StreamingConnectionIdleTimeout, 4*time.Hour)
}

func defaultNode(c *kubeletv1beta1.KubeletConfiguration) {
	missing(&c.RegisterNode, true)
	if c.NodeStatusReportFrequency.Duration == 0 {
		// One that was set alone sets the other too.
		c.NodeStatusReportFrequency = c.NodeStatusUpdateFrequency
	}
	duration(&c.NodeStatusReportFrequency, 5*time.Minute)
	duration(&c.NodeStatusUpdateFrequency, 10*time.Second)
	zero(&c.NodeLeaseDurationSeconds, 40)
	missing(&c.NodeStatusMaxImages, 50)
	missing(&c.EnableControllerAttachDetach, true)
	missing(&c.ResolverConfig, "/etc/resolv.conf")
	zero(&c.MaxPods, 110)
	zero(&c.MaxOpenFiles, 1_000_000)
	missing(&c.OOMScoreAdj, -999)
	missing(&c.FailSwapOn, true)
}

func defaultImages(c *kubeletv1beta1.KubeletConfiguration) {
	zero(&c.ContainerRuntimeEndpoint, "unix:///run/containerd/containerd.sock")
	duration(&c.RuntimeRequestTimeout, 2*time.Minute)
	missing(&c.RegistryPullQPS, 5)
	zero(&c.RegistryBurst, 10)
	missing(&c.SerializeImagePulls, c.MaxParallelImagePulls == nil || *c.MaxParallelImagePulls == 1)
	duration(&c.ImageMinimumGCAge, 2*time.Minute)
	missing(&c.ImageGCHighThresholdPercent, 85)
	missing(&c.ImageGCLowThresholdPercent, 80)
}

func defaultResources(c *kubeletv1beta1.KubeletConfiguration) {
	missing(&c.CgroupsPerQOS, true)
	zero(&c.CgroupDriver, "cgroupfs")
	missing(&c.SingleProcessOOMKill, false)
	zero(&c.CPUManagerPolicy, "none")
	duration(&c.CPUManagerReconcilePeriod, 10*time.Second)
	zero(&c.MemoryManagerPolicy, kubeletv1beta1.NoneMemoryManagerPolicy)
	zero(&c.TopologyManagerPolicy, kubeletv1beta1.NoneTopologyManagerPolicy)
	zero(&c.TopologyManagerScope, kubeletv1beta1.ContainerTopologyManagerScope)
	missing(&c.PodPidsLimit, -1)
	missing(&c.CPUCFSQuota, true)
	missing(&c.CPUCFSQuotaPeriod, metav1.Duration{Duration: 100 * time.Millisecond})
	missing(&c.MemoryThrottlingFactor, 0.9)
	missing(&c.LocalStorageCapacityIsolation, true)
	missing(&c.FailCgroupV1, false)
	missing(&c.MergeDefaultEvictionSettings, false)
	defaultEviction(c)
	if c.EnforceNodeAllocatable == nil {
		c.EnforceNodeAllocatable = []string{"pods"}
	}
}

func defaultEviction(c *kubeletv1beta1.KubeletConfiguration) {
	duration(&c.EvictionPressureTransitionPeriod, 5*time.Minute)
	if c.EvictionHard != nil && !*c.MergeDefaultEvictionSettings {
		return
	}
	hard := map[string]string{
		"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%",
		"imagefs.available": "15%", "imagefs.inodesFree": "5%",
	}
	maps.Copy(hard, c.EvictionHard)
	c.EvictionHard = hard
}
