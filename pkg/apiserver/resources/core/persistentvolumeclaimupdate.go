package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// claimStays refuses changes of what a claim asks for, but for those that a bound claim may make: growing,
// shrinking to more than the volume has, and another class of attributes.
func claimStays(c, old *corev1.PersistentVolumeClaim) field.ErrorList {
	var faults field.ErrorList
	now, was := c.Spec.DeepCopy(), old.Spec.DeepCopy()
	settleSources(was, &old.Spec) // one may stand from when there was only the one field
	if was.VolumeName == "" {     // a claim is bound once
		was.VolumeName = now.VolumeName
	}
	switch {
	case classLeavesAnnotation(c, old):
		now.StorageClassName = nil
	default:
		at := field.NewPath("metadata", "annotations", corev1.BetaStorageClassAnnotation)
		faults = append(faults, validation.Unchanged(at, c.Annotations[corev1.BetaStorageClassAnnotation], old.Annotations[corev1.BetaStorageClassAnnotation])...)
		if classComesLate(c, old) {
			now.StorageClassName = was.StorageClassName
		}
	}
	if c.Status.Phase == corev1.ClaimBound {
		if now.Resources.Requests != nil {
			now.Resources.Requests[corev1.ResourceStorage] = old.Spec.Resources.Requests[corev1.ResourceStorage]
		}
		now.VolumeAttributesClassName = was.VolumeAttributesClassName
	}
	if !equality.Semantic.DeepEqual(*now, *was) {
		faults = append(faults, field.Forbidden(field.NewPath("spec"),
			fmt.Sprintf("spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n%v",
				diff.Diff(validation.GoNames(*was), validation.GoNames(*now)))))
	}
	size, oldSize := c.Spec.Resources.Requests[corev1.ResourceStorage], old.Spec.Resources.Requests[corev1.ResourceStorage]
	if has := old.Status.Capacity[corev1.ResourceStorage]; size.Cmp(oldSize) < 0 && size.Cmp(has) <= 0 {
		faults = append(faults, field.Forbidden(field.NewPath("spec", "resources", "requests", "storage"), "field can not be less than status.capacity"))
	}
	faults = append(faults, validation.Unchanged(field.NewPath("volumeMode"), c.Spec.VolumeMode, old.Spec.VolumeMode)...)
	if !equality.Semantic.DeepEqual(c.Spec.VolumeAttributesClassName, old.Spec.VolumeAttributesClassName) {
		faults = append(faults, attributesStay(c.Spec.VolumeAttributesClassName, old.Status.CurrentVolumeAttributesClassName)...)
	}
	return faults
}

// attributesStay refuses to take from a claim the class of attributes that its volume has: current is nil until one
// has been given, and a change that cannot be carried out may be taken back.
func attributesStay(now, current *string) field.ErrorList {
	const applied = " is forbidden when status.currentVolumeAttributesClassName is not nil"
	at := field.NewPath("spec", "volumeAttributesClassName")
	switch {
	case current == nil:
	case now == nil:
		return field.ErrorList{field.Forbidden(at, "update to nil"+applied)}
	case *now == "":
		return field.ErrorList{field.Forbidden(at, "update to empty string"+applied)}
	}
	return nil
}

// classLeavesAnnotation says whether the update moves the storage class from its annotation to its field.
func classLeavesAnnotation(c, old *corev1.PersistentVolumeClaim) bool {
	was, annotated := old.Annotations[corev1.BetaStorageClassAnnotation]
	now, still := c.Annotations[corev1.BetaStorageClassAnnotation]
	return annotated && old.Spec.StorageClassName == nil && c.Spec.StorageClassName != nil && *c.Spec.StorageClassName == was && (!still || now == was)
}

// classComesLate says whether the update gives a class to a claim that had none.
func classComesLate(c, old *corev1.PersistentVolumeClaim) bool {
	was, annotated := old.Annotations[corev1.BetaStorageClassAnnotation]
	return old.Spec.StorageClassName == nil && c.Spec.StorageClassName != nil && (!annotated || *c.Spec.StorageClassName == was)
}
