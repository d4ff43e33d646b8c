package defaults

import corev1 "k8s.io/api/core/v1"

// PersistentVolume fills in the defaults of a persistent volume's spec.
func PersistentVolume(s *corev1.PersistentVolumeSpec) {
	fill(&s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	set(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	InlineVolume(s)
}

// InlineVolume fills in what every source of persistent volumes has, also one that an attachment carries.
func InlineVolume(s *corev1.PersistentVolumeSpec) {
	Resources(s.Capacity)
	if s.HostPath != nil {
		set(&s.HostPath.Type, corev1.HostPathUnset)
	}
	if s.ISCSI != nil {
		fill(&s.ISCSI.ISCSIInterface, "default")
	}
	if s.RBD != nil {
		fill(&s.RBD.RBDPool, "rbd")
		fill(&s.RBD.RadosUser, "admin")
		fill(&s.RBD.Keyring, "/etc/ceph/keyring")
	}
	if s.ScaleIO != nil {
		fill(&s.ScaleIO.StorageMode, "ThinProvisioned")
		fill(&s.ScaleIO.FSType, "xfs")
	}
	azure(s.AzureDisk)
}
