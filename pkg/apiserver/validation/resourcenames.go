package validation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// isCounted says that a resource is a kind whose objects can be counted by a short name; they come only whole.
func isCounted(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourcePods, corev1.ResourceQuotas, corev1.ResourceServices, corev1.ResourceReplicationControllers,
		corev1.ResourceSecrets, corev1.ResourceConfigMaps, corev1.ResourcePersistentVolumeClaims,
		corev1.ResourceServicesNodePorts, corev1.ResourceServicesLoadBalancers:
		return true
	}
	return false
}

// IsQuotaResource says whether a quota can hold a resource of this short name.
func IsQuotaResource(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage,
		corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory,
		corev1.ResourceRequestsStorage, corev1.ResourceRequestsEphemeralStorage,
		corev1.ResourceLimitsCPU, corev1.ResourceLimitsMemory, corev1.ResourceLimitsEphemeralStorage:
		return true
	}
	return isCounted(name) || isHugePages(name) || strings.HasPrefix(string(name), corev1.ResourceRequestsHugePagesPrefix)
}

// ResourceName refuses names without a domain that are not the names of a resource.
func ResourceName(path *field.Path, name corev1.ResourceName) field.ErrorList {
	faults := qualified(path, string(name))
	if len(faults) == 0 && !strings.Contains(string(name), "/") && name != corev1.ResourceStorage && !IsQuotaResource(name) {
		faults = append(faults, field.Invalid(path, string(name), "must be a standard resource type or fully qualified"))
	}
	return faults
}

// QuotaResourceName refuses names of resources that a quota cannot limit.
func QuotaResourceName(path *field.Path, name corev1.ResourceName) field.ErrorList {
	faults := ResourceName(path, name)
	if !strings.Contains(string(name), "/") && !IsQuotaResource(name) {
		faults = append(faults, field.Invalid(path, string(name), "must be a standard resource for quota"))
	}
	return faults
}

// CanOvercommit says whether containers may be promised more of a resource than there is.
func CanOvercommit(name corev1.ResourceName) bool { return canOvercommit(name) }

// IsNativeResource says whether a resource is one of Kubernetes' own.
func IsNativeResource(name corev1.ResourceName) bool { return isNative(name) }
