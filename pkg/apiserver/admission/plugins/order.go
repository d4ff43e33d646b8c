package plugins

import "github.com/sampan-project/sampan/pkg/apiserver/admission"

// entry is a rule by upstream's name. on: it runs unless it is disabled. A rule that is on without build has nothing to
// do here, and may be named in flags as any other; one that is off without build is known by name only.
type entry struct {
	name  string
	on    bool
	build func(*Config) admission.Plugin
}

// order is upstream's, in which rules run; mutating ones first by the nature of the chain.
//
// Those that are on without build act behind feature gates that upstream has off by default, and on kinds that are
// therefore not served here: PodGroupProtection (finalizers of PodGroups), PodGroupWorkloadExists (their Workloads) and
// JobValidation (the parallelism of jobs that are scheduled as a PodGroup) behind GenericWorkload, and
// ClusterTrustBundleAttest (who vouches for a ClusterTrustBundle) behind ClusterTrustBundle.
var order = []entry{
	{"AlwaysAdmit", false, alwaysAdmit},
	{"NamespaceAutoProvision", false, namespaceAutoProvision},
	{"NamespaceLifecycle", true, namespaceLifecycle},
	{"NamespaceExists", false, namespaceExists},
	{"LimitPodHardAntiAffinityTopology", false, hardAntiAffinity},
	{"LimitRanger", true, limitRanger},
	{"ServiceAccount", true, serviceAccount},
	{"NodeRestriction", false, nodeRestriction},
	{"TaintNodesByCondition", true, taintNodesByCondition},
	{"AlwaysPullImages", false, alwaysPullImages},
	{"ImagePolicyWebhook", false, imagePolicy},
	{"PodSecurity", true, podSecurity},
	{"PodNodeSelector", false, podNodeSelector},
	{"Priority", true, priority},
	{"DefaultTolerationSeconds", true, tolerationSeconds},
	{"PodTolerationRestriction", false, podTolerations},
	{"EventRateLimit", false, eventRateLimit},
	{"ExtendedResourceToleration", false, extendedResourceToleration},
	{"DefaultStorageClass", true, defaultStorageClass},
	{"StorageObjectInUseProtection", true, storageInUse},
	{"PodGroupProtection", true, nil},
	{"OwnerReferencesPermissionEnforcement", false, ownerPermissions},
	{"PersistentVolumeClaimResize", true, claimResize},
	{"RuntimeClass", true, runtimeClass},
	{"CertificateApproval", true, certificateApproval},
	{"CertificateSigning", true, certificateSigning},
	{"ClusterTrustBundleAttest", true, nil},
	{"CertificateSubjectRestriction", true, certificateSubject},
	{"DefaultIngressClass", true, defaultIngressClass},
	{"DenyServiceExternalIPs", false, denyServiceExternalIPs},
	{"PodTopologyLabels", true, podTopologyLabels},
	{"PodGroupWorkloadExists", true, nil},
	{"NodeDeclaredFeatureValidator", true, nodeFeatures},
	{"JobValidation", true, nil},
	{"PodResizeValidator", true, podResize},
	{"MutatingAdmissionPolicy", true, mutatingPolicies},
	{"MutatingAdmissionWebhook", true, mutatingWebhooks},
	{"ValidatingAdmissionPolicy", true, validatingPolicies},
	{"ValidatingAdmissionWebhook", true, validatingWebhooks},
	{"ResourceQuota", true, resourceQuota},
	{"AlwaysDeny", false, alwaysDeny},
}
