package core

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// PersistentVolume declares persistent volumes. c tells when one entered its phase.
func PersistentVolume(c clock.PassiveClock) *resource.Resource {
	return resource.Define(resource.Definition[*corev1.PersistentVolume]{
		Kind:          corev1.SchemeGroupVersion.WithKind("PersistentVolume"),
		Plural:        "persistentvolumes",
		ShortNames:    []string{"pv"},
		ClusterScoped: true,
		ReturnDeleted: true,
		WholeUpdate:   true,
		Default: func(v *corev1.PersistentVolume) {
			v.Status.Phase = cmp.Or(v.Status.Phase, corev1.VolumePending)
			defaults.PersistentVolume(&v.Spec)
		},
		Prepare: func(_ context.Context, v, old *corev1.PersistentVolume) {
			if old != nil {
				v.Status = *old.Status.DeepCopy()
				return
			}
			v.Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: rightNow(c)}
		},
		Validate: func(_ context.Context, v, old *corev1.PersistentVolume) field.ErrorList {
			faults := validation.PersistentVolumeSpec(field.NewPath("spec"), &v.Spec, v.Name,
				old != nil && old.Spec.NodeAffinity != nil && validation.NodesHaveBadValues(old.Spec.NodeAffinity.Required))
			options := mayHaveMountOptions(v)
			if old == nil {
				return append(faults, options...)
			}
			// What is wrong by itself is told twice, as by every kind whose update judges the whole object.
			return slices.Concat(faults, options, faults, volumeStays(v, old))
		},
		Warn:    warnVolume,
		Reset:   []string{"status"},
		Columns: volumeColumns(),
		Row:     volumeRow,
		Subresources: []resource.Subresource[*corev1.PersistentVolume]{resource.Status(corev1.SchemeGroupVersion.WithKind("PersistentVolume"), resource.UpdatePart[*corev1.PersistentVolume]{
			Prepare: func(_ context.Context, v, old *corev1.PersistentVolume) {
				v.Spec = *old.Spec.DeepCopy()
				timePhase(&v.Status, &old.Status, c)
			},
		})},
	})
}

// mayHaveMountOptions refuses the annotation that once held options where the type of volume is not mounted with any.
func mayHaveMountOptions(v *corev1.PersistentVolume) field.ErrorList {
	s := &v.Spec
	mounted := s.GCEPersistentDisk != nil || s.AWSElasticBlockStore != nil || s.Glusterfs != nil || s.NFS != nil || s.RBD != nil ||
		s.Quobyte != nil || s.ISCSI != nil || s.Cinder != nil || s.CephFS != nil || s.AzureFile != nil || s.VsphereVolume != nil ||
		s.AzureDisk != nil || s.PhotonPersistentDisk != nil
	if _, has := v.Annotations[corev1.MountOptionAnnotation]; !has || mounted {
		return nil
	}
	at := field.NewPath("metadata", "annotations", corev1.MountOptionAnnotation)
	return field.ErrorList{field.Forbidden(at, "may not specify mount options for this volume type")}
}

func rightNow(c clock.PassiveClock) *metav1.Time {
	now := metav1.NewTime(c.Now().UTC()).Rfc3339Copy()
	return &now
}

// timePhase keeps the time of the last change of phase, unless the client tells another.
func timePhase(now, was *corev1.PersistentVolumeStatus, c clock.PassiveClock) {
	told := now.LastPhaseTransitionTime
	switch {
	case now.Phase == was.Phase && told == nil:
		now.LastPhaseTransitionTime = was.LastPhaseTransitionTime.DeepCopy()
	case now.Phase != was.Phase && (told == nil || told.Equal(was.LastPhaseTransitionTime)):
		now.LastPhaseTransitionTime = rightNow(c)
	}
}

// volumeStays refuses to make another volume of one that there is.
func volumeStays(v, old *corev1.PersistentVolume) field.ErrorList {
	var faults field.ErrorList
	source := v.Spec.PersistentVolumeSource
	if source.CSI != nil && source.CSI.ControllerExpandSecretRef != nil && old.Spec.CSI != nil && old.Spec.CSI.ControllerExpandSecretRef == nil {
		csi := *source.CSI // the secret for expansion may come later
		csi.ControllerExpandSecretRef = nil
		source.CSI = &csi
	}
	if was := old.Spec.PersistentVolumeSource; !equality.Semantic.DeepEqual(source, was) {
		faults = append(faults, field.Forbidden(field.NewPath("spec", "persistentvolumesource"),
			fmt.Sprintf("spec.persistentvolumesource is immutable after creation\n%v", diff.Diff(validation.GoNames(was), validation.GoNames(source)))))
	}
	faults = append(faults, validation.Unchanged(field.NewPath("volumeMode"), v.Spec.VolumeMode, old.Spec.VolumeMode)...)
	if old.Spec.NodeAffinity != nil && !sameAffinity(v.Spec.NodeAffinity, old.Spec.NodeAffinity) {
		faults = append(faults, field.Invalid(field.NewPath("nodeAffinity"), validation.GoNames(v.Spec.NodeAffinity),
			validation.Immutable+", except for updating from beta label to GA"))
	}
	if old.Spec.VolumeAttributesClassName != nil && v.Spec.VolumeAttributesClassName == nil {
		faults = append(faults, field.Forbidden(field.NewPath("spec", "volumeAttributesClassName"), "update from non-nil value to nil is forbidden"))
	}
	return faults
}

// sameAffinity says whether two choices of nodes are the same, but for labels that now have another name.
func sameAffinity(now, was *corev1.VolumeNodeAffinity) bool {
	was = was.DeepCopy()
	if now != nil && now.Required != nil && was.Required != nil {
		for i := range min(len(now.Required.NodeSelectorTerms), len(was.Required.NodeSelectorTerms)) {
			rename(was.Required.NodeSelectorTerms[i].MatchExpressions, now.Required.NodeSelectorTerms[i].MatchExpressions)
			rename(was.Required.NodeSelectorTerms[i].MatchFields, now.Required.NodeSelectorTerms[i].MatchFields)
		}
	}
	return equality.Semantic.DeepEqual(now, was)
}

func rename(was, now []corev1.NodeSelectorRequirement) {
	for i := range min(len(was), len(now)) {
		if validation.NewNodeLabel(was[i].Key) == now[i].Key {
			was[i].Key = now[i].Key
		}
	}
}

func warnVolume(_ context.Context, v, _ *corev1.PersistentVolume) []string {
	warnings := oldVolumeAnnotations(v)
	if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		warnings = append(warnings, "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.")
	}
	if a := v.Spec.NodeAffinity; a != nil && a.Required != nil {
		warnings = append(warnings, validation.NodeSelectorWarnings(field.NewPath("spec", "nodeAffinity", "required"), a.Required)...)
	}
	for _, old := range []struct {
		found bool
		text  string
	}{
		{v.Spec.CephFS != nil, "spec.cephfs: deprecated in v1.28, non-functional in v1.31+"},
		{v.Spec.PhotonPersistentDisk != nil, "spec.photonPersistentDisk: deprecated in v1.11, non-functional in v1.16+"},
		{v.Spec.ScaleIO != nil, "spec.scaleIO: deprecated in v1.16, non-functional in v1.22+"},
		{v.Spec.StorageOS != nil, "spec.storageOS: deprecated in v1.22, non-functional in v1.25+"},
		{v.Spec.Glusterfs != nil, "spec.glusterfs: deprecated in v1.25, non-functional in v1.26+"},
		{v.Spec.RBD != nil, "spec.rbd: deprecated in v1.28, non-functional in v1.31+"},
	} {
		if old.found {
			warnings = append(warnings, old.text)
		}
	}
	return warnings
}

func oldVolumeAnnotations(v *corev1.PersistentVolume) []string {
	var warnings []string
	if _, old := v.Annotations[corev1.BetaStorageClassAnnotation]; old {
		warnings = append(warnings, oldClassAnnotation)
	}
	if _, old := v.Annotations[corev1.MountOptionAnnotation]; old {
		warnings = append(warnings, `metadata.annotations[volume.beta.kubernetes.io/mount-options]: deprecated since v1.31; use "mountOptions" attribute instead`)
	}
	return warnings
}

const oldClassAnnotation = `metadata.annotations[volume.beta.kubernetes.io/storage-class]: deprecated since v1.8; use "storageClassName" attribute instead`
