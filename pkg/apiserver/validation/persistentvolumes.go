package validation

import (
	"maps"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PersistentVolumeSpec judges a persistent volume of that name. tolerant lets values in its choice of nodes stand that no
// label can have.
func PersistentVolumeSpec(at *field.Path, s *corev1.PersistentVolumeSpec, name string, tolerant bool) field.ErrorList {
	var faults field.ErrorList
	if len(s.AccessModes) == 0 {
		faults = append(faults, field.Required(at.Child("accessModes"), ""))
	}
	faults = append(faults, accessModes(at.Child("accessModes"), s.AccessModes)...)
	faults = append(faults, capacity(at.Child("capacity"), s.Capacity)...)
	reclaim := at.Child("persistentVolumeReclaimPolicy")
	if s.PersistentVolumeReclaimPolicy != "" {
		faults = append(faults, OneOfAny(reclaim, s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimDelete,
			corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)...)
	}
	if s.NodeAffinity != nil {
		faults = append(faults, volumeAffinity(at.Child("nodeAffinity"), s.NodeAffinity, tolerant)...)
	}
	faults = append(faults, persistentSource(at, s, name, s.NodeAffinity != nil)...)
	faults = append(faults, rootIsNotRecycled(at, s)...)
	if s.StorageClassName != "" {
		faults = append(faults, DNSSubdomain(at.Child("storageClassName"), s.StorageClassName)...)
	}
	faults = append(faults, WhereSet(at.Child("volumeMode"), s.VolumeMode, volumeMode)...)
	return append(faults, volumeAttributes(at, s)...)
}

// InlineVolumeSpec judges the volume that an attachment carries itself: only what its driver must know.
func InlineVolumeSpec(at *field.Path, s *corev1.PersistentVolumeSpec) field.ErrorList {
	const never = "may not be specified in the context of inline volumes"
	var faults field.ErrorList
	forbid := func(name string, found bool, text string) {
		if found {
			faults = append(faults, field.Forbidden(at.Child(name), text))
		}
	}
	forbid("claimRef", s.ClaimRef != nil, never)
	forbid("capacity", len(s.Capacity) != 0, never)
	if s.CSI == nil {
		faults = append(faults, field.Required(at.Child("csi"), "has to be specified in the context of inline volumes"))
	}
	if len(s.AccessModes) == 0 {
		faults = append(faults, field.Required(at.Child("accessModes"), ""))
	}
	faults = append(faults, accessModes(at.Child("accessModes"), s.AccessModes)...)
	forbid("persistentVolumeReclaimPolicy", s.PersistentVolumeReclaimPolicy != "" && s.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain,
		"may only be Retain in the context of inline volumes")
	forbid("nodeAffinity", s.NodeAffinity != nil, never)
	faults = append(faults, persistentSource(at, s, "", false)...)
	faults = append(faults, rootIsNotRecycled(at, s)...)
	forbid("storageClassName", s.StorageClassName != "", never)
	forbid("volumeMode", s.VolumeMode != nil && *s.VolumeMode != corev1.PersistentVolumeFilesystem,
		"may not specify volumeMode other than Filesystem in the context of inline volumes")
	return faults
}

func rootIsNotRecycled(at *field.Path, s *corev1.PersistentVolumeSpec) field.ErrorList {
	if s.HostPath == nil || path.Clean(s.HostPath.Path) != "/" || s.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRecycle {
		return nil
	}
	return field.ErrorList{field.Forbidden(at.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'")}
}

// capacity is one amount: of storage.
func capacity(at *field.Path, list corev1.ResourceList) field.ErrorList {
	var faults field.ErrorList
	if len(list) == 0 {
		faults = append(faults, field.Required(at, ""))
	}
	if _, sized := list[corev1.ResourceStorage]; !sized || len(list) > 1 {
		faults = append(faults, field.NotSupported(at, list, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		size := list[name]
		faults = append(faults, BasicQuantity(at.Key(string(name)), size)...)
		if size.Sign() <= 0 {
			faults = append(faults, field.Invalid(at.Key(string(name)), size.String(), positive))
		}
	}
	return faults
}

// BasicQuantity refuses amounts below zero.
func BasicQuantity(at *field.Path, q resource.Quantity) field.ErrorList {
	if q.Value() < 0 {
		return field.ErrorList{field.Invalid(at, q.Value(), "must be a valid resource quantity")}
	}
	return nil
}

func volumeAffinity(at *field.Path, a *corev1.VolumeNodeAffinity, tolerant bool) field.ErrorList {
	if a.Required == nil {
		return field.ErrorList{field.Required(at.Child("required"), "must specify required node constraints")}
	}
	return NodeSelector(at.Child("required"), a.Required, tolerant)
}

// volumeAttributes judges the class whose attributes a driver gives the volume.
func volumeAttributes(at *field.Path, s *corev1.PersistentVolumeSpec) field.ErrorList {
	if s.VolumeAttributesClassName == nil {
		return nil
	}
	var faults field.ErrorList
	name := at.Child("volumeAttributesClassName")
	if *s.VolumeAttributesClassName == "" {
		faults = append(faults, field.Required(name, "an empty string is disallowed"))
	} else {
		faults = append(faults, DNSSubdomain(name, *s.VolumeAttributesClassName)...)
	}
	if s.CSI == nil {
		faults = append(faults, field.Required(at.Child("csi"), "has to be specified when using volumeAttributesClassName"))
	}
	return faults
}

// persistentSource judges the one source that a persistent volume has.
func persistentSource(at *field.Path, s *corev1.PersistentVolumeSpec, name string, placed bool) field.ErrorList {
	var faults field.ErrorList
	n := 0
	for _, kind := range persistentKinds(s, name) {
		if !kind.found {
			continue
		}
		if n++; n > 1 && kind.name != "flexVolume" {
			faults = append(faults, field.Forbidden(at.Child(kind.name), oneVolumeType))
			continue
		}
		faults = append(faults, kind.judge(at.Child(kind.inside()))...)
		if kind.name == "local" && !placed {
			faults = append(faults, field.Required(at.Child("nodeAffinity"), "Local volume requires node affinity"))
		}
	}
	if n == 0 {
		faults = append(faults, field.Required(at, "must specify a volume type"))
	}
	return faults
}

func persistentKinds(s *corev1.PersistentVolumeSpec, name string) []kindOfVolume {
	kinds := []kindOfVolume{
		{"hostPath", s.HostPath != nil, func(at *field.Path) field.ErrorList { return HostPath(at, s.HostPath) }},
		{"gcePersistentDisk", s.GCEPersistentDisk != nil, func(at *field.Path) field.ErrorList { return gceDisk(at, s.GCEPersistentDisk) }},
		{"awsElasticBlockStore", s.AWSElasticBlockStore != nil, func(at *field.Path) field.ErrorList { return awsDisk(at, s.AWSElasticBlockStore) }},
		{"glusterfs", s.Glusterfs != nil, func(at *field.Path) field.ErrorList { return persistentGluster(at, s.Glusterfs) }},
		{"flocker", s.Flocker != nil, func(at *field.Path) field.ErrorList { return flocker(at, s.Flocker) }},
		{"nfs", s.NFS != nil, func(at *field.Path) field.ErrorList { return NFS(at, s.NFS) }},
		{"rbd", s.RBD != nil, func(at *field.Path) field.ErrorList {
			return append(monitors(at, s.RBD.CephMonitors), need(at, "image", s.RBD.RBDImage)...)
		}},
		{"quobyte", s.Quobyte != nil, func(at *field.Path) field.ErrorList { return quobyte(at, s.Quobyte) }},
		{"cephFS", s.CephFS != nil, func(at *field.Path) field.ErrorList { return monitors(at, s.CephFS.Monitors) }},
		{"iscsi", s.ISCSI != nil, func(at *field.Path) field.ErrorList { return persistentISCSI(at, s.ISCSI, name) }},
		{"cinder", s.Cinder != nil, func(at *field.Path) field.ErrorList {
			return append(need(at, "volumeID", s.Cinder.VolumeID), secretPlace(at.Child("secretRef"), s.Cinder.SecretRef)...)
		}},
		{"fc", s.FC != nil, func(at *field.Path) field.ErrorList { return fibreChannel(at, s.FC) }},
		{"flexVolume", s.FlexVolume != nil, func(at *field.Path) field.ErrorList { return FlexVolume(at, s.FlexVolume.Driver, s.FlexVolume.Options) }},
	}
	return append(kinds, persistentCloudKinds(s)...)
}

func persistentCloudKinds(s *corev1.PersistentVolumeSpec) []kindOfVolume {
	return []kindOfVolume{
		{"azureFile", s.AzureFile != nil, func(at *field.Path) field.ErrorList {
			faults := need(at, "secretName", s.AzureFile.SecretName, "shareName", s.AzureFile.ShareName)
			if n := s.AzureFile.SecretNamespace; n != nil {
				faults = append(faults, need(at, "secretNamespace", *n)...)
			}
			return faults
		}},
		{"vsphereVolume", s.VsphereVolume != nil, func(at *field.Path) field.ErrorList { return need(at, "volumePath", s.VsphereVolume.VolumePath) }},
		{"photonPersistentDisk", s.PhotonPersistentDisk != nil, func(at *field.Path) field.ErrorList {
			return need(at, "pdID", s.PhotonPersistentDisk.PdID)
		}},
		{"portworxVolume", s.PortworxVolume != nil, func(at *field.Path) field.ErrorList { return need(at, "volumeID", s.PortworxVolume.VolumeID) }},
		{"azureDisk", s.AzureDisk != nil, func(at *field.Path) field.ErrorList { return azureDisk(at, s.AzureDisk) }},
		{"scaleIO", s.ScaleIO != nil, func(at *field.Path) field.ErrorList {
			return ScaleIO(at, s.ScaleIO.Gateway, s.ScaleIO.System, s.ScaleIO.VolumeName)
		}},
		{"local", s.Local != nil, func(at *field.Path) field.ErrorList {
			if s.Local.Path == "" {
				return need(at, "path", "")
			}
			return noBacksteps(at.Child("path"), s.Local.Path)
		}},
		{"storageos", s.StorageOS != nil, func(at *field.Path) field.ErrorList { return persistentStorageOS(at, s.StorageOS) }},
		{"csi", s.CSI != nil, func(at *field.Path) field.ErrorList { return persistentCSI(at, s.CSI) }},
	}
}

func persistentGluster(at *field.Path, v *corev1.GlusterfsPersistentVolumeSource) field.ErrorList {
	faults := need(at, "endpoints", v.EndpointsName, "path", v.Path)
	if v.EndpointsNamespace == nil {
		return faults
	}
	namespace := at.Child("endpointsNamespace")
	if *v.EndpointsNamespace == "" {
		return append(faults, field.Invalid(namespace, "", "if the endpointnamespace is set, it must be a valid namespace name"))
	}
	return append(faults, Invalid(namespace, *v.EndpointsNamespace, apivalidation.ValidateNamespaceName(*v.EndpointsNamespace, false))...)
}

func persistentISCSI(at *field.Path, v *corev1.ISCSIPersistentVolumeSource, name string) field.ErrorList {
	faults := need(at, "targetPortal", v.TargetPortal)
	if v.InitiatorName != nil && len(name+":"+v.TargetPortal) > maxISCSIInitiator {
		faults = append(faults, field.Invalid(at.Child("targetportal"), v.TargetPortal, longISCSIInitiator))
	}
	faults = append(faults, iscsiTarget(at, v.IQN, v.Lun, iscsiForm)...)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		faults = append(faults, field.Required(at.Child("secretRef"), ""))
	}
	if v.SecretRef != nil {
		faults = append(faults, need(at.Child("secretRef"), "name", v.SecretRef.Name)...)
	}
	if v.InitiatorName != nil {
		faults = append(faults, iscsiName(at.Child("initiatorname"), *v.InitiatorName, iscsiForm)...)
	}
	return faults
}

// secretPlace refuses a secret, where one is named, whose name or namespace is missing.
func secretPlace(at *field.Path, ref *corev1.SecretReference) field.ErrorList {
	if ref == nil {
		return nil
	}
	return need(at, "name", ref.Name, "namespace", ref.Namespace)
}

func persistentStorageOS(at *field.Path, v *corev1.StorageOSPersistentVolumeSource) field.ErrorList {
	faults := storageOSNames(at, v.VolumeName, v.VolumeNamespace)
	if v.SecretRef != nil {
		faults = append(faults, need(at.Child("secretRef"), "name", v.SecretRef.Name, "namespace", v.SecretRef.Namespace)...)
	}
	return faults
}

func persistentCSI(at *field.Path, v *corev1.CSIPersistentVolumeSource) field.ErrorList {
	faults := CSIDriverName(at.Child("driver"), v.Driver)
	faults = append(faults, need(at, "volumeHandle", v.VolumeHandle)...)
	for _, secret := range []struct {
		name string
		ref  *corev1.SecretReference
	}{
		{"controllerPublishSecretRef", v.ControllerPublishSecretRef}, {"controllerExpandSecretRef", v.ControllerExpandSecretRef},
		{"nodePublishSecretRef", v.NodePublishSecretRef}, {"nodeExpandSecretRef", v.NodeExpandSecretRef},
	} {
		if secret.ref == nil {
			continue
		}
		in := at.Child(secret.name)
		faults = append(faults, FilledWith(in.Child("name"), secret.ref.Name, DNSSubdomain)...)
		faults = append(faults, FilledWith(in.Child("namespace"), secret.ref.Namespace, DNSLabel)...)
	}
	return faults
}
