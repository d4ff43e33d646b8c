package config

import (
	"fmt"

	"github.com/spf13/pflag"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

const (
	noCadvisor  = "usage comes from the container runtime and cgroups, not from cAdvisor"
	noManagers  = "cpus, memory and devices are not pinned to containers"
	noIPTables  = "the kubelet makes no iptables rules"
	ofTheKernel = "it is left to the system's administrator"
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
	"pod-infra-container-image": "the sandbox's image is the container runtime's affair",
}

// switchesWithoutEffect are those of withoutEffect that need no value.
var switchesWithoutEffect = map[string]bool{
	"enable-load-reader": true, "log-cadvisor-usage": true, "storage-driver-secure": true, "make-iptables-util-chains": true,
	"kernel-memcg-notification": true, "protect-kernel-defaults": true, "runonce": true,
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

// fieldWarnings are about fields of a file that were set to something that is not done here.
func fieldWarnings(c *kubeletv1beta1.KubeletConfiguration) []string {
	var all []string
	warn := func(set bool, field, why string) {
		if set {
			all = append(all, fmt.Sprintf("%s is accepted and has no effect: %s", field, why))
		}
	}
	warn(c.CPUManagerPolicy != "none", "cpuManagerPolicy", noManagers)
	warn(c.MemoryManagerPolicy != kubeletv1beta1.NoneMemoryManagerPolicy, "memoryManagerPolicy", noManagers)
	warn(c.TopologyManagerPolicy != kubeletv1beta1.NoneTopologyManagerPolicy, "topologyManagerPolicy", noManagers)
	warn(len(c.ReservedMemory) > 0, "reservedMemory", noManagers)
	warn(len(c.QOSReserved) > 0, "qosReserved", noManagers)
	warn(c.KernelMemcgNotification, "kernelMemcgNotification", "memory is watched in other ways")
	warn(c.ProtectKernelDefaults, "protectKernelDefaults", ofTheKernel)
	warn(c.KubeletCgroups != "", "kubeletCgroups", ofTheKernel)
	warn(c.SystemCgroups != "", "systemCgroups", ofTheKernel)
	warn(c.RunOnce, "runOnce", "the kubelet always runs on")
	warn(c.SystemReservedCgroup != "" || c.KubeReservedCgroup != "", "systemReservedCgroup or kubeReservedCgroup", "reserves are kept from pods, and not enforced on those they are kept for")
	warn(c.MemorySwap.SwapBehavior != "" && c.MemorySwap.SwapBehavior != "NoSwap", "memorySwap.swapBehavior", "containers get no swap")
	warn(c.Tracing != nil, "tracing", "the kubelet emits no traces")
	return all
}
