package validation

import (
	"net"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The sources below are served by drivers outside of the kubelet, or by none any more. Their rules stay:
// manifests name them.

const (
	maxISCSIInitiator  = 64
	longISCSIInitiator = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified."
)

// As upstream's: a dot stands for any character where it is not escaped, and the last is not held to begin at the start.
var (
	iscsiEUI = regexp.MustCompile(`^eui.[[:alnum:]]{16}$`)
	iscsiNAA = regexp.MustCompile(`^naa.[[:alnum:]]{32}$`)
	iscsiIQN = regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`)
)

// need answers a Required fault for each path whose value is empty.
func need(path *field.Path, pairs ...string) field.ErrorList {
	var faults field.ErrorList
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			faults = append(faults, field.Required(path.Child(pairs[i]), ""))
		}
	}
	return faults
}

func partition(path *field.Path, n int32) field.ErrorList {
	if n >= 0 && n <= 255 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("partition"), n, utilvalidation.InclusiveRangeError(1, 255))}
}

func diskKinds(s *corev1.VolumeSource) []kindOfVolume {
	return []kindOfVolume{
		{"gcePersistentDisk", s.GCEPersistentDisk != nil, func(at *field.Path) field.ErrorList { return gceDisk(at, s.GCEPersistentDisk) }},
		{"awsElasticBlockStore", s.AWSElasticBlockStore != nil, func(at *field.Path) field.ErrorList { return awsDisk(at, s.AWSElasticBlockStore) }},
	}
}

func gceDisk(path *field.Path, v *corev1.GCEPersistentDiskVolumeSource) field.ErrorList {
	return append(need(path, "pdName", v.PDName), partition(path, v.Partition)...)
}

func awsDisk(path *field.Path, v *corev1.AWSElasticBlockStoreVolumeSource) field.ErrorList {
	return append(need(path, "volumeID", v.VolumeID), partition(path, v.Partition)...)
}

func sharedKinds(s *corev1.VolumeSource, name string) []kindOfVolume {
	return []kindOfVolume{
		{"nfs", s.NFS != nil, func(at *field.Path) field.ErrorList { return NFS(at, s.NFS) }},
		{"iscsi", s.ISCSI != nil, func(at *field.Path) field.ErrorList { return iscsi(at, s.ISCSI, name) }},
		{"glusterfs", s.Glusterfs != nil, func(at *field.Path) field.ErrorList {
			return need(at, "endpoints", s.Glusterfs.EndpointsName, "path", s.Glusterfs.Path)
		}},
		{"flocker", s.Flocker != nil, func(at *field.Path) field.ErrorList { return flocker(at, s.Flocker) }},
		{"persistentVolumeClaim", s.PersistentVolumeClaim != nil, func(at *field.Path) field.ErrorList {
			return need(at, "claimName", s.PersistentVolumeClaim.ClaimName)
		}},
		{"rbd", s.RBD != nil, func(at *field.Path) field.ErrorList {
			return append(monitors(at, s.RBD.CephMonitors), need(at, "image", s.RBD.RBDImage)...)
		}},
		{"cinder", s.Cinder != nil, func(at *field.Path) field.ErrorList {
			faults := need(at, "volumeID", s.Cinder.VolumeID)
			if s.Cinder.SecretRef != nil {
				faults = append(faults, need(at.Child("secretRef"), "name", s.Cinder.SecretRef.Name)...)
			}
			return faults
		}},
		{"cephFS", s.CephFS != nil, func(at *field.Path) field.ErrorList { return monitors(at, s.CephFS.Monitors) }},
		{"quobyte", s.Quobyte != nil, func(at *field.Path) field.ErrorList { return quobyte(at, s.Quobyte) }},
	}
}

func monitors(path *field.Path, list []string) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path.Child("monitors"), "")}
	}
	return nil
}

// NFS judges an export, in pods and in persistent volumes.
func NFS(path *field.Path, v *corev1.NFSVolumeSource) field.ErrorList {
	faults := need(path, "server", v.Server, "path", v.Path)
	if !strings.HasPrefix(v.Path, "/") {
		faults = append(faults, field.Invalid(path.Child("path"), v.Path, "must be an absolute path"))
	}
	return faults
}

func iscsi(path *field.Path, v *corev1.ISCSIVolumeSource, name string) field.ErrorList {
	faults := append(need(path, "targetPortal", v.TargetPortal), iscsiTarget(path, v.IQN, v.Lun, iscsiForms)...)
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		faults = append(faults, field.Required(path.Child("secretRef"), ""))
	}
	if v.InitiatorName != nil {
		faults = append(faults, iscsiName(path.Child("initiatorname"), *v.InitiatorName, iscsiForms)...)
		if len(name+":"+v.TargetPortal) > maxISCSIInitiator {
			faults = append(faults, field.Invalid(path.Child("name"), name, longISCSIInitiator))
		}
	}
	return faults
}

// iscsiTarget judges what is to be found at a portal.
func iscsiTarget(path *field.Path, iqn string, lun int32, unknown string) field.ErrorList {
	faults := need(path, "iqn", iqn)
	if iqn != "" {
		faults = append(faults, iscsiName(path.Child("iqn"), iqn, unknown)...)
	}
	if lun < 0 || lun > 255 {
		faults = append(faults, field.Invalid(path.Child("lun"), lun, utilvalidation.InclusiveRangeError(0, 255)))
	}
	return faults
}

// What is said of a name in an ISCSI network whose form is known, and in pods of one whose is not.
const (
	iscsiForm  = "must be valid format"
	iscsiForms = "must be valid format starting with iqn, eui, or naa"
)

// iscsiName judges a name in an ISCSI network; unknown is said where it is of no known form.
func iscsiName(path *field.Path, value, unknown string) field.ErrorList {
	var sound bool
	switch {
	case strings.HasPrefix(value, "iqn"):
		sound = iscsiIQN.MatchString(value)
	case strings.HasPrefix(value, "eui"):
		sound = iscsiEUI.MatchString(value)
	case strings.HasPrefix(value, "naa"):
		sound = iscsiNAA.MatchString(value)
	default:
		return field.ErrorList{field.Invalid(path, value, unknown)}
	}
	if sound {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, iscsiForm)}
}

func flocker(path *field.Path, v *corev1.FlockerVolumeSource) field.ErrorList {
	var faults field.ErrorList
	if v.DatasetName == "" && v.DatasetUUID == "" {
		faults = append(faults, field.Required(path, "one of datasetName and datasetUUID is required"))
	}
	if v.DatasetName != "" && v.DatasetUUID != "" {
		faults = append(faults, field.Invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"))
	}
	if strings.Contains(v.DatasetName, "/") {
		faults = append(faults, field.Invalid(path.Child("datasetName"), v.DatasetName, "must not contain '/'"))
	}
	return faults
}

func quobyte(path *field.Path, v *corev1.QuobyteVolumeSource) field.ErrorList {
	const maxTenant = 65
	const wrong = "must be a host:port pair or multiple pairs separated by commas"
	var faults field.ErrorList
	switch {
	case v.Registry == "":
		faults = append(faults, field.Required(path.Child("registry"), wrong))
	case len(v.Tenant) >= maxTenant:
		faults = append(faults, field.Required(path.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters"))
	default:
		for pair := range strings.SplitSeq(v.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				faults = append(faults, field.Invalid(path.Child("registry"), v.Registry, wrong))
			}
		}
	}
	return append(faults, need(path, "volume", v.Volume)...)
}

func blockKinds(s *corev1.VolumeSource) []kindOfVolume {
	return []kindOfVolume{
		{"fc", s.FC != nil, func(at *field.Path) field.ErrorList { return fibreChannel(at, s.FC) }},
		{"flexVolume", s.FlexVolume != nil, func(at *field.Path) field.ErrorList {
			return FlexVolume(at, s.FlexVolume.Driver, s.FlexVolume.Options)
		}},
	}
}

func fibreChannel(path *field.Path, v *corev1.FCVolumeSource) field.ErrorList {
	var faults field.ErrorList
	targets := path.Child("targetWWNs")
	names, ids := len(v.TargetWWNs), len(v.WWIDs)
	if names == 0 && ids == 0 {
		faults = append(faults, field.Required(targets, "must specify either targetWWNs or wwids, but not both"))
	}
	if names > 0 && ids > 0 {
		faults = append(faults, field.Invalid(targets, v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously"))
	}
	switch {
	case names > 0 && v.Lun == nil:
		faults = append(faults, field.Required(path.Child("lun"), "lun is required if targetWWNs is specified"))
	case names > 0 && (*v.Lun < 0 || *v.Lun > 255):
		faults = append(faults, field.Invalid(path.Child("lun"), v.Lun, utilvalidation.InclusiveRangeError(0, 255)))
	}
	return faults
}

// FlexVolume judges a driver and its options, whose own namespace is kept for the system.
func FlexVolume(path *field.Path, driver string, options map[string]string) field.ErrorList {
	faults := need(path, "driver", driver)
	for key := range options {
		namespace := key
		if parts := strings.SplitN(key, "/", 2); len(parts) == 2 {
			namespace = parts[0]
		}
		normal := "." + strings.ToLower(namespace)
		if strings.HasSuffix(normal, ".kubernetes.io") || strings.HasSuffix(normal, ".k8s.io") {
			faults = append(faults, field.Invalid(path.Child("options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved"))
		}
	}
	return faults
}

func cloudKinds(s *corev1.VolumeSource) []kindOfVolume {
	return []kindOfVolume{
		{"azureFile", s.AzureFile != nil, func(at *field.Path) field.ErrorList {
			return need(at, "secretName", s.AzureFile.SecretName, "shareName", s.AzureFile.ShareName)
		}},
		{"vsphereVolume", s.VsphereVolume != nil, func(at *field.Path) field.ErrorList { return need(at, "volumePath", s.VsphereVolume.VolumePath) }},
		{"photonPersistentDisk", s.PhotonPersistentDisk != nil, func(at *field.Path) field.ErrorList {
			return need(at, "pdID", s.PhotonPersistentDisk.PdID)
		}},
		{"portworxVolume", s.PortworxVolume != nil, func(at *field.Path) field.ErrorList {
			return need(at, "volumeID", s.PortworxVolume.VolumeID)
		}},
		{"azureDisk", s.AzureDisk != nil, func(at *field.Path) field.ErrorList { return azureDisk(at, s.AzureDisk) }},
		{"storageos", s.StorageOS != nil, func(at *field.Path) field.ErrorList { return storageOS(at, s.StorageOS) }},
	}
}

func azureDisk(path *field.Path, v *corev1.AzureDiskVolumeSource) field.ErrorList {
	faults := need(path, "diskName", v.DiskName, "diskURI", v.DataDiskURI)
	if v.CachingMode != nil {
		faults = append(faults, OneOfAny(path.Child("cachingMode"), *v.CachingMode, corev1.AzureDataDiskCachingNone,
			corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)...)
	}
	if v.Kind == nil {
		return faults
	}
	faults = append(faults, OneOfAny(path.Child("kind"), *v.Kind, corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)...)
	const (
		managed = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
		blob    = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
	)
	at := path.Child("diskURI")
	if *v.Kind == corev1.AzureManagedDisk && !strings.HasPrefix(v.DataDiskURI, "/subscriptions/") {
		faults = append(faults, field.NotSupported(at, v.DataDiskURI, []string{managed}))
	}
	if *v.Kind != corev1.AzureManagedDisk && !strings.HasPrefix(v.DataDiskURI, "https://") {
		faults = append(faults, field.NotSupported(at, v.DataDiskURI, []string{blob}))
	}
	return faults
}

func storageOSNames(path *field.Path, volume, namespace string) field.ErrorList {
	faults := need(path, "volumeName", volume)
	if volume != "" {
		faults = append(faults, DNSLabel(path.Child("volumeName"), volume)...)
	}
	if namespace != "" {
		faults = append(faults, DNSLabel(path.Child("volumeNamespace"), namespace)...)
	}
	return faults
}

func storageOS(path *field.Path, v *corev1.StorageOSVolumeSource) field.ErrorList {
	faults := storageOSNames(path, v.VolumeName, v.VolumeNamespace)
	if v.SecretRef != nil {
		faults = append(faults, need(path.Child("secretRef"), "name", v.SecretRef.Name)...)
	}
	return faults
}

// ScaleIO judges where a volume of that system is found.
func ScaleIO(path *field.Path, gateway, system, volume string) field.ErrorList {
	return need(path, "gateway", gateway, "system", system, "volumeName", volume)
}
