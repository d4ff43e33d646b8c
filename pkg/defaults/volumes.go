package defaults

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

const (
	fileMode                = int32(0o644)
	tokenExpirySeconds      = int64(60 * 60)
	certificateExpirySecond = int32(24 * 60 * 60)
)

// Volume fills in one volume's defaults; one that names no source is an emptyDir.
func Volume(v *corev1.Volume) {
	if reflect.ValueOf(v.VolumeSource).IsZero() {
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
		return
	}
	configuration(&v.VolumeSource)
	network(&v.VolumeSource)
	azure(v.AzureDisk)
	if v.HostPath != nil {
		set(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		Claim(&v.Ephemeral.VolumeClaimTemplate.Spec)
	}
	if v.Image != nil && v.Image.PullPolicy == "" {
		v.Image.PullPolicy = pullPolicy(v.Image.Reference)
	}
}

// Claim fills in the defaults of a volume claim's spec.
func Claim(spec *corev1.PersistentVolumeClaimSpec) {
	set(&spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	Resources(spec.Resources.Limits)
	Resources(spec.Resources.Requests)
}

func configuration(v *corev1.VolumeSource) {
	if v.Secret != nil {
		set(&v.Secret.DefaultMode, fileMode)
	}
	if v.ConfigMap != nil {
		set(&v.ConfigMap.DefaultMode, fileMode)
	}
	if v.DownwardAPI != nil {
		set(&v.DownwardAPI.DefaultMode, fileMode)
		downward(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		set(&v.Projected.DefaultMode, fileMode)
		for i := range v.Projected.Sources {
			projection(&v.Projected.Sources[i])
		}
	}
}

func downward(items []corev1.DownwardAPIVolumeFile) {
	for i := range items {
		fieldRef(items[i].FieldRef)
	}
}

func projection(p *corev1.VolumeProjection) {
	if p.DownwardAPI != nil {
		downward(p.DownwardAPI.Items)
	}
	if p.ServiceAccountToken != nil {
		set(&p.ServiceAccountToken.ExpirationSeconds, tokenExpirySeconds)
	}
	if p.PodCertificate != nil {
		set(&p.PodCertificate.MaxExpirationSeconds, certificateExpirySecond)
	}
}

func network(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		fill(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		fill(&v.RBD.RBDPool, "rbd")
		fill(&v.RBD.RadosUser, "admin")
		fill(&v.RBD.Keyring, "/etc/ceph/keyring")
	}
	if v.ScaleIO != nil {
		fill(&v.ScaleIO.StorageMode, "ThinProvisioned")
		fill(&v.ScaleIO.FSType, "xfs")
	}
}

func azure(disk *corev1.AzureDiskVolumeSource) {
	if disk == nil {
		return
	}
	set(&disk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
	set(&disk.Kind, corev1.AzureSharedBlobDisk)
	set(&disk.FSType, "ext4")
	set(&disk.ReadOnly, false)
}
